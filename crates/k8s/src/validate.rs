//! Whether a `Function` can run: everything is checked, and turned into what `build` needs, before anything is applied.
//!
//! Takes no client: what the cluster knows (the secrets) is handed in. Its error is what the condition `Stalled` says.

mod probe;

use std::collections::BTreeMap;
use std::time::Duration;

use faas_api::{FunctionName, is_subdomain, parse_bytes, parse_duration, parse_millicores};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt as _;

use crate::{Function, FunctionSpec, ResourceList, Stalled, annotations, least_replicas, terms};

pub use probe::ValidProbe;

/// What holds where a function says nothing.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// Bounds an invocation.
    pub timeout: Duration,
    /// The watchdog's own default: how long it goes on serving once told to end.
    pub healthcheck_interval: Duration,
    /// Its failure restarts a replica.
    pub liveness: ValidProbe,
    /// Its failure takes a replica out of the routes.
    pub readiness: ValidProbe,
}

/// The secrets that a function names, by name: the type of each, `None` where there is none.
pub type Secrets = BTreeMap<String, Option<String>>;

/// A function that can run.
#[derive(Debug, Clone)]
pub struct Valid {
    /// Of the function and of all that is made for it.
    pub name: FunctionName,
    /// Where it runs.
    pub namespace: String,
    /// What runs.
    pub image: String,
    /// Replicas wanted.
    pub replicas: i32,
    /// Of the container, sorted.
    pub environment: BTreeMap<String, String>,
    /// Of the pods.
    pub labels: BTreeMap<String, String>,
    /// Of Deployment, Service and pods.
    pub annotations: BTreeMap<String, String>,
    /// Labels of its nodes.
    pub node_selector: BTreeMap<String, String>,
    /// The most a replica may use.
    pub limits: BTreeMap<String, Quantity>,
    /// What a replica is promised.
    pub requests: BTreeMap<String, Quantity>,
    /// Whether only `/tmp` is writable.
    pub read_only_root_filesystem: bool,
    /// Mounted as files.
    pub secrets: Vec<String>,
    /// Credentials of registries.
    pub pull_secrets: Vec<String>,
    /// Whose token the pods get, if any.
    pub service_account: Option<String>,
    /// Its failure restarts a replica.
    pub liveness: ValidProbe,
    /// Its failure takes a replica out of the routes.
    pub readiness: ValidProbe,
    /// Between SIGTERM and SIGKILL: the watchdog serves on, then finishes what it has.
    pub grace: Duration,
}

/// Checks the whole; the first fault found is reported.
pub fn validate(function: &Function, secrets: &Secrets, defaults: &Defaults) -> Result<Valid, Stalled> {
    let spec = &function.spec;
    let name = check_name(function)?;
    let environment = environment(function)?;
    let (secrets, pull_secrets) = check_secrets(spec, secrets)?;
    let annotations = spec.annotations.clone().unwrap_or_default();
    let probes = spec.probes.clone().unwrap_or_default();
    let timeout = terms(spec).timeout.unwrap_or(defaults.timeout);
    let liveness = defaults.liveness.with(annotations::HEALTH, &annotations, probes.liveness)?;
    // A readiness path that is not given is the health path.
    let readiness =
        ValidProbe { path: liveness.path.clone(), chosen: liveness.chosen, ..defaults.readiness.clone() };
    Ok(Valid {
        image: check_image(spec)?,
        namespace: function.namespace().unwrap_or_default(),
        replicas: spec.replicas.unwrap_or_else(|| i32::try_from(least_replicas(spec)).unwrap_or(i32::MAX)),
        labels: check_labels(spec)?,
        node_selector: check_constraints(spec)?,
        limits: check_resources("limits", spec.limits.as_ref())?,
        requests: check_requests(spec)?,
        read_only_root_filesystem: spec.read_only_root_filesystem.unwrap_or_default(),
        secrets,
        pull_secrets,
        service_account: annotations.get(annotations::SERVICE_ACCOUNT).cloned(),
        readiness: readiness.with(annotations::READY, &annotations, probes.readiness)?,
        liveness,
        grace: healthcheck_interval(&environment, defaults) + timeout + Duration::from_secs(5),
        environment,
        annotations: check_annotations(annotations)?,
        name,
    })
}

