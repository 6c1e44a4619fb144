//! From nothing to a platform and back to nothing.

use faas_testing::{Cluster, TEST_IMAGE, wait_for};
use serde_json::{Value, json};

use crate::{available, condition};

/// What an OpenFaaS user has in a file.
const MANIFEST: &str = r"
apiVersion: openfaas.com/v1
kind: Function
metadata:
  name: by-manifest
  namespace: openfaas-fn
spec:
  name: by-manifest
  image: docker.io/faas/test-function:dev
  environment:
    fprocess: env
    write_debug: 'true'
  labels:
    com.openfaas.scale.min: '1'
  annotations:
    topic: images
  limits:
    cpu: 200m
    memory: 64Mi
  requests:
    cpu: 10m
    memory: 16Mi
  readOnlyRootFilesystem: true
";

#[test]
fn from_nothing_to_functions_and_back_to_nothing() {
    let Some(cluster) = Cluster::take() else { return };
    cluster.clear();
    let before = cluster_wide(&cluster);
    let platform = cluster.install(&["--set=async=true"]);
    let tested = cluster.helm(&["test", "openfaas", "-n", "openfaas"]).success();
    assert!(tested.contains("Phase:          Succeeded"), "{tested}");
    let faas = platform.login();

    cluster.write(
        "app.yml",
        &format!(
            "
version: 1.0
provider:
  name: openfaas
  gateway: {}
functions:
  hello:
    image: {TEST_IMAGE}
    skip_build: true
    fprocess: cat
    secrets: [api-key]
",
            platform.url()
        ),
    );
    let refused = faas.run(&["deploy", "-f", "app.yml"]).failure();
    assert!(refused.contains("Required secret 'api-key' was not found in the cluster"), "{refused}");
    faas.run(&["secret", "create", "api-key", "--from-literal", "s3cret"]).success();
    assert!(faas.run(&["secret", "list"]).success().contains("api-key"));
    let deployed = faas.run(&["deploy", "-f", "app.yml"]).success();
    assert!(deployed.contains("Deployed. 202 Accepted."), "{deployed}");
    let answer = platform.http().post("/function/hello", b"hello");
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    let logs = faas.run(&["logs", "hello", "--tail=false"]).success();
    assert!(logs.contains("Wrote 5 Bytes"), "{logs}");

    for replicas in [3, 0, 1] {
        let body = json!({ "serviceName": "hello", "replicas": replicas });
        assert_eq!(platform.admin().json("POST", "/system/scale-function/hello", &body).status, 202);
        assert_eq!(platform.function("hello")["replicas"].as_u64().unwrap_or(0), replicas);
        available(&platform, "hello", replicas);
    }
    cluster.kubectl(&["-n", "openfaas-fn", "scale", "function", "hello", "--replicas=2"]).success();
    available(&platform, "hello", 2);
    scale_subresource(&cluster, 2);

    cluster.apply(MANIFEST).success();
    condition(&platform, "by-manifest", "Healthy", "Available");
    assert!(platform.http().get("/function/by-manifest").text().contains("OPENFAAS_NAME=by-manifest\n"));
    let seen = platform.function("by-manifest");
    assert_eq!(
        (&seen["limits"]["memory"], &seen["annotations"]["topic"]),
        (&"64Mi".into(), &"images".into())
    );
    assert_eq!((&seen["envProcess"], &seen["envVars"]), (&"env".into(), &json!({ "write_debug": "true" })));
    let columns = cluster.kubectl(&["-n", "openfaas-fn", "get", "functions"]).success();
    assert!(columns.starts_with("NAME          IMAGE") && columns.contains("HEALTHY"), "{columns}");

    second_namespace(&cluster);

    let password = platform.password.clone();
    assert_eq!(cluster.install(&["--set=async=true"]).password, password, "an upgrade keeps the password");
    faas.run(&["remove", "-f", "app.yml"]).success();
    cluster.kubectl(&["-n", "openfaas-fn", "delete", "function", "by-manifest"]).success();
    faas.run(&["secret", "remove", "api-key"]).success();
    cluster
        .kubectl(&["-n", "openfaas", "create", "secret", "generic", "by-hand", "--from-literal=a=b"])
        .success();
    cluster.helm(&["uninstall", "openfaas", "-n", "openfaas", "--wait"]).success();
    wait_for("the pods to end", || {
        let pods = ["openfaas", "openfaas-fn"].map(|name| cluster.get(&["-n", name, "pods"]));
        pods.iter().all(|pods| pods["items"].as_array().is_some_and(Vec::is_empty)).then_some(())
    });
    assert_eq!(left(&cluster), ["secret/by-hand"]);
    wait_for("the second namespace to go", || {
        (cluster.kubectl(&["get", "namespace", "staging"]).code != 0).then_some(())
    });
    let wide: Vec<_> = cluster_wide(&cluster).into_iter().filter(|name| !before.contains(name)).collect();
    let definition = ["functions.openfaas.com", "v1.openfaas.com"];
    let meant = |name: &&String| {
        ["namespace/openfaas", "namespace/openfaas-fn"].contains(&name.as_str())
            || definition.iter().any(|meant| name.ends_with(&format!("/{meant}")))
    };
    assert!(wide.iter().all(|name| meant(&name)), "{wide:?}");
    assert!(cluster.kubectl(&["get", "crd", "functions.openfaas.com"]).success().contains("functions"));
}

