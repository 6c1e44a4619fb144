//! The tracing subscriber: one, on stderr.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

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
    let env_filter =
        EnvFilter::try_new(filter).map_err(|source| Error::Filter { filter: filter.to_owned(), source })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(env_filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    if json { builder.json().try_init() } else { builder.try_init() }.map_err(Error::AlreadySet)
}
