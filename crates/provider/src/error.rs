//! What a provider answers when it cannot do what was asked.

use faas_api::{FunctionId, Namespace};

/// Why a call did not happen. The gateway maps each variant to a status; nothing was changed, unless the variant says
/// otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No function of that name.
    #[error("function {0} not found")]
    FunctionNotFound(FunctionId),
    /// There is one already.
    #[error("function {0} already exists")]
    FunctionExists(FunctionId),
    /// No namespace of that name.
    #[error("namespace {0} not found")]
    NamespaceNotFound(Namespace),
    /// There is one already.
    #[error("namespace {0} already exists")]
    NamespaceExists(Namespace),
    /// No secret of that name.
    #[error("secret {0} not found")]
    SecretNotFound(String),
    /// There is one already.
    #[error("secret {0} already exists")]
    SecretExists(String),
    /// The caller asked for something that cannot be; the text says what and what to do.
    #[error("{0}")]
    Invalid(String),
    /// A body past its limit.
    #[error("{what} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// The limit.
        limit_bytes: u64,
    },
    /// The platform lacks a right; the text names it and says how to grant it.
    #[error("{0}")]
    Forbidden(String),
    /// What the platform rests on does not answer now; the caller may try again. A change may have happened after all.
    #[error("failed to {what}: try again in a moment")]
    Unavailable {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The platform failed; the caller may try again.
    #[error("failed to {what}")]
    Internal {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// For `map_err`: the platform failed at `what`.
    pub fn internal<E>(what: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |source| Self::Internal { what, source: source.into() }
    }

    /// For `map_err`: what the platform rests on did not answer.
    pub fn unavailable<E>(what: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |source| Self::Unavailable { what, source: source.into() }
    }
}