/// A Service's name must begin with a letter (RFC 1035), though a function's need not elsewhere.
fn check_name(function: &Function) -> Result<FunctionName, Stalled> {
    let name = &function.spec.name;
    let own = function.name_any();
    if *name != own {
        let text = format!("spec.name is {name:?} and metadata.name is {own:?}: both must be the same");
        return Err(Stalled::new("InvalidName", text));
    }
    let parsed: FunctionName =
        name.parse().map_err(|error| Stalled::new("InvalidName", format!("spec.name: {error}")))?;
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        let text = format!("spec.name: {name:?} must begin with a letter, as names of Services must");
        return Err(Stalled::new("InvalidName", text));
    }
    Ok(parsed)
}

fn check_image(spec: &FunctionSpec) -> Result<String, Stalled> {
    let image = spec.image.as_deref().unwrap_or_default();
    let sound = !image.is_empty() && image.chars().all(|c| c.is_ascii_graphic());
    match (sound, &spec.package) {
        (true, _) => Ok(image.to_owned()),
        (false, Some(_)) => Err(Stalled::new(
            "PackageUnsupported",
            "spec.package: packages do not run on Kubernetes; give an image in spec.image",
        )),
        (false, None) => {
            Err(Stalled::new("InvalidImage", format!("spec.image: {image:?} is not an image reference")))
        }
    }
}

/// The function's own variables and those that the platform gives; the user's win where the platform derives.
fn environment(function: &Function) -> Result<BTreeMap<String, String>, Stalled> {
    let spec = &function.spec;
    let mut environment = spec.environment.clone().unwrap_or_default();
    if let Some(name) = environment.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
        let text = format!("spec.environment: {name:?} is not a variable's name: it must not have =");
        return Err(Stalled::new("InvalidEnvironment", text));
    }
    if let Some(timeout) = &spec.timeout {
        parse_duration(timeout)
            .map_err(|error| Stalled::new("InvalidTimeout", format!("spec.timeout: {error}")))?;
        for name in ["exec_timeout", "read_timeout", "write_timeout"] {
            environment.entry(name.into()).or_insert_with(|| timeout.clone());
        }
        // Else it would be as long as the timeout. Routes forget a replica within a second.
        environment.entry("healthcheck_interval".into()).or_insert_with(|| "5s".into());
    }
    if let Some(handler) = spec.handler.as_ref().filter(|handler| !handler.is_empty()) {
        environment.insert("fprocess".into(), handler.clone());
    }
    environment.insert("OPENFAAS_NAME".into(), spec.name.clone());
    environment.insert("OPENFAAS_NAMESPACE".into(), function.namespace().unwrap_or_default());
    Ok(environment)
}

fn healthcheck_interval(environment: &BTreeMap<String, String>, defaults: &Defaults) -> Duration {
    let variable = |name: &str| parse_duration(environment.get(name)?).ok();
    variable("healthcheck_interval")
        .or_else(|| variable("write_timeout"))
        .unwrap_or(defaults.healthcheck_interval)
}

/// Secrets to mount, and those with a registry's credentials.
fn check_secrets(spec: &FunctionSpec, found: &Secrets) -> Result<(Vec<String>, Vec<String>), Stalled> {
    let (mut mounted, mut pull) = (Vec::new(), Vec::new());
    for name in spec.secrets.iter().flatten() {
        if !is_subdomain(name) {
            let text = format!(
                "spec.secrets: {name:?} is not the name of a Secret: expected a-z, 0-9, dashes and dots"
            );
            return Err(Stalled::new("InvalidSecret", text));
        }
        let kind = found.get(name).cloned().flatten().ok_or_else(|| {
            let text = format!(
                "Required secret '{name}' was not found in the cluster: create it with \"faas secret create {name}\""
            );
            Stalled::new("SecretNotFound", text)
        })?;
        if mounted.contains(name) || pull.contains(name) {
            continue;
        }
        let registry = matches!(kind.as_str(), "kubernetes.io/dockercfg" | "kubernetes.io/dockerconfigjson");
        if registry { &mut pull } else { &mut mounted }.push(name.clone());
    }
    Ok((mounted, pull))
}

