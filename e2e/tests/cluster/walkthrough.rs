//! The installation that OpenFaaS users know, line by line, and then the first session against it.

use faas_testing::{Cluster, TEST_IMAGE};

#[test]
fn the_known_walkthrough_goes_line_by_line() {
    let Some(cluster) = Cluster::take() else { return };
    cluster.clear();
    cluster.kubectl(&["apply", "-f", &cluster.file("deploy/namespaces.yml")]).success();
    let secret = [
        "-n",
        "openfaas",
        "create",
        "secret",
        "generic",
        "basic-auth",
        "--from-literal=basic-auth-user=admin",
        "--from-literal=basic-auth-password=by-hand-0123",
    ];
    cluster.kubectl(&secret).success();
    let chart = cluster.file("charts/faas");
    let install = [
        "upgrade",
        "openfaas",
        "--install",
        &chart,
        "--namespace",
        "openfaas",
        "--set",
        "basic_auth=true",
        "--set",
        "serviceType=LoadBalancer",
        "--set",
        "functionNamespace=openfaas-fn",
        // What a node that pulls nothing and has no storage needs.
        "--set",
        "openfaasImagePullPolicy=IfNotPresent",
        "--set",
        "functions.imagePullPolicy=IfNotPresent",
        "--set",
        "nats.persistence.enabled=false",
        "--set",
        "async=true",
    ];
    let notes = cluster.helm(&install).success();
    assert!(notes.contains("faas login"), "{notes}");
    for deployment in ["gateway", "operator"] {
        let rollout =
            ["-n", "openfaas", "rollout", "status", "--timeout=90s", &format!("deployment/{deployment}")];
        cluster.kubectl(&rollout).success();
    }
    let found =
        ["-n", "openfaas", "get", "deployments", "-l", "release=openfaas, app=openfaas", "-o", "name"];
    let found = cluster.kubectl(&found).success();
    assert!(
        found.contains("deployment.apps/gateway") && found.contains("deployment.apps/operator"),
        "{found}"
    );
    for service in ["gateway", "gateway-external", "nats"] {
        cluster.kubectl(&["-n", "openfaas", "get", "service", service]).success();
    }
    let platform = cluster.installation();
    assert_eq!(platform.password, "by-hand-0123", "the chart keeps a hand-made secret");
    first_session(&cluster);
    let helm_secret = cluster.get(&["-n", "openfaas", "secret", "basic-auth"]);
    assert!(helm_secret["metadata"]["annotations"].get("meta.helm.sh/release-name").is_none());
    cluster.helm(&["uninstall", "openfaas", "-n", "openfaas", "--wait"]).success();
    cluster.kubectl(&["-n", "openfaas", "get", "secret", "basic-auth"]).success();
    cluster.kubectl(&["-n", "openfaas", "delete", "secret", "basic-auth"]).success();
}

fn first_session(cluster: &Cluster) {
    let platform = cluster.installation();
    let faas = platform.faas();
    cluster.write("hello.yml", &format!(
        "provider:\n  name: openfaas\nfunctions:\n  hello:\n    image: {TEST_IMAGE}\n    skip_build: true\n    fprocess: cat\n"
    ));
    let refused = faas.run(&["deploy", "-f", "hello.yml"]).failure();
    assert!(refused.contains("unauthorized access, run \"faas login\""), "{refused}");
    let faas = platform.login();
    let deployed = faas.run(&["deploy", "-f", "hello.yml"]).success();
    assert!(deployed.contains("\nDeployed. 202 Accepted.\n"), "{deployed}");
    assert!(deployed.contains(&format!("URL: {}/function/hello\n", platform.url())), "{deployed}");
    assert_eq!(platform.http().post("/function/hello", b"hello").text(), "hello");
    assert_eq!(faas.run_with(&["invoke", "hello"], b"hello").success(), "hello");
    let listed = faas.run(&["list"]).success();
    let row: Vec<_> = listed.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert_eq!(row, ["hello", "2", "1"], "{listed}");
    let described = faas.run(&["describe", "hello"]).success();
    assert!(described.contains("Ready") && described.contains(TEST_IMAGE), "{described}");
    let logs = faas.run(&["logs", "hello", "--tail=false"]).success();
    assert!(logs.contains("Forking fprocess."), "{logs}");
    let removed = faas.run(&["remove", "-f", "hello.yml"]).success();
    assert!(removed.contains("Removing old function."), "{removed}");
    assert_eq!(platform.http().post("/function/hello", b"").status, 404);
}
