//! The one place where the API server's refusals become errors, and where calls to it are bounded in time.

use std::time::Duration;

use faas_provider::Error;
use kube::core::Status;

/// How long one call to the API server may take.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a call to the API server did not happen.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) kind: Kind,
    error: Error,
}

/// What callers treat differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The object is not there, or its namespace.
    NotFound,
    /// An object of that name is there.
    AlreadyExists,
    /// It was changed since it was read.
    Conflict,
    /// Any other reason.
    Other,
}

impl Failed {
    /// `error` if it failed so, else what the API server said.
    pub(crate) fn when(self, kind: Kind, error: impl FnOnce() -> Error) -> Error {
        if self.kind == kind { error() } else { self.error }
    }

    fn new(what: &'static str, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self { kind: kind(&status), error: refusal(what, *status) },
            error if is_transport(&error) => {
                Self { kind: Kind::Other, error: Error::unavailable(what)(error) }
            }
            error => Self { kind: Kind::Other, error: Error::internal(what)(error) },
        }
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

/// Makes one call, bounded in time.
pub(crate) async fn call<T>(
    what: &'static str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Failed> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(result) => result.map_err(|error| Failed::new(what, error)),
        Err(elapsed) => Err(Failed { kind: Kind::Other, error: Error::unavailable(what)(elapsed) }),
    }
}

/// By the reason alone: a 404 without one comes from a path that is not served, such as that of a resource that is not
/// installed.
fn kind(status: &Status) -> Kind {
    match status.reason.as_str() {
        "NotFound" => Kind::NotFound,
        "AlreadyExists" => Kind::AlreadyExists,
        "Conflict" => Kind::Conflict,
        _ => Kind::Other,
    }
}

fn refusal(what: &'static str, status: Status) -> Error {
    match status.code {
        403 => Error::Forbidden(forbidden(&status.message)),
        400 | 413 | 422 => Error::Invalid(status.message),
        404 => Error::unavailable("find the resource: the chart's definition of Function is not installed")(
            status,
        ),
        409 | 429 | 500..=599 => Error::unavailable(what)(status),
        _ => Error::internal(what)(status),
    }
}

/// The API server names verb, resource and namespace where a right is missing; quotas and admission say their own.
fn forbidden(message: &str) -> String {
    if !message.contains(" is forbidden: User \"") {
        return message.to_owned();
    }
    format!(
        "{message}: grant it to that service account with a role, or install the chart with clusterRole=true for functions in other namespaces"
    )
}

fn is_transport(error: &kube::Error) -> bool {
    matches!(error, kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(code: u16, reason: &str, message: &str) -> Failed {
        Failed::new("ask", kube::Error::Api(Status::failure(message, reason).with_code(code).boxed()))
    }

    #[test]
    fn each_refusal_has_its_error() {
        assert_eq!(failed(404, "NotFound", "").kind, Kind::NotFound);
        assert_eq!(failed(404, "Failed to parse error data", "404 page not found").kind, Kind::Other);
        assert_eq!(failed(409, "AlreadyExists", "").kind, Kind::AlreadyExists);
        assert_eq!(failed(409, "Conflict", "").kind, Kind::Conflict);
        assert!(matches!(Error::from(failed(422, "Invalid", "no")), Error::Invalid(text) if text == "no"));
        assert!(matches!(Error::from(failed(503, "", "")), Error::Unavailable { .. }));
        assert!(matches!(Error::from(failed(429, "TooManyRequests", "")), Error::Unavailable { .. }));
        assert!(matches!(Error::from(failed(401, "Unauthorized", "")), Error::Internal { .. }));
    }

    #[test]
    fn a_missing_right_is_named_with_what_to_do() {
        let message = r#"secrets is forbidden: User "x" cannot list resource "secrets" in API group "" in the namespace "dev""#;
        let Error::Forbidden(text) = failed(403, "Forbidden", message).into() else {
            panic!("it is not forbidden");
        };
        assert!(text.starts_with(message) && text.contains("clusterRole=true"), "{text}");
        let quota = "exceeded quota: most";
        assert!(matches!(failed(403, "Forbidden", quota).into(), Error::Forbidden(text) if text == quota));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_unavailable() {
        let silent = std::future::pending::<Result<(), kube::Error>>();
        assert!(matches!(call("ask", silent).await.map_err(Error::from), Err(Error::Unavailable { .. })));
    }
}
