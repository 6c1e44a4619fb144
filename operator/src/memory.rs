//! What spares the API server: what each function was last found to want, and how its objects stood when they were last
//! applied. All of it can be lost; then each function is checked and applied once more, which changes nothing.
//!
//! Bounded by the functions that there are: what is deleted is forgotten.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use faas_k8s::{Function, Stalled, annotations};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;

/// The objects that a sound function wants.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) deployment: Deployment,
    pub(crate) service: Service,
}

/// The version of a function that a plan was made from. The generation does not know of annotations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    uid: String,
    generation: Option<i64>,
    deployed_at: Option<String>,
}

impl Version {
    pub(crate) fn of(function: &Function) -> Self {
        Self {
            uid: function.uid().unwrap_or_default(),
            generation: function.metadata.generation,
            deployed_at: function.annotations().get(annotations::DEPLOYED_AT).cloned(),
        }
    }
}

/// An object as it stood once applied: its spec has changed since if the generation has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) uid: String,
    pub(crate) generation: i64,
}

#[derive(Debug, Default)]
struct Known {
    version: Option<Version>,
    plan: Option<Result<Arc<Plan>, Stalled>>,
    deployment: Option<Applied>,
    service: Option<String>,
    failures: u32,
    /// Since when it has not been as it should.
    unwell: Option<Instant>,
}

/// What is known of every function.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<HashMap<ObjectRef<Function>, Known>>);

impl Memory {
    fn with<T>(&self, function: &Function, change: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(known.entry(ObjectRef::from_obj(function)).or_default())
    }

    pub(crate) fn forget(&self, function: &ObjectRef<Function>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(function);
    }

    /// The plan made from this very version, unless it was one that somebody else may have unblocked.
    pub(crate) fn plan(&self, function: &Function) -> Option<Result<Arc<Plan>, Stalled>> {
        let version = Version::of(function);
        self.with(function, |known| {
            (known.version.as_ref() == Some(&version)).then(|| known.plan.clone()).flatten()
        })
    }

    /// Remembers what became of this version. What was applied of another is to be applied anew.
    pub(crate) fn set_plan(&self, function: &Function, plan: Option<Result<Arc<Plan>, Stalled>>) {
        self.with(function, |known| {
            let version = Version::of(function);
            if known.version.as_ref() != Some(&version) {
                known.unwell = None;
            }
            known.version = Some(version);
            known.plan = plan;
            known.deployment = None;
            known.service = None;
        });
    }

    pub(crate) fn deployment(&self, function: &Function) -> Option<Applied> {
        self.with(function, |known| known.deployment.clone())
    }

    pub(crate) fn set_deployment(&self, function: &Function, applied: Option<Applied>) {
        self.with(function, |known| known.deployment = applied);
    }

    pub(crate) fn service(&self, function: &Function) -> Option<String> {
        self.with(function, |known| known.service.clone())
    }

    pub(crate) fn set_service(&self, function: &Function, resource_version: Option<String>) {
        self.with(function, |known| known.service = resource_version);
    }

    /// Counts one more failure in a row.
    pub(crate) fn record_failure(&self, function: &Function) -> u32 {
        self.with(function, |known| {
            known.failures = known.failures.saturating_add(1);
            known.failures
        })
    }

    /// All is well.
    pub(crate) fn record_success(&self, function: &Function) {
        self.with(function, |known| (known.failures, known.unwell) = (0, None));
    }

    /// How long this version has not been as it should, from the first time that this was asked.
    pub(crate) fn unwell_for(&self, function: &Function) -> Duration {
        self.with(function, |known| {
            known.failures = 0;
            known.unwell.get_or_insert_with(Instant::now).elapsed()
        })
    }
}
