//! What is wrong with a function's pods, in words for the one who deployed it.
//!
//! Looks at the newest revision only: what an older one suffers is being replaced.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};
use kube::ResourceExt as _;

use crate::labels;

/// Whose doing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The user's code, which ended.
    Handler,
    /// What should have run it, or what it was told.
    Platform,
}

/// Why a pod does not come to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// One word in camel case, Kubernetes' own where it has one.
    pub reason: &'static str,
    /// A sentence for a person.
    pub message: String,
    /// Whose doing it is.
    pub blame: Blame,
}

/// Whether the pod takes invocations.
pub fn is_ready(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && condition(pod, "Ready").is_some_and(|(status, _)| status)
}

/// The trouble of the newest revision's pods; `None` if one of them is ready or none has failed.
pub fn find_trouble<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> Option<Trouble> {
    let living = pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let mut living: Vec<&Pod> = living.collect();
    living.sort_by_key(|pod| created(pod));
    let newest = living.last().map(|pod| hash(pod).to_owned())?;
    let mut pods = living.into_iter().filter(|pod| hash(pod) == newest);
    if pods.clone().any(is_ready) {
        return None;
    }
    pods.find_map(trouble_of)
}

/// Why no pod could even be made: a quota, or Pod Security.
pub fn rollout_trouble(deployment: &Deployment) -> Option<Trouble> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let mut failures = conditions.iter().filter(|condition| condition.type_ == "ReplicaFailure");
    let failure = failures.find(|condition| condition.status == "True")?;
    let message = format!("no pod can be made: {}", failure.message.clone().unwrap_or_default());
    Some(Trouble { reason: "PodsRefused", message, blame: Blame::Platform })
}

fn created(pod: &Pod) -> Timestamp {
    pod.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

fn hash(pod: &Pod) -> &str {
    pod.labels().get(labels::TEMPLATE_HASH).map_or("", String::as_str)
}

fn condition(pod: &Pod, kind: &str) -> Option<(bool, String)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|condition| condition.type_ == kind)?;
    Some((found.status == "True", found.message.clone().unwrap_or_default()))
}

fn trouble_of(pod: &Pod) -> Option<Trouble> {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses
        .into_iter()
        .flatten()
        .find_map(|status| container_trouble(pod, status))
        .or_else(|| unscheduled(pod))
}

fn unscheduled(pod: &Pod) -> Option<Trouble> {
    let (false, message) = condition(pod, "PodScheduled")? else { return None };
    let message = format!("no node takes it: {message}; see requests, limits and constraints");
    Some(Trouble { reason: "Unschedulable", message, blame: Blame::Platform })
}

fn container_trouble(pod: &Pod, status: &ContainerStatus) -> Option<Trouble> {
    if status.ready {
        return None;
    }
    let state = status.state.clone().unwrap_or_default();
    waiting(&state, status).or_else(|| ended(pod, status, &state))
}

/// States that do not pass by themselves.
fn waiting(state: &ContainerState, status: &ContainerStatus) -> Option<Trouble> {
    let waiting = state.waiting.as_ref()?;
    let detail = waiting.message.clone().unwrap_or_default();
    let image = &status.image;
    let (reason, message) = match waiting.reason.as_deref()? {
        "ImagePullBackOff" | "ErrImagePull" => (
            "ImagePullBackOff",
            format!(
                "the image {image} could not be pulled: {detail}; check its name and the registry's credentials"
            ),
        ),
        "ErrImageNeverPull" => (
            "ErrImageNeverPull",
            format!("the image {image} is not on the node, and pulling is switched off"),
        ),
        "InvalidImageName" => ("InvalidImageName", format!("{image:?} is not an image's name")),
        "CreateContainerConfigError" => {
            ("CreateContainerConfigError", format!("the container could not be made: {detail}"))
        }
        "CreateContainerError" | "RunContainerError" => {
            ("RunContainerError", format!("the container could not be started: {detail}"))
        }
        _ => return None,
    };
    Some(Trouble { reason, message, blame: Blame::Platform })
}

/// The container ended and waits to be started again, or has just been.
fn ended(pod: &Pod, status: &ContainerStatus, state: &ContainerState) -> Option<Trouble> {
    let last = || status.last_state.as_ref()?.terminated.clone();
    let terminated = state.terminated.clone().or_else(last)?;
    let name = pod.labels().get(labels::FUNCTION).cloned().unwrap_or_default();
    let reason = match terminated.reason.as_deref() {
        Some("OOMKilled") => "OutOfMemory",
        _ => "CrashLoop",
    };
    let message = format!("{}: see \"faas logs {name}\"", how_it_ended(&terminated));
    Some(Trouble { reason, message, blame: Blame::Handler })
}

fn how_it_ended(terminated: &ContainerStateTerminated) -> String {
    match (terminated.reason.as_deref(), terminated.signal) {
        (Some("OOMKilled"), _) => "the handler was killed: it needs more memory than its limit".into(),
        (Some("StartError"), _) => {
            format!("the container could not be started: {}", terminated.message.clone().unwrap_or_default())
        }
        (_, Some(signal)) if signal != 0 => format!("the handler was ended by signal {signal}"),
        _ => format!("the handler ended with exit code {}", terminated.exit_code),
    }
}

#[cfg(test)]
mod tests;
