//! The chart's copy of the resource's definition is the one that the types say.

use kube::CustomResourceExt as _;

#[test]
fn the_chart_installs_the_definition_that_the_types_say() {
    let chart = std::fs::read_to_string("../../charts/faas/crd/functions.openfaas.com.yaml").unwrap();
    let types = serde_yaml_ng::to_string(&faas_k8s::Function::crd()).unwrap();
    assert!(
        chart == types,
        "out of date: cargo run -p faas-k8s --example crd > charts/faas/crd/functions.openfaas.com.yaml"
    );
}
