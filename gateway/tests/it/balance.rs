//! Which replica gets a request, and what becomes of it when a replica, a caller or the time fails.

mod failure;
mod leaving;
mod spread;
mod timeout;
mod waiting;

use crate::fixture::{Answer, Server, Upstream};

/// Requests seen by all of these.
fn seen(upstreams: &[&Upstream]) -> usize {
    upstreams.iter().map(|upstream| upstream.requests().len()).sum()
}

/// In front of one function `f` with these replicas.
fn before(upstreams: &[&Upstream]) -> Server {
    let server = Server::start();
    server.route("f", upstreams);
    server
}

/// Says whose fault a failure was.
fn side(answer: &Answer) -> &str {
    answer.header("x-faas-fault").and_then(|fault| fault.split(';').next()).unwrap_or_default()
}
