//! `/system/secrets`: values go in and never come out. Refusals have empty bodies, as the peers' have, unless the text
//! tells what to do.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use faas_api::{Namespace, Secret, is_subdomain};
use faas_provider::Error;
use serde::Serialize;

use super::{Refusal, Scope};
use crate::Gateway;

/// What Kubernetes allows.
const VALUE_BYTES: usize = 1 << 20;

/// One secret in a list.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    name: String,
    namespace: Namespace,
}

pub(crate) async fn list(
    State(gateway): State<Gateway>,
    Query(scope): Query<Scope>,
) -> Result<Json<Vec<Listed>>, Refusal> {
    let namespace = scope.namespace(&gateway, "")?;
    let names = gateway.0.provider.list_secrets(&namespace).await.map_err(refuse)?;
    Ok(Json(names.into_iter().map(|name| Listed { name, namespace: namespace.clone() }).collect()))
}

pub(crate) async fn create(
    State(gateway): State<Gateway>,
    Query(scope): Query<Scope>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let (namespace, secret) = parse(&gateway, &scope, &body)?;
    let value = value(&secret)?;
    gateway.0.provider.create_secret(&namespace, &secret.name, value).await.map_err(refuse)?;
    Ok(StatusCode::ACCEPTED)
}

pub(crate) async fn update(
    State(gateway): State<Gateway>,
    Query(scope): Query<Scope>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let (namespace, secret) = parse(&gateway, &scope, &body)?;
    let value = value(&secret)?;
    gateway.0.provider.update_secret(&namespace, &secret.name, value).await.map_err(refuse)?;
    Ok(StatusCode::ACCEPTED)
}

pub(crate) async fn delete(
    State(gateway): State<Gateway>,
    Query(scope): Query<Scope>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let (namespace, secret) = parse(&gateway, &scope, &body)?;
    gateway.0.provider.delete_secret(&namespace, &secret.name).await.map_err(refuse)?;
    Ok(StatusCode::ACCEPTED)
}

fn refuse(error: Error) -> Refusal {
    if matches!(error, Error::NamespaceNotFound(_)) {
        return Refusal::bad_request("");
    }
    let Refusal(status, text) = error.into();
    let empty = matches!(status, StatusCode::NOT_FOUND | StatusCode::CONFLICT);
    Refusal(status, if empty { String::new() } else { text })
}

fn parse(gateway: &Gateway, scope: &Scope, body: &[u8]) -> Result<(Namespace, Secret), Refusal> {
    let secret: Secret = serde_json::from_slice(body).map_err(|_| {
        Refusal::bad_request("expected a JSON object with \"name\" and \"value\" or \"rawValue\"")
    })?;
    if secret.name.is_empty() {
        return Err(Refusal::bad_request("name: is required"));
    }
    if !is_subdomain(&secret.name) {
        let text = format!("name: {:?} is invalid, must be a DNS-1123 subdomain", secret.name);
        return Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, text));
    }
    Ok((scope.namespace(gateway, &secret.namespace)?, secret))
}

fn value(secret: &Secret) -> Result<Vec<u8>, Refusal> {
    let value = if secret.raw_value.is_empty() {
        secret.value.clone().into_bytes()
    } else {
        STANDARD.decode(&secret.raw_value).map_err(|_| Refusal::bad_request("rawValue: is not base64"))?
    };
    if value.len() > VALUE_BYTES {
        return Err(Refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("value: is larger than {VALUE_BYTES} bytes"),
        ));
    }
    Ok(value)
}
