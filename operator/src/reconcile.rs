//! One function: dereference, validate, build, apply, report. Idempotent, and never asks why it was called.

use std::sync::Arc;
use std::time::Duration;

use faas_k8s::{
    Defaults, Function, Observed, Settings, Stalled, annotations, build_deployment, build_service,
    find_trouble, labels, least_replicas, owner_reference, rollout_trouble, validate,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::time::Instant;

use crate::error::{Error, bounded};
use crate::lease::Leadership;
use crate::memory::{Memory, Plan};
use crate::metrics::Metrics;
use crate::{apply, dereference, report};

/// Failures in a row double the wait, up to this.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// What somebody else has to mend is looked at so often.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What every reconciliation uses.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    pub(crate) defaults: Defaults,
    pub(crate) deployments: Store<Deployment>,
    pub(crate) services: Store<Service>,
    pub(crate) pods: Store<Pod>,
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
    let started = Instant::now();
    let result = run(&function, &context).await;
    let outcome = result.as_ref().map_or_else(Error::category, |_| "ok");
    context.metrics.record_reconcile(outcome, started.elapsed());
    if result.is_ok() {
        context.memory.record_success(&function);
    }
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
    Action::requeue(LONGEST_WAIT.min(Duration::from_millis(250) * 2_u32.saturating_pow(failures.min(8))))
}

async fn run(function: &Function, context: &Context) -> Result<Action, Error> {
    if function.metadata.deletion_timestamp.is_some() {
        // What it owns goes with it.
        return Ok(Action::await_change());
    }
    let plan = match function.spec.replicas {
        Some(_) => plan(function, context).await?,
        None if set_replicas(function, context).await? => return Ok(Action::await_change()),
        None => Err(old_definition()),
    };
    let applied = match &plan {
        Ok(plan) => rejected(apply::apply(context, function, plan).await)?,
        Err(stalled) => Err(stalled.clone()),
    };
    let deployment = context.deployment(function);
    let pods = pods(function, context);
    let trouble = find_trouble(pods.iter().map(AsRef::as_ref))
        .or_else(|| deployment.as_deref().and_then(rollout_trouble));
    let observed = Observed {
        applied: applied.as_ref().copied(),
        deployment: deployment.as_deref(),
        trouble: trouble.as_ref(),
    };
    report::report(context, function, &observed).await?;
    Ok(applied.map_or_else(|_| Action::requeue(LOOK_AGAIN), |()| Action::await_change()))
}

/// The scale subresource, and so every autoscaler, needs the number to be there. `false` if there is no such subresource.
async fn set_replicas(function: &Function, context: &Context) -> Result<bool, Error> {
    context.may_write("Function")?;
    let api: Api<Function> =
        Api::namespaced(context.client.clone(), &function.namespace().unwrap_or_default());
    let (name, patch) =
        (function.name_any(), json!({ "spec": { "replicas": least_replicas(&function.spec) } }));
    let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
    let request = api.patch_scale(&name, &params, &patch);
    match bounded("set the number of replicas", request).await {
        Err(error) if error.status().is_some_and(|status| status.code == 409) => Ok(true),
        Err(error) if error.status().is_some_and(|status| status.code == 404) => Ok(false),
        result => result.map(|_| true),
    }
}

fn old_definition() -> Stalled {
    let text = "the cluster's definition of Function has no replicas: apply the chart's crd/functions.openfaas.com.yaml";
    Stalled::new("OldDefinition", text)
}

/// What the function wants, or why that cannot be. Asked anew only when the function has changed, or when what stood in
/// its way may have gone.
async fn plan(function: &Function, context: &Context) -> Result<Result<Arc<Plan>, Stalled>, Error> {
    if let Some(plan @ Ok(_)) = context.memory.plan(function) {
        return Ok(plan);
    }
    let secrets = dereference::secrets(&context.client, function).await?;
    let plan = match validate(function, &secrets, &context.defaults) {
        Err(stalled) => Err(stalled),
        Ok(valid) => dereference::names_are_free(&context.client, function).await?.map(|()| {
            let (owner, deployed_at) =
                (owner_reference(function), function.annotations().get(annotations::DEPLOYED_AT));
            Arc::new(Plan {
                deployment: build_deployment(
                    &valid,
                    &context.settings,
                    owner.clone(),
                    deployed_at.map(String::as_str),
                ),
                service: build_service(&valid, owner),
            })
        }),
    };
    context.memory.set_plan(function, Some(plan.clone()));
    Ok(plan)
}

/// What the API server finds invalid will not become valid by trying again.
fn rejected(result: Result<(), Error>) -> Result<Result<(), Stalled>, Error> {
    match result {
        Ok(()) => Ok(Ok(())),
        Err(error) => match error.status() {
            Some(status) if status.code == 422 => {
                Ok(Err(Stalled::new("Rejected", format!("the API server refused it: {}", status.message))))
            }
            _ => Err(error),
        },
    }
}

fn pods(function: &Function, context: &Context) -> Vec<Arc<Pod>> {
    let (name, namespace) = (function.name_any(), function.namespace());
    let own =
        |pod: &Arc<Pod>| pod.labels().get(labels::FUNCTION) == Some(&name) && pod.namespace() == namespace;
    context.pods.state().into_iter().filter(own).collect()
}
