//! Between the `/system` API's words and the resource's.

use std::collections::BTreeMap;

use faas_api::{
    Condition, Digest, FunctionDeployment, FunctionName, FunctionStatus, Resources, Scaling, Terms, labels,
};
use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::{Function, FunctionSpec, ResourceList};

/// The spec of a function that is deployed through the gateway; `replicas` stays open.
pub fn from_deployment(name: &FunctionName, deployment: FunctionDeployment) -> FunctionSpec {
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    let map = |map: BTreeMap<String, String>| Some(map).filter(|map| !map.is_empty());
    let list = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
    FunctionSpec {
        name: name.to_string(),
        image: text(deployment.image),
        handler: text(deployment.env_process),
        annotations: map(deployment.annotations),
        labels: map(deployment.labels),
        environment: map(deployment.env_vars),
        constraints: list(deployment.constraints),
        secrets: list(deployment.secrets),
        limits: deployment.limits.and_then(resource_list),
        requests: deployment.requests.and_then(resource_list),
        read_only_root_filesystem: deployment.read_only_root_filesystem.then_some(true),
        timeout: text(deployment.timeout),
        runtime: text(deployment.runtime),
        package: deployment.package.map(|digest| digest.to_string()),
        ..FunctionSpec::default()
    }
}

fn resource_list(resources: Resources) -> Option<ResourceList> {
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    let list = ResourceList {
        cpu: text(resources.cpu),
        memory: text(resources.memory),
        nvidia_gpu: text(resources.nvidia_gpu),
        amd_gpu: text(resources.amd_gpu),
        intel_gpu: text(resources.intel_gpu),
    };
    (list != ResourceList::default()).then_some(list)
}

/// A function as the gateway reports it.
pub fn to_status(function: &Function) -> FunctionStatus {
    let FunctionSpec { name, .. } = &function.spec;
    let spec = function.spec.clone();
    let mut labels = spec.labels.unwrap_or_default();
    labels.insert(labels::FUNCTION.to_owned(), name.clone());
    let (env_process, env_vars) = process_apart(spec.handler, spec.environment);
    let seen = function.status.clone().unwrap_or_default();
    FunctionStatus {
        name: function.name_any(),
        image: spec.image.unwrap_or_default(),
        namespace: function.namespace().unwrap_or_default(),
        env_process,
        env_vars,
        constraints: spec.constraints.unwrap_or_default(),
        secrets: spec.secrets.unwrap_or_default(),
        labels,
        annotations: spec.annotations.unwrap_or_default(),
        limits: resources(spec.limits),
        requests: resources(spec.requests),
        read_only_root_filesystem: spec.read_only_root_filesystem.unwrap_or_default(),
        package: spec.package.and_then(|text| text.parse::<Digest>().ok()),
        runtime: spec.runtime.unwrap_or_default(),
        timeout: spec.timeout.unwrap_or_default(),
        replicas: wanted_replicas(function),
        available_replicas: u32::try_from(seen.available_replicas).unwrap_or_default(),
        created_at: function.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
        conditions: seen.conditions.into_iter().map(condition).collect(),
        ..FunctionStatus::default()
    }
}

/// The command and the other variables: a manifest may say the command as a variable, which the peers report as
/// `envProcess` alone. `handler` wins, as it does in the pod.
fn process_apart(
    handler: Option<String>,
    environment: Option<BTreeMap<String, String>>,
) -> (String, BTreeMap<String, String>) {
    let mut variables = environment.unwrap_or_default();
    let variable = variables.remove("fprocess");
    let handler = handler.filter(|handler| !handler.is_empty());
    (handler.or(variable).unwrap_or_default(), variables)
}

fn resources(list: Option<ResourceList>) -> Option<Resources> {
    let list = list.filter(|list| *list != ResourceList::default())?;
    Some(Resources {
        cpu: list.cpu.unwrap_or_default(),
        memory: list.memory.unwrap_or_default(),
        nvidia_gpu: list.nvidia_gpu.unwrap_or_default(),
        amd_gpu: list.amd_gpu.unwrap_or_default(),
        intel_gpu: list.intel_gpu.unwrap_or_default(),
    })
}

