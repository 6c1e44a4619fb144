//! `GET /system/logs`: lines as ndjson, each flushed as it comes. With `follow` until the caller leaves or the gateway
//! drains.

use std::num::NonZeroU64;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use faas_api::LogMessage;
use faas_provider::{Error, LogQuery};
use futures_util::StreamExt as _;
use jiff::Timestamp;

use super::{Refusal, Scope};
use crate::Gateway;

/// How far back lines go if neither `tail` nor `since` is given.
const DEFAULT_SINCE: Duration = Duration::from_mins(5);

pub(crate) async fn logs(
    State(gateway): State<Gateway>,
    pairs: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response<Body>, Refusal> {
    let query = parse(&gateway, &pairs.map_err(|_| invalid())?)?;
    let lines = match gateway.0.provider.logs(query).await {
        Ok(lines) => lines,
        Err(Error::FunctionNotFound(_)) => {
            return Err(Refusal(StatusCode::NOT_IMPLEMENTED, String::new()));
        }
        Err(error) => return Err(error.into()),
    };
    // Who follows would hold up a drain for ever.
    let drain = gateway.0.shutdown.drain.clone().cancelled_owned();
    let body = Body::from_stream(lines.take_until(drain).map(|line| encode(&line)));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

fn invalid() -> Refusal {
    Refusal(StatusCode::UNPROCESSABLE_ENTITY, "could not parse the log request".into())
}

fn encode(line: &LogMessage) -> Result<Bytes, serde_json::Error> {
    let mut json = serde_json::to_vec(line)?;
    json.push(b'\n');
    Ok(json.into())
}

fn parse(gateway: &Gateway, pairs: &[(String, String)]) -> Result<LogQuery, Refusal> {
    let last =
        |name: &str| pairs.iter().rev().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let name = Some(last("name")).filter(|name| !name.is_empty()).ok_or_else(invalid)?;
    let tail = match last("tail") {
        "" => None,
        tail => u64::try_from(tail.parse::<i64>().map_err(|_| invalid())?).ok().and_then(NonZeroU64::new),
    };
    let since = match last("since") {
        "" => None,
        since => Some(since.parse::<Timestamp>().map_err(|_| invalid())?),
    };
    let follow = match last("follow") {
        "" | "0" | "f" | "F" | "false" | "False" | "FALSE" => false,
        "1" | "t" | "T" | "true" | "True" | "TRUE" => true,
        _ => return Err(invalid()),
    };
    // "Neither given" is about the parameters: clients that want everything send tail=-1.
    let recent = || Timestamp::now().checked_sub(DEFAULT_SINCE).ok();
    let default = if last("tail").is_empty() && since.is_none() { recent() } else { None };
    Ok(LogQuery {
        function: Scope { namespace: last("namespace").into() }.function(gateway, name, "")?,
        instance: Some(last("instance")).filter(|instance| !instance.is_empty()).map(Into::into),
        tail,
        since: since.or(default),
        follow,
    })
}
