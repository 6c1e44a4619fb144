//! `/system/packages/{digest}`: whether a package is here, and taking one in. The body streams to the provider.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use bytes::Bytes;
use faas_api::Digest;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;

use super::{Refusal, Scope};
use crate::Gateway;

/// Between two pieces of an upload.
const STALL_TIMEOUT: Duration = Duration::from_mins(1);
/// No package has more.
const MOST_BYTES: usize = 256 << 20;

/// `GET` will need the function's own token.
pub(crate) async fn not_served() -> StatusCode {
    StatusCode::METHOD_NOT_ALLOWED
}

/// `HEAD`: 200 or 404.
pub(crate) async fn head(
    State(gateway): State<Gateway>,
    Path(digest): Path<String>,
) -> Result<StatusCode, Refusal> {
    let here = gateway.0.provider.has_package(&parse(&digest)?).await?;
    Ok(if here { StatusCode::OK } else { StatusCode::NOT_FOUND })
}

#[derive(Debug, Deserialize)]
pub(crate) struct PutQuery {
    #[serde(default)]
    image: String,
    #[serde(default)]
    namespace: String,
}

/// `PUT`: 201 when taken in, 200 when it was here already; with `?image=` the tag is remembered. For a package that is
/// here the body may be empty.
pub(crate) async fn put(
    State(gateway): State<Gateway>,
    Path(digest): Path<String>,
    Query(query): Query<PutQuery>,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let digest = parse(&digest)?;
    let namespace = Scope { namespace: query.namespace }.namespace(&gateway, "")?;
    let provider = &gateway.0.provider;
    // A client that stalls would hold its upload's file for ever.
    let stalled = |_| io::Error::new(io::ErrorKind::TimedOut, "nothing came for a minute");
    let body =
        tokio_stream::StreamExt::timeout(body.into_data_stream().map_err(io::Error::other), STALL_TIMEOUT);
    let mut body = body.map(move |chunk| chunk.map_err(stalled).and_then(|chunk| chunk)).boxed();
    let status = if provider.has_package(&digest).await? {
        drain(&mut body).await?;
        StatusCode::OK
    } else {
        provider.put_package(&digest, body).await?;
        StatusCode::CREATED
    };
    if !query.image.is_empty() {
        provider.tag_package(&namespace, &query.image, &digest).await?;
    }
    Ok(status)
}

/// Reads to the end, within the limit of any package: a client that is cut off while it sends sees a broken connection, not
/// the answer.
async fn drain(body: &mut BoxStream<'_, io::Result<Bytes>>) -> Result<(), Refusal> {
    let mut bytes = 0;
    while let Some(chunk) = body.try_next().await.map_err(|error| Refusal::bad_request(error.to_string()))? {
        bytes += chunk.len();
        if bytes > MOST_BYTES {
            return Err(Refusal(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the package is larger than {MOST_BYTES} bytes"),
            ));
        }
    }
    Ok(())
}

fn parse(digest: &str) -> Result<Digest, Refusal> {
    digest.parse().map_err(|error: faas_api::InvalidDigest| Refusal::bad_request(error.to_string()))
}
