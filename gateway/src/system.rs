//! The `/system` API: HTTP only, one file a resource; what is asked goes to the provider. Statuses and texts are the
//! peers', which their clients match on.

pub(crate) mod functions;
pub(crate) mod info;
pub(crate) mod jobs;
pub(crate) mod logs;
pub(crate) mod namespaces;
pub(crate) mod packages;
pub(crate) mod queue;
pub(crate) mod scale;
pub(crate) mod secrets;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use faas_api::{FunctionId, Namespace};
use faas_provider::Error;
use serde::Deserialize;

use crate::Gateway;

/// Seconds after which what did not answer may answer again.
const RETRY_AFTER: u16 = 5;

/// A status and a text for the caller.
pub(crate) struct Refusal(pub(crate) StatusCode, pub(crate) String);

impl Refusal {
    pub(crate) fn bad_request(text: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, text.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let unavailable = self.0 == StatusCode::SERVICE_UNAVAILABLE;
        let mut response = (self.0, self.1).into_response();
        if unavailable {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER.into());
        }
        response
    }
}

/// The one place where a provider's error becomes a status. Resources with texts of their own map before.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::FunctionNotFound(_) | Error::NamespaceNotFound(_) | Error::SecretNotFound(_) => {
                StatusCode::NOT_FOUND
            }
            Error::FunctionExists(_) | Error::NamespaceExists(_) | Error::SecretExists(_) => {
                StatusCode::CONFLICT
            }
            Error::Invalid(_) => StatusCode::BAD_REQUEST,
            Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Error::Forbidden(_) => StatusCode::FORBIDDEN,
            Error::Unavailable { .. } => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the provider is unavailable");
                StatusCode::SERVICE_UNAVAILABLE
            }
            Error::Internal { .. } => {
                tracing::error!(error = &error as &dyn std::error::Error, "the provider failed");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self(status, error.to_string())
    }
}

/// `?namespace=`, on every route.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Scope {
    #[serde(default)]
    pub(crate) namespace: String,
}

impl Scope {
    /// The namespace of the body, else of the query, else the default one.
    pub(crate) fn namespace(&self, gateway: &Gateway, body: &str) -> Result<Namespace, Refusal> {
        match if body.is_empty() { self.namespace.as_str() } else { body } {
            "" => Ok(gateway.0.config.namespace.clone()),
            name => name.parse().map_err(|_| Refusal::bad_request("namespace not valid")),
        }
    }

    /// A function by the name of a path or body, which may carry its namespace after a dot.
    pub(crate) fn function(&self, gateway: &Gateway, name: &str, body: &str) -> Result<FunctionId, Refusal> {
        let namespace = self.namespace(gateway, body)?;
        FunctionId::parse(name, &namespace)
            .map_err(|_| Refusal(StatusCode::NOT_FOUND, format!("function: {name}.{namespace} not found")))
    }
}
