//! Labels that objects carry or that mean something.

/// On a function's Deployment, Service and pods: the function's name. What a selector may use.
pub use faas_api::labels::{FUNCTION, NAMESPACE, SCALE_MIN};

/// Says who made a Secret.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value on secrets made through the gateway; only those are listed.
pub const MANAGED_BY_US: &str = "openfaas";
/// Set by the Deployment controller: one value a revision of the pod template.
pub const TEMPLATE_HASH: &str = "pod-template-hash";
