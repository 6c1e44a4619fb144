//! A function as users deploy it and as the platform reports it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// Body of `POST` and `PUT /system/functions`. Unknown fields are ignored; names are checked by whoever takes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FunctionDeployment {
    /// The function's name.
    pub service: String,
    /// A registry reference, or the tag under which a package was pushed. Optional beside `package`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Empty means the default namespace.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub namespace: String,
    /// The command that handles requests, `fprocess` to the watchdog.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub env_process: String,
    /// Environment of the handler.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub env_vars: BTreeMap<String, String>,
    /// `key=value`, matched against nodes.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub constraints: Vec<String>,
    /// Names of secrets to mount, in the order given.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub secrets: Vec<String>,
    /// Always sent, possibly empty, as the peers do.
    #[serde(deserialize_with = "null_as_default")]
    pub labels: BTreeMap<String, String>,
    /// Always sent, possibly empty, as the peers do.
    #[serde(deserialize_with = "null_as_default")]
    pub annotations: BTreeMap<String, String>,
    /// The most that a replica may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Resources>,
    /// What a replica is promised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<Resources>,
    /// Mounts the root file system read-only.
    #[serde(skip_serializing_if = "std::ops::Not::not", deserialize_with = "null_as_default")]
    pub read_only_root_filesystem: bool,
    /// The package to run instead of an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<Digest>,
    /// The package's runtime, for display; the manifest decides.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub runtime: String,
    /// How long one invocation may take, a Go duration.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub timeout: String,
}

/// A function as `GET /system/functions` and `GET /system/function/{name}` report it.
///
/// Empty text, false, zero counts and empty collections are left out, as peers' clients compare deeply.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FunctionStatus {
    /// The function's name.
    pub name: String,
    /// The reference it was deployed with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Where it runs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// See [`FunctionDeployment::env_process`].
    #[serde(skip_serializing_if = "String::is_empty")]
    pub env_process: String,
    /// See [`FunctionDeployment::env_vars`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub env_vars: BTreeMap<String, String>,
    /// See [`FunctionDeployment::constraints`].
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub constraints: Vec<String>,
    /// See [`FunctionDeployment::secrets`].
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub secrets: Vec<String>,
    /// The user's, and `faas_function`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub labels: BTreeMap<String, String>,
    /// The user's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub annotations: BTreeMap<String, String>,
    /// See [`FunctionDeployment::limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Resources>,
    /// See [`FunctionDeployment::requests`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<Resources>,
    /// See [`FunctionDeployment::read_only_root_filesystem`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only_root_filesystem: bool,
    /// See [`FunctionDeployment::package`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<Digest>,
    /// The package's runtime.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime: String,
    /// See [`FunctionDeployment::timeout`].
    #[serde(skip_serializing_if = "String::is_empty")]
    pub timeout: String,
    /// Invocations so far; in lists only.
    #[serde(skip_serializing_if = "is_zero")]
    pub invocation_count: f64,
    /// Replicas wanted.
    #[serde(skip_serializing_if = "is_zero_count")]
    pub replicas: u32,
    /// Replicas ready.
    #[serde(skip_serializing_if = "is_zero_count")]
    pub available_replicas: u32,
    /// When it was first deployed.
    pub created_at: Timestamp,
    /// What its replicas use, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Why it is, or is not, ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// Kubernetes quantities; the texts are kept exactly as given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Bytes, such as `128Mi`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub memory: String,
    /// Cores, such as `100m`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub cpu: String,
    /// Whole GPUs by NVIDIA.
    #[serde(
        rename = "nvidia.com/gpu",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub nvidia_gpu: String,
    /// Whole GPUs by AMD.
    #[serde(
        rename = "amd.com/gpu",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub amd_gpu: String,
    /// Whole GPUs by Intel.
    #[serde(
        rename = "intel.com/gpu",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub intel_gpu: String,
}

impl Resources {
    /// Whether nothing is asked for, which is reported by leaving the whole object out.
    pub fn is_empty(&self) -> bool {
        self.memory.is_empty() && self.cpu.is_empty() && self.gpus().next().is_none()
    }

    /// The kinds of GPU asked for, and how many.
    pub fn gpus(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("nvidia.com/gpu", self.nvidia_gpu.as_str()),
            ("amd.com/gpu", &self.amd_gpu),
            ("intel.com/gpu", &self.intel_gpu),
        ];
        all.into_iter().filter(|(_, number)| !number.is_empty())
    }
}

/// Use of all replicas together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Millicores.
    pub cpu: f64,
    /// Resident bytes.
    pub total_memory_bytes: f64,
}

/// A Kubernetes-style condition, whose reason tells a person what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`, `Healthy`, `Reconciling` or `Stalled`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word in camel case.
    pub reason: String,
    /// A sentence for a person.
    pub message: String,
    /// When `status` last changed.
    pub last_transition_time: Timestamp,
}

/// Body of `DELETE /system/functions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeleteFunctionRequest {
    /// Which function.
    pub function_name: String,
    /// Empty means the query's, else the default namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// Body of `POST /system/scale-function/{name}`; the name in the path wins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleRequest {
    /// Which function.
    #[serde(default)]
    pub service_name: String,
    /// Replicas wanted.
    pub replicas: u32,
    /// Empty means the query's, else the default namespace.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub namespace: String,
}

/// Go clients send `null` for an empty map or list.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(count: &f64) -> bool {
    *count == 0.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero_count(count: &u32) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_unknown_fields_are_accepted() {
        let text = r#"{"service":"f","image":"i","labels":null,"annotations":null,"envVars":null,
                       "secrets":null,"registryAuth":"x","network":"y","limits":null,"new":{"a":1}}"#;
        let deployment: FunctionDeployment = serde_json::from_str(text).unwrap();
        assert_eq!(deployment.service, "f");
        assert!(deployment.labels.is_empty() && deployment.limits.is_none());
    }

    #[test]
    fn empty_fields_are_left_out_of_a_status() {
        let status = FunctionStatus { name: "f".into(), ..FunctionStatus::default() };
        let json: serde_json::Value = serde_json::to_value(&status).unwrap();
        let keys: Vec<_> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["createdAt", "name"]);
    }
}