fn condition(condition: k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition) -> Condition {
    Condition {
        kind: condition.type_,
        status: condition.status,
        reason: condition.reason,
        message: condition.message,
        last_transition_time: condition.last_transition_time.0,
    }
}

/// Replicas wanted: what the spec says, else the least.
pub fn wanted_replicas(function: &Function) -> u32 {
    let least = || least_replicas(&function.spec);
    function.spec.replicas.map_or_else(least, |replicas| u32::try_from(replicas).unwrap_or_default())
}

/// What a new or woken function gets: `scaling.min`, else the label, else 1.
pub fn least_replicas(spec: &FunctionSpec) -> u32 {
    let field = spec.scaling.as_ref().and_then(|scaling| u32::try_from(scaling.min?).ok());
    let label = || spec.labels.as_ref()?.get(labels::SCALE_MIN)?.parse().ok();
    field.or_else(label).filter(|least| *least > 0).unwrap_or(1)
}

/// How the function wants to be scaled.
pub fn scaling(spec: &FunctionSpec) -> Scaling {
    let labels = spec.labels.as_ref().map(Scaling::of).unwrap_or_default();
    Scaling { least: least_replicas(spec), ..labels }
}

/// How the function wants to be invoked.
pub fn terms(spec: &FunctionSpec) -> Terms {
    let none = BTreeMap::new();
    let (environment, annotations) = (spec.environment.as_ref(), spec.annotations.as_ref());
    Terms::new(
        spec.timeout.as_deref().unwrap_or_default(),
        environment.unwrap_or(&none),
        annotations.unwrap_or(&none),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_deployed_comes_back() {
        let json = r#"{"service":"f","image":"i:1","envProcess":"cat","envVars":{"a":"b"},"labels":{"l":"m"},
            "annotations":{"n":"{\"x\":\n1}"},"constraints":["z=1","a=2"],"secrets":["z","a"],"limits":{"memory":"5Mi","nvidia.com/gpu":"2"},
            "readOnlyRootFilesystem":true,"timeout":"7s"}"#;
        let deployment: FunctionDeployment = serde_json::from_str(json).unwrap();
        let spec = from_deployment(&"f".parse().unwrap(), deployment.clone());
        let status = to_status(&Function::new("f", spec));
        let mut expected: serde_json::Value = serde_json::to_value(deployment).unwrap();
        expected["name"] = expected["service"].take();
        expected.as_object_mut().unwrap().remove("service");
        expected["labels"]["faas_function"] = "f".into();
        expected["replicas"] = 1.into();
        expected["createdAt"] = "1970-01-01T00:00:00Z".into();
        assert_eq!(serde_json::to_value(status).unwrap(), expected);
    }

    #[test]
    fn a_command_among_the_variables_is_reported_as_the_command() {
        for (spec, expected) in [
            (r#"{"name":"f","environment":{"fprocess":"env","a":"b"}}"#, "env"),
            (r#"{"name":"f","handler":"cat","environment":{"fprocess":"env","a":"b"}}"#, "cat"),
            (r#"{"name":"f","handler":"","environment":{"fprocess":"env","a":"b"}}"#, "env"),
        ] {
            let status = to_status(&Function::new("f", serde_json::from_str(spec).unwrap()));
            assert_eq!(status.env_process, expected, "{spec}");
            assert_eq!(status.env_vars, [("a".to_owned(), "b".to_owned())].into(), "{spec}");
        }
    }

    #[test]
    fn the_least_is_a_field_or_a_label_or_one() {
        let with = |label: &str, min| FunctionSpec {
            labels: Some([(labels::SCALE_MIN.to_owned(), label.to_owned())].into()),
            scaling: Some(crate::Scaling { min, max: None }),
            ..FunctionSpec::default()
        };
        for (label, min, expected) in [("2", None, 2), ("2", Some(3), 3), ("0", None, 1), ("x", None, 1)] {
            assert_eq!(least_replicas(&with(label, min)), expected, "{label} {min:?}");
        }
    }
}
