//! The tracing subscriber: one, on stderr.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

/// Why no subscriber was set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter does not parse.
    #[error(
        "{filter:?} is not a log filter: expected a level such as \"info\" or \"faas_gateway=debug,info\""
    )]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// There is one already.
    #[error("failed to set the log subscriber")]
    AlreadySet(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Sends events that pass `filter` to stderr, as text with colours on a terminal, as JSON lines where `json` is set.
pub fn init_logging(filter: &str, json: bool) -> Result<(), Error> {
    let targets: Targets =
        filter.parse().map_err(|source| Error::Filter { filter: filter.to_owned(), source })?;
    let layer = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let layer = if json { layer.json().boxed() } else { layer.boxed() };
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(targets));
    subscriber.try_init().map_err(|error| Error::AlreadySet(error.into()))
}
