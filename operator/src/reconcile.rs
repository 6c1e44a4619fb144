//! One function: dereference, validate, build, apply, report. Idempotent, and never asks why it was called.

use std::sync::Arc;
use std::time::Duration;

use faas_k8s::{
    Defaults, Function, Observed, Settings, Stalled, find_trouble, labels, least_replicas, rollout_trouble,
};
use futures_util::future::{BoxFuture, Shared};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::Patch;
use kube::runtime::controller::Action;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::time::Instant;

use crate::error::{Error, bounded};
use crate::lease::Leadership;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::plan::plan;
use crate::{apply, report};

/// Failures in a row double the wait, up to this; what somebody else has to mend is looked at no more seldom.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// What somebody else has to mend is looked at this soon, and later after half the time that it has lasted.
const SHORTEST_WAIT: Duration = Duration::from_secs(5);
/// A watch that broke does not tell what was deleted meanwhile.
const LOOK_AGAIN: Duration = Duration::from_mins(10);

/// What every reconciliation uses.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    pub(crate) defaults: Defaults,
    pub(crate) deployments: Store<Deployment>,
    pub(crate) services: Store<Service>,
    pub(crate) pods: Store<Pod>,
    /// Ends once what there was at the start is known: what is not yet seen would be told as missing.
    pub(crate) complete: Shared<BoxFuture<'static, ()>>,
    pub(crate) recorder: Recorder,
    pub(crate) memory: Memory,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) leadership: Leadership,
}

impl Context {
    /// Refuses unless this copy leads, and counts the write.
    pub(crate) fn may_write(&self, kind: &str) -> Result<(), Error> {
        if !self.leadership.holds() {
            return Err(Error::NotLeading);
        }
        self.metrics.record_write(kind);
        Ok(())
    }

    pub(crate) fn deployment(&self, function: &Function) -> Option<Arc<Deployment>> {
        self.deployments.get(&reference(function)).filter(|found| is_owned(function, found.as_ref()))
    }

    pub(crate) fn service(&self, function: &Function) -> Option<Arc<Service>> {
        self.services.get(&reference(function)).filter(|found| is_owned(function, found.as_ref()))
    }
}

/// One that an earlier function of the same name left says nothing of this one.
fn is_owned(function: &Function, object: &impl ResourceExt) -> bool {
    object.owner_references().iter().any(|owner| Some(&owner.uid) == function.metadata.uid.as_ref())
}

fn reference<K: kube::Resource<DynamicType = ()>>(function: &Function) -> ObjectRef<K> {
    ObjectRef::new(&function.name_any()).within(&function.namespace().unwrap_or_default())
}

/// Brings what runs to what is wanted, as far as that is possible now.
pub(crate) async fn reconcile(function: Arc<Function>, context: Arc<Context>) -> Result<Action, Error> {
    context.complete.clone().await;
    let started = Instant::now();
    let result = run(&function, &context).await;
    let outcome = result.as_ref().map_or_else(Error::category, |_| "ok");
    context.metrics.record_reconcile(outcome, started.elapsed());
    result
}

/// Longer after each failure in a row.
pub(crate) fn retry(function: &Arc<Function>, error: &Error, context: &Context) -> Action {
    let failures = context.memory.record_failure(function);
    tracing::warn!(
        function = function.name_any(),
        namespace = function.namespace(),
        failures,
        error = error as &dyn std::error::Error,
        "failed to reconcile"
    );
    Action::requeue(LONGEST_WAIT.min(Duration::from_millis(125) * 2_u32.saturating_pow(failures.min(9))))
}

async fn run(function: &Function, context: &Context) -> Result<Action, Error> {
    if function.metadata.deletion_timestamp.is_some() {
        // What it owns goes with it.
        return Ok(Action::await_change());
    }
    if function.spec.replicas.is_none() && set_replicas(function, context).await? {
        return Ok(Action::await_change());
    }
    let applied = refused(apply(function, context).await)?;
    let deployment = context.deployment(function);
    let pods = pods(function, context);
    let trouble = find_trouble(pods.iter().map(AsRef::as_ref))
        .or_else(|| deployment.as_deref().and_then(rollout_trouble));
    let observed = Observed {
        applied: applied.as_ref().copied(),
        deployment: deployment.as_deref(),
        generation: context.memory.deployment(function).map_or(0, |left| left.generation),
        trouble: trouble.as_ref(),
    };
    report::report(context, function, &observed).await?;
    Ok(next(function, context, applied.is_ok() && !is_starting(function, deployment.as_deref())))
}

/// When to look again, though nothing changes.
fn next(function: &Function, context: &Context, well: bool) -> Action {
    if !well {
        let age = context.memory.unwell_for(function);
        return Action::requeue((age / 2).clamp(SHORTEST_WAIT, LONGEST_WAIT));
    }
    context.memory.record_success(function);
    let jitter = function.uid().unwrap_or_default().bytes().map(u64::from).sum::<u64>() % 60;
    Action::requeue(LOOK_AGAIN + Duration::from_secs(jitter))
}

async fn apply(function: &Function, context: &Context) -> Result<Result<(), Stalled>, Error> {
    if function.spec.replicas.is_none() {
        return Ok(Err(old_definition()));
    }
    // What keeps it from starting may be a secret that has gone since.
    let starting = is_starting(function, context.deployment(function).as_deref());
    match plan(function, context, starting).await? {
        Ok(plan) => apply::apply(context, function, &plan).await.map(Ok),
        Err(stalled) => Ok(Err(stalled)),
    }
}

fn is_starting(function: &Function, deployment: Option<&Deployment>) -> bool {
    let status = deployment.and_then(|deployment| deployment.status.as_ref());
    let available = status.and_then(|status| status.available_replicas).unwrap_or_default();
    available == 0 && function.spec.replicas != Some(0)
}

/// The scale subresource, and so every autoscaler, needs the number to be there. `false` if there is no such subresource.
async fn set_replicas(function: &Function, context: &Context) -> Result<bool, Error> {
    context.may_write("Function")?;
    let api: Api<Function> =
        Api::namespaced(context.client.clone(), &function.namespace().unwrap_or_default());
    // The version keeps it from what somebody has set meanwhile.
    let patch = Patch::Merge(json!({
        "metadata": { "resourceVersion": function.resource_version() },
        "spec": { "replicas": least_replicas(&function.spec) },
    }));
    let (name, params) = (function.name_any(), report::field_manager());
    match bounded("set the number of replicas", api.patch_scale(&name, &params, &patch)).await {
        Err(error) if error.status().is_some_and(|status| status.code == 409) => Ok(true),
        Err(error) if error.status().is_some_and(|status| status.code == 404) => Ok(false),
        result => result.map(|_| true),
    }
}

fn old_definition() -> Stalled {
    let text = "the cluster's definition of Function has no replicas: apply the chart's crd/functions.openfaas.com.yaml";
    Stalled::new("OldDefinition", text)
}

/// What the API server refuses is told where people look, and tried again later.
fn refused(result: Result<Result<(), Stalled>, Error>) -> Result<Result<(), Stalled>, Error> {
    result.or_else(|error| match error.refusal() {
        Some(message) => {
            Ok(Err(Stalled::new("Rejected", format!("{error}: the API server refused it: {message}"))))
        }
        None => Err(error),
    })
}

fn pods(function: &Function, context: &Context) -> Vec<Arc<Pod>> {
    let (name, namespace) = (function.name_any(), function.namespace());
    let own =
        |pod: &Arc<Pod>| pod.labels().get(labels::FUNCTION) == Some(&name) && pod.namespace() == namespace;
    context.pods.state().into_iter().filter(own).collect()
}
