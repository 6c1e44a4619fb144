//! A Kubernetes cluster, and the platform installed in it by its chart.
//!
//! The cluster is the one that `FAAS_TEST_KUBECONFIG` names; `make test` sets it. Tests that use it take turns, across
//! processes too, since an installation owns its namespaces.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::TempDir;

use crate::{Faas, Http, Output, wait_for};

/// The development cluster's own file, and where its forwarder serves the gateway.
const DEVELOPMENT: (&str, &str) = ("/var/lib/faas-devcluster/kubeconfig", "http://127.0.0.1:31112");
/// Runs as any user, echoes, and never needs a registry.
pub const TEST_IMAGE: &str = "docker.io/faas/test-function:dev";

/// A cluster, for one test at a time.
#[derive(Debug)]
pub struct Cluster {
    kubeconfig: PathBuf,
    gateway: String,
    repository: PathBuf,
    folder: TempDir,
    _turn: File,
}

impl Cluster {
    /// The cluster to test with. Without one: `None`, and in CI a failure.
    #[expect(clippy::disallowed_methods, reason = "the one place where tests are told which cluster to use")]
    #[expect(clippy::print_stderr, reason = "a test that skips says so")]
    pub fn take() -> Option<Self> {
        let Some(kubeconfig) = std::env::var_os("FAAS_TEST_KUBECONFIG").filter(|path| !path.is_empty())
        else {
            assert!(!crate::is_ci(), "FAAS_TEST_KUBECONFIG is not set: run `make test`");
            eprintln!("skipped: FAAS_TEST_KUBECONFIG is not set; `make cluster` starts a cluster");
            return None;
        };
        let gateway = std::env::var("FAAS_TEST_GATEWAY").ok();
        let gateway = gateway.or_else(|| (kubeconfig == DEVELOPMENT.0).then(|| DEVELOPMENT.1.to_owned()));
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let repository = own.ancestors().find(|folder| folder.join("charts").is_dir());
        let turn = File::create(std::env::temp_dir().join("faas-test-cluster.lock"));
        let turn = turn.expect("the lock file can be made");
        turn.lock().expect("the lock file can be locked");
        let cluster = Self {
            kubeconfig: kubeconfig.into(),
            gateway: gateway
                .expect("FAAS_TEST_GATEWAY says where the cluster's gateway will be: its NodePort"),
            repository: repository.expect("the tests run in the repository").to_owned(),
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
            _turn: turn,
        };
        // Of a test that failed, or was stopped. Before the first installation there is no such resource.
        cluster.kubectl(&["delete", "functions.openfaas.com", "--all", "--all-namespaces"]);
        Some(cluster)
    }

    /// Whether it is the one of `make cluster`, whose processes run on this machine.
    pub fn is_development(&self) -> bool {
        self.kubeconfig == Path::new(DEVELOPMENT.0)
    }

    /// The file that names it.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs kubectl.
    pub fn kubectl(&self, arguments: &[&str]) -> Output {
        self.run("kubectl", arguments, b"")
    }

    /// Runs helm.
    pub fn helm(&self, arguments: &[&str]) -> Output {
        self.run("helm", arguments, b"")
    }

    /// `kubectl apply` of this text.
    pub fn apply(&self, manifest: &str) -> Output {
        self.run("kubectl", &["apply", "-f", "-"], manifest.as_bytes())
    }

    /// An object or a list, as kubectl prints it.
    pub fn get(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = ["get", "-o", "json"].iter().chain(arguments).copied().collect();
        serde_json::from_str(&self.kubectl(&arguments).success()).expect("kubectl prints JSON")
    }

    /// A file of the repository.
    pub fn file(&self, path: &str) -> String {
        self.repository.join(path).to_string_lossy().into_owned()
    }

