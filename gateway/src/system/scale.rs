//! `POST /system/scale-function/{name}`: any number, 0 included.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use faas_api::ScaleRequest;
use faas_provider::Error;

use super::{Refusal, Scope};
use crate::Gateway;

pub(crate) async fn scale(
    State(gateway): State<Gateway>,
    Path(name): Path<String>,
    Query(scope): Query<Scope>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let request: ScaleRequest = serde_json::from_slice(&body)
        .map_err(|_| Refusal::bad_request("Cannot parse request. Please pass valid JSON."))?;
    let function = scope.function(&gateway, &name, &request.namespace)?;
    match gateway.0.provider.scale(&function, request.replicas).await {
        Ok(()) => Ok(StatusCode::ACCEPTED),
        Err(Error::FunctionNotFound(function)) => {
            let text = format!("Unable to lookup function deployment {}", function.name);
            Err(Refusal(StatusCode::NOT_FOUND, text))
        }
        Err(error) => Err(error.into()),
    }
}
