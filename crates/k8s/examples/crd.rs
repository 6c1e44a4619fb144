//! Prints the `CustomResourceDefinition` that the chart installs; see `tests/crd.rs`.

use std::io::Write as _;

use kube::CustomResourceExt as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = serde_yaml_ng::to_string(&faas_k8s::Function::crd())?;
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
