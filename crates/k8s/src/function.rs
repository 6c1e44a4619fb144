//! The `Function` resource, `functions.openfaas.com/v1`: as OpenFaaS published it, and a few optional fields of ours.
//!
//! What the published schema allowed is allowed: what cannot work (a bad quantity, say) is for `validate` to find, and
//! stands in a condition. Only our own fields are constrained by the schema.
#![expect(unreachable_pub, reason = "the schema derive repeats each type in a scope of its own")]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the user wants to run.
#[derive(Debug, Clone, Default, PartialEq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "openfaas.com",
    version = "v1",
    kind = "Function",
    namespaced,
    status = "FunctionStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A function: an image that answers HTTP requests.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.image"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        priority = 1
    ),
    printcolumn(
        name = "Healthy",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Healthy")].status"#
    ),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(name = "Available", type_ = "integer", json_path = ".status.availableReplicas"),
    printcolumn(
        name = "Unavailable",
        type_ = "integer",
        json_path = ".status.unavailableReplicas",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("has(self.spec.image) || has(self.spec.__package__)").message("spec.image is required")
)]
#[serde(rename_all = "camelCase")]
pub struct FunctionSpec {
    /// The function's name; the same as `metadata.name`.
    pub name: String,
    /// The image to run, which listens on port 8080.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The command that handles requests, `fprocess` to the watchdog; wins over `environment.fprocess`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// Annotations of the Deployment, the Service and the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Labels of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Environment of the function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<BTreeMap<String, String>>,
    /// `key=value`, labels that a node must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraints: Option<Vec<String>>,
    /// Secrets of the same namespace, mounted at `/var/openfaas/secrets`; registry credentials are used to pull.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Vec<String>>,
    /// The most that a replica may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceList>,
    /// What a replica is promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceList>,
    /// Mounts the root file system read-only, with a writable `/tmp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_root_filesystem: Option<bool>,
    /// Replicas wanted now; `kubectl scale` and autoscalers write it. Set by the operator when absent.
    #[schemars(range(min = 0))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// How long one invocation may take, a Go duration such as `90s`.
    #[schemars(regex(pattern = r"^([0-9]+|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$"), length(max = 32))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// The package's runtime, for display.
    #[schemars(length(max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// The package to run instead of an image.
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// How far the number of replicas may go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// How replicas are found to be alive and ready; wins over annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
}

/// Kubernetes quantities; the texts are kept exactly as given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceList {
    /// Cores, such as `100m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Bytes, such as `128Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Whole GPUs by NVIDIA; a request must be the same as the limit.
    #[serde(rename = "nvidia.com/gpu", default, skip_serializing_if = "Option::is_none")]
    pub nvidia_gpu: Option<String>,
    /// Whole GPUs by AMD; a request must be the same as the limit.
    #[serde(rename = "amd.com/gpu", default, skip_serializing_if = "Option::is_none")]
    pub amd_gpu: Option<String>,
    /// Whole GPUs by Intel; a request must be the same as the limit.
    #[serde(rename = "intel.com/gpu", default, skip_serializing_if = "Option::is_none")]
    pub intel_gpu: Option<String>,
}

impl ResourceList {
    /// The kinds of GPU asked for, and how many.
    pub(crate) fn gpus(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("nvidia.com/gpu", &self.nvidia_gpu),
            ("amd.com/gpu", &self.amd_gpu),
            ("intel.com/gpu", &self.intel_gpu),
        ];
        all.into_iter().filter_map(|(name, number)| Some((name, number.as_deref()?)))
    }
}

/// How far the number of replicas may go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("!has(self.min) || !has(self.max) || self.min <= self.max").message("scaling.min must not be above scaling.max")
)]
pub struct Scaling {
    /// Replicas that a new or woken function gets; wins over the label `com.openfaas.scale.min`.
    #[schemars(range(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i32>,
    /// The most that an autoscaler is to ask for.
    #[schemars(range(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i32>,
}

/// How replicas are found to be alive and ready.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Probes {
    /// Its failure restarts the replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Probe>,
    /// Its failure takes the replica out of the routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Probe>,
}

/// One HTTP probe on port 8080; what is absent is the platform's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// The path to get.
    #[schemars(regex(pattern = "^/"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Seconds before the first.
    #[schemars(range(min = 0))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_delay_seconds: Option<i32>,
    /// Seconds from one to the next.
    #[schemars(range(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_seconds: Option<i32>,
    /// Seconds that an answer may take.
    #[schemars(range(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i32>,
    /// Failures in a row that count.
    #[schemars(range(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_threshold: Option<i32>,
    /// Successes in a row that count, for readiness.
    #[schemars(range(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_threshold: Option<i32>,
}

/// What the operator last saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunctionStatus {
    /// `Ready`, `Healthy`, `Reconciling` and `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Replicas there are.
    #[serde(default)]
    pub replicas: i32,
    /// Replicas that answer.
    #[serde(default)]
    pub available_replicas: i32,
    /// Replicas that do not answer yet.
    #[serde(default)]
    pub unavailable_replicas: i32,
    /// The generation that this status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// Selects the pods, for autoscalers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
}
