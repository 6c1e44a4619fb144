//! The installation that OpenFaaS users know, line by line, and then the first session against it.

use faas_testing::{Cluster, Faas, TEST_IMAGE};
use serde_json::Value;

use crate::restricted_says;
use crate::templates::load_built;

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
    for part in ["deployment/gateway", "deployment/operator", "statefulset/nats", "deployment/queue-worker"] {
        cluster.kubectl(&["-n", "openfaas", "rollout", "status", "--timeout=90s", part]).success();
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
    nats_writes_through(&cluster);
    the_platform_meets_restricted(&cluster);
    let platform = cluster.installation();
    assert_eq!(platform.password, "by-hand-0123", "the chart keeps a hand-made secret");
    first_session(&cluster);
    let helm_secret = cluster.get(&["-n", "openfaas", "secret", "basic-auth"]);
    assert!(helm_secret["metadata"]["annotations"].get("meta.helm.sh/release-name").is_none());
    cluster.helm(&["uninstall", "openfaas", "-n", "openfaas", "--wait"]).success();
    cluster.kubectl(&["-n", "openfaas", "get", "secret", "basic-auth"]).success();
    cluster.kubectl(&["-n", "openfaas", "delete", "secret", "basic-auth"]).success();
}

/// The server that runs says so, not only its file.
fn nats_writes_through(cluster: &Cluster) {
    let path = "/api/v1/namespaces/openfaas/pods/nats-0:8222/proxy/varz";
    let varz = cluster.kubectl(&["get", "--raw", path]).success();
    let varz: Value = serde_json::from_str(&varz).unwrap();
    let jetstream = &varz["jetstream"]["config"];
    assert_eq!(jetstream["sync_always"], true, "{jetstream}");
    let configuration = cluster.get(&["-n", "openfaas", "configmap", "nats"]);
    let text = configuration["data"]["nats.conf"].as_str().unwrap();
    assert!(text.lines().any(|line| line.trim() == "sync_interval: always"), "{text}");
}

/// Pods of each part run, and none gives reason to warn; one that does shows that it would be said.
fn the_platform_meets_restricted(cluster: &Cluster) {
    let pods = cluster.get(&["-n", "openfaas", "pods"]);
    let names: Vec<_> =
        pods["items"].as_array().unwrap().iter().filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
    for part in ["gateway-", "operator-", "nats-", "queue-worker-"] {
        assert!(names.iter().any(|name| name.starts_with(part)), "{part} in {names:?}");
    }
    assert_eq!(restricted_says(cluster, "openfaas"), "");
    let image = format!("--image={TEST_IMAGE}");
    let lax = ["-n", "openfaas", "run", "lax", "--image-pull-policy=IfNotPresent", &image];
    cluster.kubectl(&lax).success();
    let said = restricted_says(cluster, "openfaas");
    assert!(said.contains("Warning: lax: allowPrivilegeEscalation != false"), "{said}");
    cluster.kubectl(&["-n", "openfaas", "delete", "pod", "lax", "--force", "--grace-period=0"]).success();
}

/// With the test's image, and with a function of a template where images can be put into the node.
fn first_session(cluster: &Cluster) {
    let platform = cluster.installation();
    let faas = platform.faas();
    cluster.write("hello.yml", &format!(
        "provider:\n  name: openfaas\nfunctions:\n  hello:\n    image: {TEST_IMAGE}\n    skip_build: true\n    fprocess: cat\n"
    ));
    let refused = faas.run(&["deploy", "-f", "hello.yml"]).failure();
    assert!(
        refused.contains("unauthorized access, run \"faas login\" to setup authentication for this server"),
        "{refused}"
    );
    let login = ["login", "-g", platform.url(), "-u", "admin", "--password-stdin"];
    let logged_in = faas.run_with(&login, format!("{}\n", platform.password).as_bytes()).success();
    assert!(logged_in.contains(&format!("credentials saved for admin {}", platform.url())), "{logged_in}");
    deploy_to_remove(cluster, &faas, "hello", TEST_IMAGE, "hello");

    if cluster.is_development() {
        let new = ["new", "--lang", "python", "hello-python", "--prefix", "docker.io/faas-test"];
        faas.run(&new).success();
        for file in ["hello-python/handler.py", "hello-python/requirements.txt", "hello-python.yml"] {
            assert!(cluster.folder().join(file).is_file(), "{file}");
        }
        faas.run(&["build", "-f", "hello-python.yml"]).success();
        let image = load_built(cluster, "hello-python");
        deploy_to_remove(cluster, &faas, "hello-python", &image, "hello\n");
    }
}

/// The session from `deploy` on, with the function of `NAME.yml` that answers so to `hello`.
fn deploy_to_remove(cluster: &Cluster, faas: &Faas, name: &str, image: &str, answer: &str) {
    let platform = cluster.installation();
    let (stack, path) = (format!("{name}.yml"), format!("/function/{name}"));
    let deployed = faas.run(&["deploy", "-f", &stack]).success();
    assert!(deployed.contains("\nDeployed. 202 Accepted.\n"), "{deployed}");
    assert!(deployed.contains(&format!("URL: {}{path}\n", platform.url())), "{deployed}");
    let answered = platform.http().post(&path, b"hello");
    assert_eq!((answered.status, answered.text().as_str()), (200, answer));
    assert_eq!(faas.run_with(&["invoke", name], b"hello").success(), answer);
    let listed = faas.run(&["list"]).success();
    let row: Vec<_> = listed.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert_eq!(row, [name, "2", "1"], "{listed}");
    let described = faas.run(&["describe", name]).success();
    assert!(described.contains("Ready") && described.contains(image), "{described}");
    let logs = faas.run(&["logs", name, "--tail=false"]).success();
    assert!(logs.contains("Forking fprocess."), "{logs}");
    let removed = faas.run(&["remove", "-f", &stack]).success();
    assert!(
        removed.contains(&format!("Deleting: {name}.")) && removed.contains("Removing old function."),
        "{removed}"
    );
    assert_eq!(platform.http().post(&path, b"").status, 404);
}
