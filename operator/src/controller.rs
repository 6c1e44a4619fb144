//! What is watched, and which function each change is about.
//!
//! Objects are kept without what nobody here reads, so that memory is bounded by what the cluster holds of functions.

use std::fmt::Debug;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use faas_k8s::{Function, OPERATOR, labels};
use futures_util::future::{BoxFuture, FutureExt as _, Shared};
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::ListParams;
use kube::runtime::controller::{self, Controller};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::Config;
use crate::error::{Error, bounded};
use crate::lease::Leadership;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::reconcile::{Context, reconcile, retry};

/// Between tries to begin.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Reconciles until `stop` is cancelled, and then finishes what it has begun.
pub(crate) async fn run(
    client: Client,
    config: &Config,
    metrics: Arc<Metrics>,
    leadership: Leadership,
    stop: CancellationToken,
) {
    let scope = Scope { client: client.clone(), namespace: config.namespace.clone() };
    let ours = watcher::Config::default().labels(labels::FUNCTION);
    let (functions, function_changes) = scope.watch(watcher::Config::default(), strip::<Function>);
    let (deployments, deployment_changes) = scope.watch(ours.clone(), strip_deployment);
    let (services, service_changes) = scope.watch(ours.clone(), strip_service);
    let (pods, pod_changes) = scope.watch(ours, strip_pod);
    let context = Arc::new(Context {
        complete: complete(deployments.clone(), services.clone(), pods.clone()),
        recorder: Recorder::new(client.clone(), Reporter { controller: OPERATOR.to_owned(), instance: None }),
        client,
        settings: config.settings.clone(),
        defaults: config.defaults.clone(),
        deployments,
        services,
        pods,
        memory: Memory::default(),
        metrics,
        leadership,
    });
    let memory = Arc::clone(&context);
    Controller::for_stream(function_changes, functions)
        .with_config(controller::Config::default().concurrency(config.workers))
        .watches_stream(deployment_changes, |object| about(&object))
        .watches_stream(service_changes, |object| about(&object))
        .watches_stream(pod_changes, |object| about(&object))
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(reconcile, |function, error, context| retry(&function, error, &context), context)
        .for_each(|result| {
            settle(&memory.memory, result);
            ready(())
        })
        .await;
}

/// Shared, since a store wakes only one of those who wait for it.
fn complete(
    deployments: Store<Deployment>,
    services: Store<Service>,
    pods: Store<Pod>,
) -> Shared<BoxFuture<'static, ()>> {
    let all = async move {
        // The error is that of a watch that has ended, as it does with the controller.
        let _ = deployments.wait_until_ready().await;
        let _ = services.wait_until_ready().await;
        let _ = pods.wait_until_ready().await;
    };
    all.boxed().shared()
}

/// Waits until everything that is to be watched can be listed: it says now what right is missing, and not only when a
/// function is wanting.
pub(crate) async fn check(client: &Client, config: &Config) {
    let scope = Scope { client: client.clone(), namespace: config.namespace.clone() };
    while let Err(error) = scope.can_list().await {
        let hint = match error.status().map(|status| status.code) {
            Some(404) => "install the definition of Function: the chart's crd/functions.openfaas.com.yaml",
            Some(401 | 403) => "grant the operator's account the rights that the chart lists",
            _ => "is the API server reachable?",
        };
        tracing::error!(error = &error as &dyn std::error::Error, hint, "cannot begin yet");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    tracing::info!("ready");
}

type Outcome = Result<(ObjectRef<Function>, controller::Action), controller::Error<Error, watcher::Error>>;

/// Failures of functions are told where they are retried; here are those of the watches.
fn settle(memory: &Memory, outcome: Outcome) {
    match outcome {
        Err(controller::Error::ObjectNotFound(gone)) => {
            memory.forget(&ObjectRef::new(&gone.name).within(&gone.namespace.unwrap_or_default()));
        }
        Err(controller::Error::QueueError(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a watch failed and is tried again");
        }
        Ok(_) | Err(_) => {}
    }
}

/// The function that an object was made for.
fn about<K: ResourceExt>(object: &K) -> Option<ObjectRef<Function>> {
    let name = object.labels().get(labels::FUNCTION)?;
    Some(ObjectRef::new(name).within(&object.namespace()?))
}

struct Scope {
    client: Client,
    namespace: Option<String>,
}

impl Scope {
    async fn can_list(&self) -> Result<(), Error> {
        let one = ListParams::default().limit(1);
        bounded("list functions", self.api::<Function>().list_metadata(&one)).await?;
        bounded("list Deployments", self.api::<Deployment>().list_metadata(&one)).await?;
        bounded("list Services", self.api::<Service>().list_metadata(&one)).await?;
        bounded("list pods", self.api::<Pod>().list_metadata(&one)).await.map(drop)
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// Objects of one kind as they are now, and each that changes. Both are stripped before they are kept.
    fn watch<K>(
        &self,
        config: watcher::Config,
        strip: fn(&mut K),
    ) -> (Store<K>, impl Stream<Item = Result<K, watcher::Error>> + Send + use<K>)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
    {
        let (reader, writer) = store();
        let changes =
            watcher(self.api(), config).default_backoff().modify(strip).reflect(writer).touched_objects();
        (reader, changes)
    }
}

fn strip<K: ResourceExt>(object: &mut K) {
    object.managed_fields_mut().clear();
    // A copy of the whole object that `kubectl apply` leaves.
    object.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
}

fn strip_deployment(deployment: &mut Deployment) {
    strip(deployment);
    deployment.spec = None;
}

fn strip_service(service: &mut Service) {
    strip(service);
    service.spec = None;
    service.status = None;
}

fn strip_pod(pod: &mut Pod) {
    strip(pod);
    pod.metadata.annotations = None;
    pod.metadata.owner_references = None;
    pod.spec = None;
}
