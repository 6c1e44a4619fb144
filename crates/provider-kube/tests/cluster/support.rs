//! A clean place in the cluster, an operator and a provider. One at a time, since functions and namespaces of the suite
//! have fixed names.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use faas_api::{FunctionDeployment, Namespace, Version};
use faas_k8s::{Defaults, Function, Settings, ValidProbe, labels};
use faas_provider::Provider;
use faas_provider::conformance::{Behaviour, Harness};
use faas_provider_kube::{Config, Kube};
use faas_testing::Cluster;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace as NamespaceObject, Node, Pod, Secret, Service};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, CustomResourceExt as _, Resource};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

/// As `make cluster-images` puts it into the cluster.
const IMAGE: &str = "docker.io/faas/test-function:dev";
/// Objects are gone by then, or something holds them.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) kube: Kube,
    kubeconfig: PathBuf,
    stop: CancellationToken,
    _cluster: Cluster,
}

/// Leaves the cluster as it was found, failed or not.
impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
        let path = self.kubeconfig.clone();
        // On a runtime of its own: that of the test is waiting here.
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { clean(&Client::try_from(client_config(&path).await).unwrap()).await });
        });
        let _ = cleaning.join();
    }
}

impl World {
    /// `None` where there is no cluster to test with.
    pub(crate) async fn start() -> Option<Self> {
        let cluster = tokio::task::spawn_blocking(Cluster::take).await.unwrap()?;
        // These tests bring an operator of their own.
        cluster.helm(&["uninstall", "openfaas", "-n", "openfaas", "--ignore-not-found", "--wait"]).success();
        let path = cluster.kubeconfig().to_owned();
        let client = Client::try_from(client_config(&path).await).unwrap();
        prepare(&client).await;
        clean(&client).await;
        let stop = start_operator(client.clone());
        let kube = Kube::start(client.clone(), config(true));
        kube.synced().await;
        Some(Self { client, kube, kubeconfig: path, stop, _cluster: cluster })
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), Namespace::default().as_str())
    }
}

pub(crate) async fn client_config(path: &Path) -> kube::Config {
    let file = Kubeconfig::read_from(path).unwrap();
    kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap()
}

pub(crate) fn config(many_namespaces: bool) -> Config {
    Config { namespace: Namespace::default(), many_namespaces, version: Version::default() }
}

fn start_operator(client: Client) -> CancellationToken {
    let probe = ValidProbe {
        path: "/_/health".into(),
        chosen: false,
        initial_delay_seconds: 0,
        period_seconds: 1,
        timeout_seconds: 1,
        failure_threshold: 3,
        success_threshold: 1,
    };
    let (timeout, healthcheck_interval) = (Duration::from_mins(1), Duration::from_secs(2));
    let config = faas_operator::Config {
        namespace: None,
        settings: Settings {
            http_probe: true,
            set_nonroot_user: true,
            image_pull_policy: "IfNotPresent".into(),
        },
        defaults: Defaults { timeout, healthcheck_interval, liveness: probe.clone(), readiness: probe },
        workers: 4,
        lease: None,
    };
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        faas_operator::run(client, config, &prometheus::Registry::new(), stopped, || {}).await.unwrap();
    });
    stop
}

/// What the platform's installation would have made.
async fn prepare(client: &Client) {
    let nodes = Api::<Node>::all(client.clone());
    eventually(&format!("{IMAGE} in the cluster: run make cluster-images"), async || {
        let nodes = nodes.list(&ListParams::default()).await.unwrap().items;
        let images = nodes.into_iter().filter_map(|node| node.status?.images).flatten();
        images.filter_map(|image| image.names).flatten().any(|name| name == IMAGE)
    })
    .await;
    let mut crd = Function::crd();
    // So that the chart can be installed later and have it as its own.
    crd.metadata.labels = Some([("app.kubernetes.io/managed-by".into(), "Helm".into())].into());
    let owner = [("meta.helm.sh/release-name", "openfaas"), ("meta.helm.sh/release-namespace", "openfaas")];
    crd.metadata.annotations = Some(owner.map(|(key, value)| (key.into(), value.into())).into());
    make(Api::<CustomResourceDefinition>::all(client.clone()), &crd).await;
    let name = Some(Namespace::default().to_string());
    let metadata = ObjectMeta { name, ..ObjectMeta::default() };
    make(Api::all(client.clone()), &NamespaceObject { metadata, ..NamespaceObject::default() }).await;
    let functions = Api::<Function>::all(client.clone());
    eventually("the Function resource", async || functions.list(&ListParams::default()).await.is_ok()).await;
}

/// Leaves one that is there as it is.
async fn make<K>(api: Api<K>, object: &K)
where
    K: Clone + serde::Serialize + DeserializeOwned + std::fmt::Debug,
{
    match api.create(&PostParams::default(), object).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        result => drop(result.unwrap()),
    }
}

/// Removes what cases leave, without waiting for pods to finish.
async fn clean(client: &Client) {
    let namespace = Namespace::default();
    let dev = Api::<NamespaceObject>::all(client.clone());
    let _ = dev.delete("dev", &DeleteParams::default()).await;
    let (function, ours) = (labels::FUNCTION, format!("{}={}", labels::MANAGED_BY, labels::MANAGED_BY_US));
    eventually("a clean namespace", async || {
        let left = [
            remove::<Function>(client, &namespace, "").await,
            remove::<Secret>(client, &namespace, &ours).await,
            remove::<Deployment>(client, &namespace, function).await,
            remove::<ReplicaSet>(client, &namespace, function).await,
            remove::<Pod>(client, &namespace, function).await,
            remove_services(client, &namespace).await,
        ];
        left == [false; 6]
    })
    .await;
    eventually("namespace dev to be gone", async || dev.get_opt("dev").await.unwrap().is_none()).await;
}

/// Whether there is any left.
async fn remove<K>(client: &Client, namespace: &Namespace, selector: &str) -> bool
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let api = Api::<K>::namespaced(client.clone(), namespace.as_str());
    let selected = ListParams::default().labels(selector);
    let left = !api.list_metadata(&selected).await.unwrap().items.is_empty();
    if left {
        let now = DeleteParams::background().grace_period(0);
        drop(api.delete_collection(&now, &selected).await.unwrap());
    }
    left
}

/// Those of deleted functions go by themselves, and a cluster is not asked to delete services by the dozen.
async fn remove_services(client: &Client, namespace: &Namespace) -> bool {
    let api = Api::<Service>::namespaced(client.clone(), namespace.as_str());
    !api.list_metadata(&ListParams::default().labels(labels::FUNCTION)).await.unwrap().items.is_empty()
}

/// Looks until it is so, or panics.
pub(crate) async fn eventually(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !look().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, looking).await;
    assert!(waited.is_ok(), "waited in vain for {what}");
}

#[async_trait]
impl Harness for World {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(self.kube.clone())
    }

    async fn deployable(&self, behaviour: Behaviour, _namespace: &Namespace) -> FunctionDeployment {
        let process = match behaviour {
            Behaviour::Echo => "cat",
            Behaviour::Environment => "env",
            Behaviour::Secret => "cat /var/openfaas/secrets/api-key",
            Behaviour::Broken => "/bin/broken",
        };
        let http = [("mode", "http"), ("upstream_url", "http://127.0.0.1:5000")];
        let variables = if behaviour == Behaviour::Broken { http.as_slice() } else { &[] };
        FunctionDeployment {
            image: IMAGE.into(),
            env_process: process.into(),
            env_vars: variables.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            ..FunctionDeployment::default()
        }
    }
}
