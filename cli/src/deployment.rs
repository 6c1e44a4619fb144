//! From a function of the stack file and the flags of `deploy` to the body that is sent. Pure: files are read before.

use std::collections::BTreeMap;

use clap::Args;
use faas_api::stack::Function;
use faas_api::{FunctionDeployment, Resources};

use crate::text;

/// Flags that change what is deployed.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DeploymentFlags {
    /// Command that handles requests
    #[arg(long)]
    pub(crate) fprocess: Option<String>,
    /// Set an environment variable (KEY=VALUE, may be repeated)
    #[arg(short = 'e', long = "env", value_name = "KEY=VALUE")]
    pub(crate) env: Vec<String>,
    /// Set a label (KEY=VALUE, may be repeated)
    #[arg(short = 'l', long = "label", value_name = "KEY=VALUE")]
    pub(crate) label: Vec<String>,
    /// Set an annotation (KEY=VALUE, may be repeated)
    #[arg(long = "annotation", value_name = "KEY=VALUE")]
    pub(crate) annotation: Vec<String>,
    /// Constrain where replicas run (may be repeated)
    #[arg(long = "constraint", value_name = "KEY=VALUE")]
    pub(crate) constraint: Vec<String>,
    /// Give the function a secret (may be repeated)
    #[arg(long = "secret", value_name = "NAME")]
    pub(crate) secret: Vec<String>,
    /// Make the root file system read-only
    #[arg(long)]
    pub(crate) readonly: bool,
    /// Processor promised to a replica; without a YAML file only
    #[arg(long, value_name = "QUANTITY", default_value = "", hide_default_value = true)]
    pub(crate) cpu_request: String,
    /// Most processor a replica may use; without a YAML file only
    #[arg(long, value_name = "QUANTITY", default_value = "", hide_default_value = true)]
    pub(crate) cpu_limit: String,
    /// Memory promised to a replica; without a YAML file only
    #[arg(long, value_name = "QUANTITY", default_value = "", hide_default_value = true)]
    pub(crate) memory_request: String,
    /// Most memory a replica may use; without a YAML file only
    #[arg(long, value_name = "QUANTITY", default_value = "", hide_default_value = true)]
    pub(crate) memory_limit: String,
}

impl DeploymentFlags {
    /// Limits and requests as flags give them, for a function without a stack file.
    pub(crate) fn resources(&self) -> (Resources, Resources) {
        let resources = |memory: &str, cpu: &str| Resources {
            memory: memory.to_owned(),
            cpu: cpu.to_owned(),
            ..Resources::default()
        };
        (resources(&self.memory_limit, &self.cpu_limit), resources(&self.memory_request, &self.cpu_request))
    }
}

/// How the stack file's `isolation` reaches the watchdog, in packages and in images alike.
const ISOLATION_VARIABLE: &str = "worker_isolation";

/// The body for `function`. `environment_files` are those it names, read, in their order.
pub(crate) fn build_deployment(
    function: &Function,
    flags: &DeploymentFlags,
    namespace: &str,
    environment_files: Vec<BTreeMap<String, String>>,
) -> anyhow::Result<FunctionDeployment> {
    let mut environment = function.environment.clone();
    let isolation = function.isolation.map(|isolation| isolation.as_str().to_owned());
    environment.extend(isolation.map(|isolation| (ISOLATION_VARIABLE.to_owned(), isolation)));
    environment.extend(environment_files.into_iter().flatten());
    environment.extend(text::parse_pairs(&flags.env, "environment")?);
    let mut secrets = function.secrets.clone();
    secrets.extend(flags.secret.iter().filter(|name| !function.secrets.contains(name)).cloned());
    let constraints = if function.constraints.is_empty() { &flags.constraint } else { &function.constraints };
    Ok(FunctionDeployment {
        service: function.name.clone(),
        image: function.image.clone(),
        namespace: namespace.to_owned(),
        env_process: flags.fprocess.clone().unwrap_or_else(|| function.fprocess.clone()),
        env_vars: environment,
        constraints: constraints.clone(),
        secrets,
        labels: merged(&function.labels, &flags.label, "label")?,
        annotations: merged(&function.annotations, &flags.annotation, "annotation")?,
        limits: some_resources(&function.limits),
        requests: some_resources(&function.requests),
        read_only_root_filesystem: function.readonly_root_filesystem || flags.readonly,
        timeout: function.timeout.clone(),
        ..FunctionDeployment::default()
    })
}

/// The stack file's pairs under those of the flags.
fn merged(
    base: &BTreeMap<String, String>,
    flags: &[String],
    what: &str,
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut all = base.clone();
    all.extend(text::parse_pairs(flags, what)?);
    Ok(all)
}

fn some_resources(resources: &Resources) -> Option<Resources> {
    (!resources.is_empty()).then(|| resources.clone())
}

#[cfg(test)]
mod tests {
    use faas_api::stack::Isolation;

    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn texts(items: &[&str]) -> Vec<String> {
        items.iter().map(|&item| item.to_owned()).collect()
    }

    #[test]
    fn flags_win_over_files_and_files_over_the_stack() {
        let function = Function {
            environment: map(&[("A", "1"), ("B", "1"), ("C", "1"), ("D", "1")]),
            isolation: Some(Isolation::Exec),
            ..Function::default()
        };
        let files = vec![map(&[("B", "2"), ("C", "2"), ("D", "2")]), map(&[("C", "3"), ("D", "3")])];
        let flags = DeploymentFlags { env: texts(&["D=4", "E=5"]), ..DeploymentFlags::default() };
        let body = build_deployment(&function, &flags, "", files).unwrap();
        let expect =
            [("A", "1"), ("B", "2"), ("C", "3"), ("D", "4"), ("E", "5"), ("worker_isolation", "exec")];
        assert_eq!(body.env_vars, map(&expect));
    }

    #[test]
    fn labels_secrets_and_constraints_merge_each_in_its_way() {
        let function = Function {
            labels: map(&[("a", "1"), ("b", "1")]),
            secrets: texts(&["one", "two"]),
            constraints: texts(&["zone=a"]),
            ..Function::default()
        };
        let flags = DeploymentFlags {
            label: texts(&["b=2"]),
            annotation: texts(&["topic=x"]),
            secret: texts(&["two", "three"]),
            constraint: texts(&["zone=b"]),
            readonly: true,
            ..DeploymentFlags::default()
        };
        let body = build_deployment(&function, &flags, "dev", Vec::new()).unwrap();
        assert_eq!(body.labels, map(&[("a", "1"), ("b", "2")]));
        assert_eq!(body.annotations, map(&[("topic", "x")]));
        assert_eq!(body.secrets, ["one", "two", "three"]);
        assert_eq!(body.constraints, ["zone=a"]);
        assert!(body.read_only_root_filesystem && body.limits.is_none());
        let body = build_deployment(&Function::default(), &flags, "", Vec::new()).unwrap();
        assert_eq!(body.constraints, ["zone=b"]);
    }

    #[test]
    fn labels_and_annotations_are_always_objects() {
        let body =
            build_deployment(&Function::default(), &DeploymentFlags::default(), "", Vec::new()).unwrap();
        let json = serde_json::to_string(&body).unwrap();
        assert_eq!(json, r#"{"service":"","labels":{},"annotations":{}}"#);
    }

    #[test]
    fn a_flag_that_is_no_pair_is_refused() {
        let flags = DeploymentFlags { label: texts(&["novalue"]), ..DeploymentFlags::default() };
        let error = build_deployment(&Function::default(), &flags, "", Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "label format is not correct, needs key=value: \"novalue\"");
    }
}
