//! The access log: one line for each request, where it is asked for. Neither headers nor bodies.

use axum::http::{HeaderValue, Method, Request, StatusCode};
use tokio::time::Instant;

use crate::fault::Side;
use crate::server::Client;

/// What is known when a request comes.
pub(crate) struct Access {
    client: HeaderValue,
    /// Of an invocation.
    pub(crate) call_id: Option<HeaderValue>,
    method: Method,
    /// Without the query, which may hold secrets.
    path: String,
    started: Instant,
}

impl Access {
    /// `None` unless the log is on.
    pub(crate) fn of<B>(client: &Client, request: &Request<B>) -> Option<Box<Self>> {
        client.worker.gateway.0.config.access_log.then(|| {
            Box::new(Self {
                client: client.caller.address.clone(),
                call_id: None,
                method: request.method().clone(),
                path: request.uri().path().to_owned(),
                started: Instant::now(),
            })
        })
    }

    /// What became of it.
    pub(crate) fn write(&self, status: StatusCode, fault: Option<Side>) {
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        tracing::info!(
            target: "access",
            client = text(&self.client),
            call_id = self.call_id.as_ref().map(text),
            method = %self.method,
            path = self.path,
            status = status.as_u16(),
            fault = fault.map(Side::name),
            elapsed_ms = self.started.elapsed().as_secs_f64() * 1e3,
        );
    }
}
