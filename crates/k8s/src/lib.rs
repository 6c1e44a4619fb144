//! What the platform says to Kubernetes: the `Function` resource, names of labels and annotations, and pure functions
//! from a `Function` to the objects that run it and from its pods to what a person should know.
//!
//! Reading order: `function` (the resource), `wire` (from and to the `/system` API), `validate` (is it sound), `build`
//! (Deployment and Service), `trouble` (what is wrong with a pod), `status` (conditions).
//!
//! It does not become: a client of the API server, or a place for what only one of operator and provider knows.

pub mod annotations;
mod build;
mod function;
pub mod labels;
mod status;
mod trouble;
mod validate;
mod wire;

pub use build::{Settings, build_deployment, build_service, owner_reference};
pub use function::{Function, FunctionSpec, FunctionStatus, Probe, Probes, ResourceList, Scaling};
pub use status::{Observed, Stalled, build_status, status_differs};
pub use trouble::{Blame, Trouble, find_trouble, is_ready, rollout_trouble};
pub use validate::{Defaults, Secrets, Valid, ValidProbe, validate};
pub use wire::{from_deployment, least_replicas, scaling, terms, to_status, wanted_replicas};

/// Owns the fields that the operator applies.
pub const OPERATOR: &str = "faas-operator";
/// Owns the fields that gateways write.
pub const GATEWAY: &str = "faas-gateway";
/// Where a function listens in its pod, and its Service too.
pub const PORT: u16 = 8080;
