//! `/system/functions` and `/system/function/{name}`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use faas_api::{
    DeleteFunctionRequest, FunctionDeployment, FunctionId, FunctionName, FunctionStatus, Resources,
    parse_bytes, parse_duration, parse_millicores,
};
use faas_provider::Error;
use serde::Deserialize;

use super::{Refusal, Scope};
use crate::Gateway;
use crate::metrics::invocation_count;

/// `GET /system/functions`: what is deployed in a namespace, with invocation counts.
pub(crate) async fn list(
    State(gateway): State<Gateway>,
    Query(scope): Query<Scope>,
) -> Result<Json<Vec<FunctionStatus>>, Refusal> {
    let namespace = scope.namespace(&gateway, "")?;
    let mut functions = gateway.0.provider.list(&namespace).await.map_err(namespace_not_valid)?;
    for status in &mut functions {
        if let Ok(name) = status.name.parse::<FunctionName>() {
            let function = FunctionId::new(name, namespace.clone());
            status.invocation_count = invocation_count(&gateway.0.table, &function);
        }
    }
    Ok(Json(functions))
}

#[derive(Debug, Deserialize)]
pub(crate) struct GetQuery {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    usage: String,
}

/// `GET /system/function/{name}`.
pub(crate) async fn get(
    State(gateway): State<Gateway>,
    Path(name): Path<String>,
    Query(query): Query<GetQuery>,
) -> Result<Json<FunctionStatus>, Refusal> {
    let function = Scope { namespace: query.namespace }.function(&gateway, &name, "")?;
    let usage = matches!(query.usage.as_str(), "1" | "true");
    match gateway.0.provider.get(&function, usage).await {
        Ok(status) => Ok(Json(status)),
        Err(Error::FunctionNotFound(_)) => {
            Err(Refusal(StatusCode::NOT_FOUND, format!("function: {function} not found")))
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /system/functions`.
pub(crate) async fn deploy(
    State(gateway): State<Gateway>,
    Query(scope): Query<Scope>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let (function, deployment) = parse(&gateway, &scope, &body, "failed to unmarshal request")?;
    match gateway.0.provider.deploy(&function, deployment).await {
        Ok(()) => Ok(StatusCode::ACCEPTED),
        Err(Error::FunctionExists(function)) => {
            let text =
                format!("unable create Deployment: deployments.apps \"{}\" already exists", function.name);
            Err(Refusal(StatusCode::CONFLICT, text))
        }
        Err(error) => Err(namespace_not_valid(error)),
    }
}

/// `PUT /system/functions`; clients fall back to `POST` on its 404.
pub(crate) async fn update(
    State(gateway): State<Gateway>,
    Query(scope): Query<Scope>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let (function, deployment) = parse(&gateway, &scope, &body, "unable to unmarshal request")?;
    match gateway.0.provider.update(&function, deployment).await {
        Ok(()) => Ok(StatusCode::ACCEPTED),
        Err(Error::FunctionNotFound(function)) => Err(absent("update", &function)),
        Err(error) => Err(namespace_not_valid(error)),
    }
}

/// `DELETE /system/functions`.
pub(crate) async fn delete(
    State(gateway): State<Gateway>,
    Query(scope): Query<Scope>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let request: DeleteFunctionRequest =
        serde_json::from_slice(&body).map_err(|_| Refusal::bad_request(""))?;
    if request.function_name.is_empty() {
        return Err(Refusal::bad_request(""));
    }
    let function = scope.function(&gateway, &request.function_name, &request.namespace)?;
    match gateway.0.provider.delete(&function).await {
        Ok(()) => Ok(StatusCode::ACCEPTED),
        Err(Error::FunctionNotFound(function)) => Err(absent("delete", &function)),
        Err(error) => Err(error.into()),
    }
}

fn absent(verb: &str, function: &FunctionId) -> Refusal {
    let text = format!(
        "unable {verb} Deployment: {function}, error: deployments.apps \"{}\" not found",
        function.name
    );
    Refusal(StatusCode::NOT_FOUND, text)
}

fn namespace_not_valid(error: Error) -> Refusal {
    match error {
        Error::NamespaceNotFound(_) => Refusal::bad_request("namespace not valid"),
        other => other.into(),
    }
}

/// A deployment that any provider could take: its names, quantities and durations are what they should be.
fn parse(
    gateway: &Gateway,
    scope: &Scope,
    body: &[u8],
    prefix: &str,
) -> Result<(FunctionId, FunctionDeployment), Refusal> {
    let deployment: FunctionDeployment =
        serde_json::from_slice(body).map_err(|error| Refusal::bad_request(format!("{prefix}: {error}")))?;
    let invalid = |text: String| Refusal::bad_request(format!("validation failed: {text}"));
    if deployment.service.is_empty() {
        return Err(invalid("service: is required".into()));
    }
    let name = deployment.service.parse().map_err(|_| {
        invalid(format!("service: ({}) is invalid, must be a valid DNS entry", deployment.service))
    })?;
    if deployment.image.is_empty() && deployment.package.is_none() {
        return Err(invalid("image: is required".into()));
    }
    for resources in [&deployment.limits, &deployment.requests].into_iter().flatten() {
        check_resources(resources)?;
    }
    if !deployment.timeout.is_empty() {
        parse_duration(&deployment.timeout).map_err(|error| invalid(format!("timeout: {error}")))?;
    }
    for (name, value) in &deployment.env_vars {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(invalid(format!(
                "envVars: ({name}) is invalid, must be a name without = and a value without NUL"
            )));
        }
    }
    let namespace = scope.namespace(gateway, &deployment.namespace)?;
    Ok((FunctionId::new(name, namespace), deployment))
}

fn check_resources(resources: &Resources) -> Result<(), Refusal> {
    let refuse = |error: &dyn std::fmt::Display| {
        Refusal::bad_request(format!("failed create Deployment spec: {error}"))
    };
    if !resources.memory.is_empty() {
        parse_bytes(&resources.memory).map_err(|error| refuse(&error))?;
    }
    if !resources.cpu.is_empty() {
        parse_millicores(&resources.cpu).map_err(|error| refuse(&error))?;
    }
    Ok(())
}
