//! What a queue answers when it cannot do what was asked.

use std::io;

use crate::CallId;

/// Why a call did not happen. Nothing was changed, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is a job of that name, be it another function's.
    #[error("there is a job {0} already")]
    Exists(CallId),
    /// No job of that name, or none any more.
    #[error("there is no job {0}, or none any more")]
    NotFound(CallId),
    /// As many jobs wait for the function as may.
    #[error("{limit} jobs wait for the function already: try again when some have run")]
    Full {
        /// So many may.
        limit: u64,
    },
    /// A body past its limit.
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// Headers that no message of the engine's has room for.
    #[error("the headers take more than {limit_bytes} bytes")]
    HeadTooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// The body that was to be kept broke off.
    #[error("the body broke off")]
    Body(#[source] io::Error),
    /// The job is another's now, or ended.
    #[error("the lease of job {0} has ended")]
    LeaseLost(CallId),
    /// What the jobs lie in does not answer, or has no room; the caller may try again. A change may have happened.
    #[error("failed to {what}: try again in a moment")]
    Unavailable {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// For `map_err`: the engine failed at `what`.
    pub fn unavailable<E: std::error::Error + Send + Sync + 'static>(
        what: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::Unavailable { what, source: Box::new(source) }
    }
}
