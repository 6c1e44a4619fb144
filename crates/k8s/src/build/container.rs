//! The pod's one container.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, ResourceRequirements, SecurityContext, VolumeMount,
};

use super::{Settings, probes};
use crate::{PORT, Valid};

/// The volume at `/tmp` where the rest is read-only.
pub(super) const TEMP: &str = "temp";
/// A volume's name is a DNS label.
const LONGEST: usize = 63;

pub(super) fn build(function: &Valid, settings: &Settings) -> Container {
    let variable = |(name, value): (&String, &String)| EnvVar {
        name: name.clone(),
        value: Some(value.clone()),
        ..EnvVar::default()
    };
    let (liveness, readiness) = probes::build(function, settings.http_probe);
    Container {
        name: function.name.to_string(),
        image: Some(function.image.clone()),
        image_pull_policy: Some(settings.image_pull_policy.clone()),
        ports: Some(vec![ContainerPort {
            name: Some("http".into()),
            container_port: i32::from(PORT),
            protocol: Some("TCP".into()),
            ..ContainerPort::default()
        }]),
        env: Some(function.environment.iter().map(variable).collect()),
        resources: Some(ResourceRequirements {
            limits: Some(function.limits.clone()).filter(|limits| !limits.is_empty()),
            requests: Some(function.requests.clone()).filter(|requests| !requests.is_empty()),
            ..ResourceRequirements::default()
        }),
        liveness_probe: Some(liveness),
        readiness_probe: Some(readiness),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), ..Capabilities::default() }),
            read_only_root_filesystem: Some(function.read_only_root_filesystem),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(mounts(function)).filter(|mounts| !mounts.is_empty()),
        ..Container::default()
    }
}

/// As OpenFaaS names it, where that is not too long.
pub(super) fn secrets_volume(function: &Valid) -> String {
    let name = format!("{}-projected-secrets", function.name);
    if name.len() <= LONGEST { name } else { "projected-secrets".to_owned() }
}

fn mounts(function: &Valid) -> Vec<VolumeMount> {
    let mount = |name: String, path: &str, read_only: bool| VolumeMount {
        name,
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    };
    let temp = function.read_only_root_filesystem.then(|| mount(TEMP.into(), "/tmp", false));
    let secrets = (!function.secrets.is_empty())
        .then(|| mount(secrets_volume(function), "/var/openfaas/secrets", true));
    temp.into_iter().chain(secrets).collect()
}
