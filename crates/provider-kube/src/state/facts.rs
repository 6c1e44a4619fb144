//! What is kept of a function and of a pod: no more than a route needs.

use std::net::{IpAddr, SocketAddr};

use faas_api::{FunctionId, Scaling, Terms};
use faas_k8s::{
    Blame, Function, PORT, Trouble, annotations, find_trouble, is_ready, labels, scaling, terms,
    wanted_replicas,
};
use faas_provider::{Cause, Failure};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

/// A function as one version of its resource has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FunctionFacts {
    pub(crate) id: FunctionId,
    /// Of this resource; the next one of the same name has another.
    pub(crate) uid: String,
    /// Grows with each change, over all functions of the cluster.
    pub(crate) version: u64,
    pub(crate) created: Timestamp,
    pub(crate) wanted: u32,
    pub(crate) terms: Terms,
    pub(crate) scaling: Scaling,
    /// Whether the operator saw a replica of it answer.
    pub(crate) available: bool,
    /// When a gateway last deployed it, if one did; its pods say the same.
    pub(crate) deployed_at: Option<String>,
    /// Why the operator does not go on with it as it stands.
    pub(crate) stalled: Option<Failure>,
    /// Whether it is on its way out, and counts as absent.
    pub(crate) deleting: bool,
}

impl FunctionFacts {
    /// `None` if its name is none that a function can have.
    pub(crate) fn of(function: &Function) -> Option<Self> {
        let (meta, spec) = (&function.metadata, &function.spec);
        let status = function.status.as_ref();
        Some(Self {
            id: FunctionId::new(meta.name.as_ref()?.parse().ok()?, meta.namespace.as_ref()?.parse().ok()?),
            uid: meta.uid.clone()?,
            version: meta.resource_version.as_ref()?.parse().ok()?,
            created: created(meta.creation_timestamp.as_ref()),
            wanted: wanted_replicas(function),
            terms: terms(spec),
            scaling: scaling(spec),
            available: status.is_some_and(|status| status.available_replicas > 0),
            deployed_at: function.annotations().get(annotations::DEPLOYED_AT).cloned(),
            stalled: stalled(function),
            deleting: meta.deletion_timestamp.is_some(),
        })
    }
}

/// Only what the operator says of the spec as it is now.
fn stalled(function: &Function) -> Option<Failure> {
    let conditions = &function.status.as_ref()?.conditions;
    let stalled =
        conditions.iter().find(|condition| condition.type_ == "Stalled" && condition.status == "True")?;
    let current = stalled.observed_generation == function.metadata.generation;
    current.then(|| failure(Cause::Platform, &stalled.message))
}

/// A pod that carries a function's label.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PodFacts {
    pub(crate) function: FunctionId,
    pub(crate) uid: String,
    pub(crate) name: String,
    pub(crate) created: Timestamp,
    /// When a gateway deployed the revision it is of, if one did.
    pub(crate) deployed_at: Option<String>,
    /// Where it takes invocations: `None` unless it is ready and stays.
    pub(crate) address: Option<SocketAddr>,
    /// Whether it is on its way out.
    pub(crate) deleting: bool,
    /// One value a revision of the Deployment's template.
    pub(crate) template: String,
    /// Why it does not come to answer.
    pub(crate) failure: Option<Failure>,
}

impl PodFacts {
    /// `None` if its label is no function's name.
    pub(crate) fn of(pod: &Pod) -> Option<Self> {
        let meta = &pod.metadata;
        let function = pod.labels().get(labels::FUNCTION)?.parse().ok()?;
        Some(Self {
            function: FunctionId::new(function, meta.namespace.as_ref()?.parse().ok()?),
            uid: meta.uid.clone()?,
            name: meta.name.clone()?,
            created: created(meta.creation_timestamp.as_ref()),
            deployed_at: pod.annotations().get(annotations::DEPLOYED_AT).cloned(),
            address: is_ready(pod).then(|| address(pod)).flatten(),
            deleting: meta.deletion_timestamp.is_some(),
            template: pod.labels().get(labels::TEMPLATE_HASH).cloned().unwrap_or_default(),
            failure: find_trouble([pod]).map(|trouble| pod_failure(&trouble)),
        })
    }
}

fn address(pod: &Pod) -> Option<SocketAddr> {
    let ip: IpAddr = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
    Some(SocketAddr::new(ip, PORT))
}

fn pod_failure(trouble: &Trouble) -> Failure {
    let cause = match trouble.blame {
        Blame::Handler => Cause::Handler,
        Blame::Platform => Cause::Platform,
    };
    failure(cause, &trouble.message)
}

/// On one line.
fn failure(cause: Cause, message: &str) -> Failure {
    let line: Vec<&str> = message.split_whitespace().collect();
    Failure { cause, reason: line.join(" ").into() }
}

fn created(time: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>) -> Timestamp {
    time.map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}
