//! Functions of the templates as images: packages on the runtimes' images, made without a registry.

use std::process::Command;

use faas_testing::Cluster;

use crate::{available, restricted_says};

/// Template, what is posted, what comes back.
const TEMPLATES: [(&str, &str, &str); 4] = [
    ("python3", "hello", "hello\n"),
    ("python3-http", "hello", "Hello from OpenFaaS!"),
    ("node", "hello", r#"{"body":"\"hello\""}"#),
    ("bash", "hello", "hello"),
];

#[test]
fn templates_run_as_images() {
    let Some(cluster) = Cluster::take() else { return };
    if !cluster.is_development() {
        eprintln!("skipped: only into the nodes of \"make cluster\" can images be loaded from here");
        return;
    }
    let platform = cluster.install(&[]);
    let faas = platform.login();
    for (template, ..) in TEMPLATES {
        let (name, stack) = (format!("from-{template}"), format!("from-{template}.yml"));
        faas.run(&["new", "--lang", template, &name, "--prefix", "docker.io/faas-test"]).success();
        faas.run(&["build", "-f", &stack]).success();
        load_built(&cluster, &name);
        // Where nothing but the temporary folder can be written to.
        let deployed = faas.run(&["deploy", "-f", &stack, "--readonly"]).success();
        assert!(deployed.contains("Deployed. 202 Accepted."), "{deployed}");
    }
    for (template, request, expected) in TEMPLATES {
        let name = format!("from-{template}");
        available(&platform, &name, 1);
        // The second comes when all that is done once is done.
        for _ in 0..2 {
            let answer = platform.http().post(&format!("/function/{name}"), request.as_bytes());
            assert_eq!((answer.status, answer.text().as_str()), (200, expected), "{template}");
        }
    }
    assert_eq!(restricted_says(&cluster, "openfaas-fn"), "");
    for (template, ..) in TEMPLATES {
        crate::remove(&platform, &format!("from-{template}"));
    }
}

/// Makes an image of the package that `faas build` left, and puts it into the node. Its name.
pub(crate) fn load_built(cluster: &Cluster, name: &str) -> String {
    let image = format!("docker.io/faas-test/{name}:latest");
    run(cluster, "deploy/images/function", &[&format!("build/{name}.zip"), &image]);
    run(cluster, "deploy/devcluster/devcluster", &["load", &format!("build/{name}.tar")]);
    image
}

/// Runs a script of the repository, where the command line runs.
#[track_caller]
fn run(cluster: &Cluster, script: &str, arguments: &[&str]) {
    let mut command = Command::new(cluster.file(script));
    // devcluster loads nothing into a cluster that it is told of.
    command.args(arguments).current_dir(cluster.folder()).env_remove("FAAS_TEST_KUBECONFIG");
    let output = command.output().unwrap_or_else(|error| panic!("{script}: {error}"));
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}
