//! `/_/health` and `/_/ready`, as the peers answer them. Neither is counted or limited.

use hyper::{Method, StatusCode};

use crate::answer::{self, Answer};
use crate::server::Server;

/// Alive and taking requests.
pub(crate) fn health(server: &Server, method: &Method) -> Answer {
    match *method {
        Method::GET if server.is_open() => answer::text(StatusCode::OK, "OK"),
        Method::GET => answer::empty(StatusCode::SERVICE_UNAVAILABLE),
        _ => answer::empty(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// What this replica knows of its readiness itself. None: ready, as far as the handler is.
pub(crate) fn not_ready(server: &Server, method: &Method) -> Option<Answer> {
    let status = match *method {
        Method::GET if !server.is_open() => StatusCode::SERVICE_UNAVAILABLE,
        Method::GET if server.limiter.is_full() => StatusCode::TOO_MANY_REQUESTS,
        Method::GET => return None,
        _ => StatusCode::METHOD_NOT_ALLOWED,
    };
    Some(answer::empty(status))
}
