//! Why one reconciliation did not come to its end; it is tried again.

use std::future::Future;
use std::time::Duration;

/// One request to the API server.
const REQUEST: Duration = Duration::from_secs(15);

/// What failed, and at what.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The API server refused, or could not be reached.
    #[error("failed to {what}")]
    Api {
        /// What was being done.
        what: &'static str,
        /// Its answer.
        source: kube::Error,
    },
    /// No answer.
    #[error("failed to {what}: the API server did not answer within {} s", limit.as_secs())]
    Timeout {
        /// What was being done.
        what: &'static str,
        /// How long it had.
        limit: Duration,
    },
    /// Another copy may lead by now.
    #[error("no longer leading")]
    NotLeading,
}

impl Error {
    /// For the metric's label.
    pub(crate) fn category(&self) -> &'static str {
        match self {
            Self::Api { .. } => "api",
            Self::Timeout { .. } => "timeout",
            Self::NotLeading => "not_leading",
        }
    }

    /// The API server's own status, if it answered with one.
    pub(crate) fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Api { source: kube::Error::Api(status), .. } => Some(status),
            _ => None,
        }
    }
}

/// The answer to one request, in bounded time.
pub(crate) async fn bounded<T>(
    what: &'static str,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Error> {
    within(REQUEST, what, request).await
}

/// The answer to one request, within `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    what: &'static str,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Error> {
    let answer = tokio::time::timeout(limit, request).await.map_err(|_| Error::Timeout { what, limit })?;
    answer.map_err(|source| Error::Api { what, source })
}
