//! One request: what is invalid is refused, invocations are answered here, everything else by the API.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::http::header::{CONNECTION, LOCATION};
use axum::http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::SERVED_BY;
use crate::enqueue;
use crate::fault::{Fault, Side};
use crate::framing::{self, Fields};
use crate::invoke::access::Access;
use crate::invoke::{self, Relayed, Upload, canonical_path};
use crate::server::{Client, Turn, end_stream_at};

/// What the answer's body is made of.
pub(crate) enum Content {
    /// Text of ours, taken when it is sent.
    Text(Bytes),
    /// A function's.
    Relayed(Box<Relayed>),
    /// The API's.
    Api(axum::body::Body),
}

/// An answer's body; the request is under way until it is dropped.
pub(crate) struct Answer {
    content: Content,
    turn: Turn,
}

/// Answers a request of this client. What is handed on from step to step is boxed: each step keeps what it is given, and
/// all of them together are the memory of a request (1 kB instead of 3).
pub(crate) async fn answer(
    client: Arc<Client>,
    request: Box<Request<Upload>>,
) -> Result<Response<Answer>, Infallible> {
    let turn = client.watch.begin();
    let http1 = request.version() < Version::HTTP_2;
    let mut access = Access::of(&client, &request);
    let gateway = &client.worker.gateway.0;
    let mut fields = match framing::check(&request, &gateway.config.limits) {
        Ok(fields) => fields,
        Err(fault) => return Ok(finish(&client, turn, access, fault.into_response(), http1)),
    };
    let response = route(&client, request, &mut fields, &mut access).await;
    let close = http1 && gateway.draining.load(Ordering::Relaxed);
    Ok(finish(&client, turn, access, response, close))
}

fn finish(
    client: &Client,
    turn: Turn,
    access: Option<Box<Access>>,
    mut response: Response<Content>,
    close: bool,
) -> Response<Answer> {
    // A client of HTTP/2 may open no window; logs that are followed are as long as they are, and need credentials.
    if !matches!(response.body(), Content::Relayed(_)) && response.body().size_hint().exact().is_some() {
        end_stream_at(Instant::now() + client.worker.gateway.0.config.limits.body_timeout);
    }
    // An invocation took it, and writes it when its answer has ended.
    if let Some(access) = access {
        access.write(response.status(), Side::of_answer(&response));
    }
    let headers = response.headers_mut();
    headers.insert(SERVED, HeaderValue::from_static(SERVED_BY));
    if close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|content| Answer { content, turn })
}

const SERVED: HeaderName = HeaderName::from_static(faas_api::headers::SERVED_BY);

async fn route(
    client: &Client,
    request: Box<Request<Upload>>,
    fields: &mut Fields,
    access: &mut Option<Box<Access>>,
) -> Response<Content> {
    // Peers' clients rely on one form of each path, and traversal must not reach another function.
    match canonical_path(request.uri()) {
        Ok(None) => {}
        Ok(Some(location)) => {
            let mut response = Response::new(Content::Text(Bytes::new()));
            *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
            response.headers_mut().insert(LOCATION, location);
            return response;
        }
        Err(invalid) => {
            let fault = Fault::new(Side::Client, StatusCode::BAD_REQUEST, "invalid path");
            return fault.body(invalid.to_string()).into_response();
        }
    }
    if request.uri().path().starts_with("/function/") {
        return invoke::invoke(client, request, fields, access).await;
    }
    if let Some(ingest) = &client.worker.gateway.0.ingest
        && enqueue::has_body(request.method())
        && request.uri().path().starts_with(enqueue::PREFIX)
    {
        return Box::pin(enqueue::enqueue(client, ingest, request, fields, access)).await;
    }
    // Kept apart, so that invocations are small.
    Box::pin(client.worker.answer(*request)).await.map(Content::Api)
}

impl Body for Content {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Text(text) if text.is_empty() => Poll::Ready(None),
            Self::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            Self::Relayed(body) => Pin::new(&mut **body).poll_frame(context),
            Self::Api(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Relayed(body) => body.is_end_stream(),
            Self::Api(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.len() as u64),
            Self::Relayed(body) => body.size_hint(),
            Self::Api(body) => body.size_hint(),
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.turn.passing();
        Pin::new(&mut self.content).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}
