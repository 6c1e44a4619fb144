//! The Deployment.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, LocalObjectReference, PodSecurityContext, PodSpec, PodTemplateSpec,
    ProjectedVolumeSource, SeccompProfile, SecretProjection, Volume, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Settings, container};
use crate::{Valid, annotations, labels};

/// The user that functions run as.
const USER: i64 = 12_000;

/// The Deployment of `function`; `deployed_at` changes when its pods are to be replaced though nothing else has.
pub fn build_deployment(
    function: &Valid,
    settings: &Settings,
    owner: Option<OwnerReference>,
    deployed_at: Option<&str>,
) -> Deployment {
    let own = BTreeMap::from([(labels::FUNCTION.to_owned(), function.name.to_string())]);
    let mut pod_labels = function.labels.clone();
    pod_labels.extend(own.clone());
    let annotations = annotations(function);
    let mut pod_annotations = annotations.clone();
    pod_annotations.extend(deployed_at.map(|time| (annotations::DEPLOYED_AT.to_owned(), time.to_owned())));
    Deployment {
        metadata: ObjectMeta {
            name: Some(function.name.to_string()),
            namespace: Some(function.namespace.clone()),
            labels: Some(own.clone()),
            annotations: Some(annotations),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(DeploymentSpec {
            replicas: Some(function.replicas),
            revision_history_limit: Some(10),
            selector: LabelSelector { match_labels: Some(own), ..LabelSelector::default() },
            strategy: Some(one_more_then_one_less()),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(pod_labels),
                    annotations: Some(pod_annotations),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(function, settings)),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// The user's, and `prometheus.io.scrape: "false"` unless they say otherwise, in either spelling.
pub(super) fn annotations(function: &Valid) -> BTreeMap<String, String> {
    let mut annotations = function.annotations.clone();
    if !annotations.contains_key("prometheus.io/scrape") {
        annotations.entry(annotations::SCRAPE.to_owned()).or_insert_with(|| "false".to_owned());
    }
    annotations
}

/// The old replica answers until the new one is ready.
fn one_more_then_one_less() -> DeploymentStrategy {
    DeploymentStrategy {
        type_: Some("RollingUpdate".into()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(IntOrString::Int(1)),
            max_unavailable: Some(IntOrString::Int(0)),
        }),
    }
}

fn pod(function: &Valid, settings: &Settings) -> PodSpec {
    let pull = function.pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() });
    PodSpec {
        containers: vec![container::build(function, settings)],
        volumes: Some(volumes(function)).filter(|volumes| !volumes.is_empty()),
        image_pull_secrets: Some(pull.collect()).filter(|pull: &Vec<_>| !pull.is_empty()),
        node_selector: Some(function.node_selector.clone()).filter(|selector| !selector.is_empty()),
        service_account_name: function.service_account.clone(),
        // Only a function that was given an account has a use for its token.
        automount_service_account_token: Some(function.service_account.is_some()),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(i64::try_from(function.grace.as_secs()).unwrap_or(i64::MAX)),
        security_context: Some(PodSecurityContext {
            run_as_non_root: settings.set_nonroot_user.then_some(true),
            run_as_user: settings.set_nonroot_user.then_some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        ..PodSpec::default()
    }
}

fn volumes(function: &Valid) -> Vec<Volume> {
    let temp = Volume {
        name: container::TEMP.into(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    };
    let projection = |name: &String| VolumeProjection {
        secret: Some(SecretProjection { name: name.clone(), ..SecretProjection::default() }),
        ..VolumeProjection::default()
    };
    let secrets = Volume {
        name: container::secrets_volume(function),
        projected: Some(ProjectedVolumeSource {
            sources: Some(function.secrets.iter().map(projection).collect()),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    };
    let temp = function.read_only_root_filesystem.then_some(temp);
    temp.into_iter().chain((!function.secrets.is_empty()).then_some(secrets)).collect()
}