/// With rights in the whole cluster, namespaces are made and removed through the gateway.
fn second_namespace(cluster: &Cluster) {
    let platform = cluster.installation();
    let faas = platform.login();
    let refused = faas.run(&["namespace", "create", "staging"]).failure();
    assert!(refused.contains("clusterRole"), "{refused}");
    let platform = cluster.install(&["--set=clusterRole=true"]);
    faas.run(&["namespace", "create", "staging"]).success();
    let deploy =
        ["deploy", "--image", TEST_IMAGE, "--name", "hello", "--namespace", "staging", "--fprocess=env"];
    cluster.kubectl(&["get", "namespace", "staging"]).success();
    faas.run(&deploy).success();
    let answer = platform.http().get("/function/hello.staging");
    assert!(answer.text().contains("OPENFAAS_NAMESPACE=staging\n"), "{}", answer.text());
    assert_eq!(platform.http().post("/function/hello", b"still here").text(), "still here");
    assert!(faas.run(&["namespace", "list"]).success().contains("staging"));
    faas.run(&["namespace", "remove", "staging"]).success();
    assert_eq!(platform.http().get("/function/hello.staging").status, 404);
}

/// What autoscalers read: how many there are to be, how many there are, and what selects their pods.
fn scale_subresource(cluster: &Cluster, replicas: u64) {
    let path = "/apis/openfaas.com/v1/namespaces/openfaas-fn/functions/hello/scale";
    let scale = wait_for("the scale to tell what there is", || {
        let scale: Value = serde_json::from_str(&cluster.kubectl(&["get", "--raw", path]).success()).unwrap();
        (scale["status"]["replicas"] == replicas).then_some(scale)
    });
    assert_eq!((&scale["kind"], &scale["spec"]["replicas"]), (&"Scale".into(), &json!(replicas)));
    let selector = scale["status"]["selector"].as_str().unwrap();
    wait_for("the selector to find the pods and no others", || {
        let pods = cluster.get(&["-n", "openfaas-fn", "pods", "-l", selector]);
        let pods = pods["items"].as_array().unwrap().clone();
        assert!(pods.iter().all(|pod| pod["metadata"]["labels"]["faas_function"] == "hello"), "{selector}");
        (pods.len() as u64 == replicas).then_some(())
    });
}

/// The names of what is in no namespace; nodes and their like come and go by themselves.
fn cluster_wide(cluster: &Cluster) -> Vec<String> {
    let kinds =
        cluster.kubectl(&["api-resources", "--namespaced=false", "--verbs=list", "-o", "name"]).success();
    let passing = ["certificatesigningrequests", "componentstatuses", "nodes", "csinodes", "ipaddresses"];
    let lasting = |kind: &&str| !passing.contains(&kind.split('.').next().unwrap_or_default());
    let kinds: Vec<&str> = kinds.lines().filter(lasting).collect();
    let names = cluster.kubectl(&["get", "-o", "name", &kinds.join(",")]).success();
    names.lines().map(str::to_owned).collect()
}

/// What is in the two namespaces beside what every namespace has.
fn left(cluster: &Cluster) -> Vec<String> {
    let kinds = cluster.kubectl(&["api-resources", "--namespaced", "--verbs=list", "-o", "name"]).success();
    let kinds: Vec<&str> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
    let mut found = Vec::new();
    for namespace in ["openfaas", "openfaas-fn"] {
        let list = cluster.get(&["-n", namespace, &kinds.join(",")]);
        for item in list["items"].as_array().unwrap() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
            found.push(format!("{}/{}", text(&item["kind"]), text(&item["metadata"]["name"])));
        }
    }
    found.retain(|name| !["configmap/kube-root-ca.crt", "serviceaccount/default"].contains(&name.as_str()));
    found
}

#[test]
fn functions_outlive_an_uninstall_and_the_next_install_adopts_them() {
    let Some(cluster) = Cluster::take() else { return };
    let platform = cluster.install(&[]);
    crate::deploy(&platform, &crate::deployment("kept", "cat"));
    available(&platform, "kept", 1);
    cluster.helm(&["uninstall", "openfaas", "-n", "openfaas", "--wait"]).success();
    let deployment = || cluster.get(&["-n", "openfaas-fn", "deployment", "kept"]);
    let before = deployment();
    let platform = cluster.install(&[]);
    assert_eq!(platform.http().post("/function/kept", b"hello").text(), "hello");
    let after = deployment();
    assert_eq!(
        (&before["metadata"]["uid"], &before["metadata"]["generation"]),
        (&after["metadata"]["uid"], &after["metadata"]["generation"])
    );
    crate::remove(&platform, "kept");
}
