//! `/system/namespaces` and `/system/namespace/{namespace}`, both spellings.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use faas_api::{FunctionNamespace, Namespace, labels};
use faas_provider::Error;

use super::Refusal;
use crate::Gateway;

pub(crate) async fn list(State(gateway): State<Gateway>) -> Result<Json<Vec<String>>, Refusal> {
    let namespaces = gateway.0.provider.list_namespaces().await?;
    Ok(Json(namespaces.into_iter().map(|namespace| namespace.name).collect()))
}

/// Any method but `POST` on the path without a name.
pub(crate) async fn unnamed() -> Refusal {
    Refusal::bad_request("namespace not specified in URL")
}

pub(crate) async fn get(
    State(gateway): State<Gateway>,
    Path(name): Path<String>,
) -> Result<Json<FunctionNamespace>, Refusal> {
    let namespaces = gateway.0.provider.list_namespaces().await?;
    let found = namespaces.into_iter().find(|namespace| namespace.name == name);
    found.map(Json).ok_or_else(|| absent(&name))
}

/// The name in the body counts, as the peers have it.
pub(crate) async fn create(State(gateway): State<Gateway>, body: Bytes) -> Result<StatusCode, Refusal> {
    let namespace = parse(&body)?;
    if namespace.labels.get(labels::NAMESPACE).is_none_or(|value| value != "1") {
        return Err(Refusal::bad_request("request does not have openfaas=1 label"));
    }
    let name = namespace.name.clone();
    match gateway.0.provider.create_namespace(namespace).await {
        Ok(()) => Ok(StatusCode::CREATED),
        Err(Error::NamespaceExists(_)) => {
            Err(Refusal(StatusCode::CONFLICT, format!("namespace {name} already exists")))
        }
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn update(
    State(gateway): State<Gateway>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let namespace = parse(&body)?;
    if namespace.name != name {
        return Err(Refusal::bad_request("namespace in request body does not match namespace in URL"));
    }
    match gateway.0.provider.update_namespace(namespace).await {
        Ok(()) => Ok(StatusCode::ACCEPTED),
        Err(Error::NamespaceNotFound(_)) => Err(absent(&name)),
        Err(error) => Err(error.into()),
    }
}

/// The body may be empty; a name in it must be that of the path.
pub(crate) async fn delete(
    State(gateway): State<Gateway>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    if !body.is_empty() && parse(&body)?.name != name {
        return Err(Refusal::bad_request("namespace in request body does not match namespace in URL"));
    }
    let namespace: Namespace = name.parse().map_err(|_| absent(&name))?;
    match gateway.0.provider.delete_namespace(&namespace).await {
        Ok(()) => Ok(StatusCode::ACCEPTED),
        Err(Error::NamespaceNotFound(_)) => Err(absent(&name)),
        Err(error) => Err(error.into()),
    }
}

fn absent(name: &str) -> Refusal {
    Refusal(StatusCode::NOT_FOUND, format!("namespace {name} not found"))
}

fn parse(body: &[u8]) -> Result<FunctionNamespace, Refusal> {
    let namespace: FunctionNamespace = serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request(format!("error parsing request body: {error}")))?;
    if namespace.name.is_empty() {
        return Err(Refusal::bad_request("namespace not specified in request body"));
    }
    let _: Namespace = namespace.name.parse().map_err(|error| Refusal::bad_request(format!("{error}")))?;
    Ok(namespace)
}
