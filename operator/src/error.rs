//! Why one reconciliation did not come to its end; it is tried again.

use std::future::Future;
use std::time::Duration;

/// One request to the API server. A leader's last write ends before another may lead: see `lease`.
pub(crate) const REQUEST: Duration = Duration::from_secs(5);

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
    #[error("failed to {what}: the API server did not answer within {} s", REQUEST.as_secs())]
    Timeout {
        /// What was being done.
        what: &'static str,
    },
    /// What an earlier function of the same name left is being removed.
    #[error("the {kind} of an earlier function of this name is being removed")]
    LeftBehind {
        /// Of object.
        kind: &'static str,
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
            Self::LeftBehind { .. } => "left_behind",
            Self::NotLeading => "not_leading",
        }
    }

    /// The API server's words, if it refused what was asked rather than failed at it.
    pub(crate) fn refusal(&self) -> Option<&str> {
        let status = self.status()?;
        let refused = (400..500).contains(&status.code) && ![404, 409, 429].contains(&status.code);
        refused.then_some(status.message.as_str())
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
    let answer = tokio::time::timeout(REQUEST, request).await.map_err(|_| Error::Timeout { what })?;
    answer.map_err(|source| Error::Api { what, source })
}