fn check_constraints(spec: &FunctionSpec) -> Result<BTreeMap<String, String>, Stalled> {
    let mut selector = BTreeMap::new();
    for constraint in spec.constraints.iter().flatten() {
        let pair = constraint.split_once("==").or_else(|| constraint.split_once('='));
        let pair = pair.map(|(key, value)| (key.trim(), value.trim()));
        let (key, value) =
            pair.filter(|(key, value)| is_label_key(key) && is_label_value(value)).ok_or_else(|| {
                let text =
                    format!("spec.constraints: {constraint:?} is not a node's label: expected key=value");
                Stalled::new("InvalidConstraint", text)
            })?;
        selector.insert(key.to_owned(), value.to_owned());
    }
    Ok(selector)
}

fn check_labels(spec: &FunctionSpec) -> Result<BTreeMap<String, String>, Stalled> {
    let labels = spec.labels.clone().unwrap_or_default();
    match labels.iter().find(|(key, value)| !is_label_key(key) || !is_label_value(value)) {
        None => Ok(labels),
        Some((key, value)) => {
            let text = format!(
                "spec.labels: {key:?}: {value:?} is not a label: expected a name and at most 63 letters, digits, '-', '_' or '.'; text of any kind fits in an annotation"
            );
            Err(Stalled::new("InvalidLabel", text))
        }
    }
}

fn check_annotations(annotations: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Stalled> {
    // Those the Deployment's controller writes itself, and would for ever.
    let taken = |key: &str| key.starts_with("deployment.kubernetes.io/");
    match annotations.keys().find(|key| !is_label_key(key) || taken(key)) {
        None => Ok(annotations),
        Some(key) => {
            let text = format!("spec.annotations: {key:?} is not an annotation's name, or Kubernetes' own");
            Err(Stalled::new("InvalidAnnotation", text))
        }
    }
}

/// An optional DNS prefix and a slash, then at most 63 characters.
fn is_label_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(is_subdomain) && !name.is_empty() && is_label_value(name)
}

fn is_label_value(value: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    value.len() <= 63 && edge(value.chars().next()) && edge(value.chars().last()) && value.chars().all(inner)
}

fn check_resources(field: &str, list: Option<&ResourceList>) -> Result<BTreeMap<String, Quantity>, Stalled> {
    let Some(list) = list else { return Ok(BTreeMap::new()) };
    let refuse =
        |error: &dyn std::fmt::Display| Stalled::new("InvalidQuantity", format!("spec.{field}: {error}"));
    let mut quantities = BTreeMap::new();
    if let Some(cpu) = list.cpu.as_ref().filter(|text| !text.is_empty()) {
        parse_millicores(cpu).map_err(|error| refuse(&error))?;
        quantities.insert("cpu".to_owned(), Quantity(cpu.clone()));
    }
    if let Some(memory) = list.memory.as_ref().filter(|text| !text.is_empty()) {
        parse_bytes(memory).map_err(|error| refuse(&error))?;
        quantities.insert("memory".to_owned(), Quantity(memory.clone()));
    }
    for (name, number) in list.gpus().filter(|(_, number)| !number.is_empty()) {
        number.parse::<u32>().map_err(|_| refuse(&format!("{name}: {number:?} is not a whole number")))?;
        quantities.insert(name.to_owned(), Quantity(number.to_owned()));
    }
    Ok(quantities)
}

/// GPUs cannot be promised beyond what a replica may use: nodes give them out whole.
fn check_requests(spec: &FunctionSpec) -> Result<BTreeMap<String, Quantity>, Stalled> {
    let limits = check_resources("limits", spec.limits.as_ref())?;
    let requests = check_resources("requests", spec.requests.as_ref())?;
    let gpu = |name: &str| !["cpu", "memory"].contains(&name);
    match requests.iter().find(|(name, number)| gpu(name) && limits.get(*name) != Some(number)) {
        Some((name, _)) => {
            let text = format!("spec.requests: {name} must be the same in spec.limits");
            Err(Stalled::new("InvalidQuantity", text))
        }
        None => Ok(requests),
    }
}

#[cfg(test)]
mod tests;
