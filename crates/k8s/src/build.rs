//! From a sound function to the objects that run it. Pure, and the same for the same input, so that applying it twice
//! changes nothing.

mod container;
mod deployment;
mod probes;
mod service;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource as _;

use crate::Function;

pub use deployment::build_deployment;
pub use service::build_service;

/// What holds for all functions of an installation.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Probe over HTTP; else by the watchdog's lock file.
    pub http_probe: bool,
    /// Run as user 12000, whatever the image says.
    pub set_nonroot_user: bool,
    /// `Always`, `IfNotPresent` or `Never`.
    pub image_pull_policy: String,
}

/// Makes what carries it go with the function. `None` for a function that the API server has not seen.
pub fn owner_reference(function: &Function) -> Option<OwnerReference> {
    function.controller_owner_ref(&())
}

#[cfg(test)]
mod tests;
