//! One request: what is invalid is refused, invocations are answered here, everything else by the API.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::http::header::{CONNECTION, LOCATION};
use axum::http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::SERVED_BY;
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

impl Content {
    /// In bytes, if it is known.
    fn length(&self) -> Option<u64> {
        match self {
            Self::Text(text) => Some(text.len() as u64),
            Self::Relayed(body) => body.size_hint().exact(),
            Self::Api(body) => body.size_hint().exact(),
        }
    }
}

/// An answer's body; the request is under way until it is dropped.
pub(crate) struct Answer {
    content: Content,
    turn: Turn,
}

/// Answers a request of this client.
pub(crate) async fn answer(client: &Client, request: Request<Incoming>) -> Response<Answer> {
    let turn = client.watch.begin();
    let limit = client.worker.gateway.0.config.limits.body_timeout;
    let request = request.map(|body| Upload::new(body, &client.watch, limit));
    let http1 = request.version() < Version::HTTP_2;
    let mut access = Access::of(client, &request);
    let gateway = &client.worker.gateway.0;
    let (mut response, fatal) = match framing::check(&request, &gateway.config.limits) {
        // Boxed: it is handed on from step to step.
        Ok(fields) => (route(client, Box::new(request), fields, &mut access).await, false),
        Err(fault) => (fault.into_response(), true),
    };
    // A client of HTTP/2 may open no window; logs that are followed are as long as they are, and need credentials.
    if !matches!(response.body(), Content::Relayed(_)) && response.body().length().is_some() {
        end_stream_at(Instant::now() + limit);
    }
    // An invocation took it, and writes it when its answer has ended.
    if let Some(access) = access {
        access.write(response.status(), Side::of_answer(&response));
    }
    let headers = response.headers_mut();
    headers.insert(SERVED, HeaderValue::from_static(SERVED_BY));
    if http1 && (fatal || gateway.draining.load(Ordering::Relaxed)) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|content| Answer { content, turn })
}

const SERVED: HeaderName = HeaderName::from_static(faas_api::headers::SERVED_BY);

async fn route(
    client: &Client,
    request: Box<Request<Upload>>,
    fields: Fields,
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
    // Kept apart, so that invocations are small.
    Box::pin(client.worker.answer(*request)).await.map(Content::Api)
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.turn.passing();
        match &mut self.content {
            Content::Text(text) if text.is_empty() => Poll::Ready(None),
            Content::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            Content::Relayed(body) => Pin::new(&mut **body).poll_frame(context),
            Content::Api(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Text(text) => text.is_empty(),
            Content::Relayed(body) => body.is_end_stream(),
            Content::Api(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Text(text) => SizeHint::with_exact(text.len() as u64),
            Content::Relayed(body) => body.size_hint(),
            Content::Api(body) => body.size_hint(),
        }
    }
}
