//! The access log: one line for each invocation, where it is asked for. Neither headers nor bodies.

use std::time::Duration;

use axum::http::{HeaderValue, Method, Request, StatusCode};

use super::headers::Stamp;
use crate::fault::{Fault, Side};
use crate::server::Client;

/// What is known when an invocation begins.
pub(super) struct Access {
    client: HeaderValue,
    call_id: HeaderValue,
    method: Method,
    /// Without the query, which may hold secrets.
    path: String,
}

impl Access {
    /// `None` unless the log is on.
    pub(super) fn of<B>(client: &Client, request: &Request<B>, stamp: &Stamp) -> Option<Box<Self>> {
        client.worker.gateway.0.config.access_log.then(|| {
            Box::new(Self {
                client: client.caller.address.clone(),
                call_id: stamp.call_id().clone(),
                method: request.method().clone(),
                path: request.uri().path().to_owned(),
            })
        })
    }

    /// For an invocation that did not begin.
    pub(super) fn refused(access: Option<Box<Self>>, fault: &Fault) {
        if let Some(access) = access {
            access.write(fault.status, Some(fault.side), Duration::ZERO);
        }
    }

    pub(super) fn write(&self, status: StatusCode, fault: Option<Side>, elapsed: Duration) {
        tracing::info!(
            target: "access",
            client = self.client.to_str().unwrap_or_default(),
            call_id = self.call_id.to_str().unwrap_or_default(),
            method = %self.method,
            path = self.path,
            status = status.as_u16(),
            fault = fault.map(Side::name),
            elapsed_ms = elapsed.as_secs_f64() * 1e3,
        );
    }
}