    /// The process of this pod's container, if the node is this machine.
    pub fn process(&self, pod: &str) -> Option<u32> {
        let variable = format!("HOSTNAME={pod}");
        let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
        let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.find(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|found| found == variable.as_bytes())
        })
    }

    /// Where commands run.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file where commands run.
    pub fn write(&self, path: &str, text: &str) {
        fs::write(self.folder.path().join(path), text).expect("the file can be written");
    }

    fn run(&self, program: &str, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path()).env("KUBECONFIG", &self.kubeconfig);
        command.env("HOME", self.folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        let _ = child.stdin.take().expect("stdin is piped").write_all(input);
        let output = child.wait_with_output().expect("it ends");
        Output {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or(-1),
        }
    }

    /// Removes every installation and all functions, the namespaces included, and waits until they are gone.
    pub fn clear(&self) {
        self.helm(&["uninstall", "openfaas", "-n", "openfaas", "--ignore-not-found", "--wait"]).success();
        let listed = self.get(&["namespaces"]);
        let marked = |item: &&Value| {
            let metadata = &item["metadata"];
            metadata["annotations"].get("openfaas").is_some() || metadata["name"] == "openfaas"
        };
        let items = listed["items"].as_array().expect("a list has items").iter().filter(marked);
        let names: Vec<&str> = items.filter_map(|item| item["metadata"]["name"].as_str()).collect();
        for name in &names {
            // Replicas take their time to drain; nobody waits for them here.
            self.kubectl(&["-n", name, "delete", "functions.openfaas.com", "--all", "--ignore-not-found"]);
            let force = ["-n", name, "delete", "pods", "--all", "--force", "--grace-period=0"];
            self.kubectl(&["-n", name, "delete", "deployments", "--all"]).success();
            self.kubectl(&force).success();
        }
        let delete: Vec<&str> =
            ["delete", "namespace", "--ignore-not-found"].into_iter().chain(names).collect();
        if delete.len() > 3 {
            self.kubectl(&delete).success();
        }
    }

    /// The platform installed with these arguments to helm, ready, whatever was installed before.
    pub fn install(&self, arguments: &[&str]) -> Installation<'_> {
        self.kubectl(&["apply", "-f", &self.file("deploy/namespaces.yml")]).success();
        let chart = self.file("charts/faas");
        let fixed = [
            "upgrade",
            "openfaas",
            "--install",
            &chart,
            "--namespace",
            "openfaas",
            "--set=openfaasImagePullPolicy=IfNotPresent,functions.imagePullPolicy=IfNotPresent",
            "--set=nats.persistence.enabled=false",
            "--wait",
            "--timeout=2m",
        ];
        let all: Vec<&str> = fixed.into_iter().chain(arguments.iter().copied()).collect();
        let output = self.helm(&all);
        if output.code != 0 {
            let pods = self.kubectl(&["-n", "openfaas", "describe", "pods"]).stdout;
            panic!("helm: {}{}\n{pods}", output.stdout, output.stderr);
        }
        self.installation()
    }

    /// What is installed.
    pub fn installation(&self) -> Installation<'_> {
        let secret = self.get(&["-n", "openfaas", "secret", "basic-auth"]);
        let password = secret["data"]["basic-auth-password"].as_str().expect("there is a password");
        let password = STANDARD.decode(password).expect("it is base64");
        let installation =
            Installation { cluster: self, password: String::from_utf8(password).expect("it is text") };
        // One that is replaced serves for some seconds, with the settings that it had.
        wait_for("old gateways to end", || {
            let pods = self.get(&["-n", "openfaas", "pods", "-l", "app=gateway"]);
            let ending = |pod: &Value| pod["metadata"].get("deletionTimestamp").is_some();
            pods["items"].as_array().is_some_and(|pods| !pods.iter().any(ending)).then_some(())
        });
        wait_for("the gateway", || {
            let answer = installation.http().try_send("GET", "/healthz", &[], b"");
            answer.is_ok_and(|answer| answer.status == 200).then_some(())
        });
        installation
    }
}

/// The platform in a cluster.
#[derive(Debug)]
pub struct Installation<'a> {
    /// Where it is.
    pub cluster: &'a Cluster,
    /// Of the user `admin`.
    pub password: String,
}

impl Installation<'_> {
    /// The gateway's URL.
    pub fn url(&self) -> &str {
        &self.cluster.gateway
    }

    /// The command line, for this gateway, not logged in.
    pub fn faas(&self) -> Faas {
        Faas::new(self.cluster.folder()).with("OPENFAAS_URL", self.url())
    }

    /// Logs the command line in.
    pub fn login(&self) -> Faas {
        let faas = self.faas();
        let arguments = ["login", "-g", self.url(), "-u", "admin", "--password-stdin"];
        faas.run_with(&arguments, self.password.as_bytes()).success();
        faas
    }

    /// HTTP to the gateway, without credentials.
    pub fn http(&self) -> Http {
        Http::new(self.url())
    }

    /// HTTP to the gateway, as admin.
    pub fn admin(&self) -> Http {
        self.http().authorized(format!("Basic {}", STANDARD.encode(format!("admin:{}", self.password))))
    }

    /// A function as the API reports it.
    pub fn function(&self, name: &str) -> Value {
        let answer = self.admin().get(&format!("/system/function/{name}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice(&answer.body).expect("it is JSON")
    }
}
