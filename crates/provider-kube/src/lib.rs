//! Functions on Kubernetes: the gateway's side of it. The operator runs them.
//!
//! Owns the words `Function`, `Secret` and `Namespace` towards the API server, and the routes, which it makes from what
//! it watches: functions and their pods. Only pods are watched, not `EndpointSlice`s, which say later what a pod's own
//! `Ready` condition and deletion say. It refuses packages, and writes no Deployment: that is the operator's.
//!
//! Routes come from memory and go on standing while the API server is away; every `/system` call asks the API server
//! itself, within 10 seconds, so that several gateways read their own writes. What a write returns is in
//! the routes when the call returns. Memory is bounded by what the cluster holds: a few hundred bytes for each function
//! and pod.
//!
//! Reading order: `provider` (what the gateway asks), `functions`, `namespaces`, `secrets` (what is written), `state`
//! (from what was seen to routes, without IO), `routes` (its lock and the sink), `watch` (what feeds it), `look_up`,
//! `logs`, `error` (the API server's refusals).

mod error;
mod functions;
mod logs;
mod look_up;
mod namespaces;
mod provider;
mod routes;
mod secrets;
mod state;
mod watch;

use faas_api::{Namespace, Version};
use faas_k8s::GATEWAY;
use kube::api::PostParams;

pub use provider::Kube;
pub use secrets::secret_of;

/// What the provider is told at start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where functions are whose caller named no namespace.
    pub namespace: Namespace,
    /// Whether functions may be in other namespaces too. The gateway's account needs rights in all of them for that;
    /// without it, a role in `namespace` is enough.
    pub many_namespaces: bool,
    /// What `/system/info` says of the provider.
    pub version: Version,
}

/// For writes: says whose fields they are.
fn as_gateway() -> PostParams {
    PostParams { field_manager: Some(GATEWAY.into()), ..PostParams::default() }
}
