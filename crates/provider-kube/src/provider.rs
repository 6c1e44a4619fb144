//! What the gateway asks; each answer is in a module of its own.

use std::sync::Arc;

use async_trait::async_trait;
use faas_api::{
    Digest, FunctionDeployment, FunctionId, FunctionNamespace, FunctionStatus, LogMessage, Namespace,
    ProviderInfo,
};
use faas_k8s::Function;
use faas_provider::{Error, LogQuery, PackageBody, Provider, RouteSink};
use futures_util::stream::BoxStream;
use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Config;
use crate::look_up::LookUps;
use crate::routes::Routes;
use crate::watch::{self as watches, Synced};

/// The Kubernetes provider. Cheap to clone; it watches until the last clone is dropped.
#[derive(Clone)]
pub struct Kube(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    client: Client,
    pub(crate) config: Config,
    pub(crate) routes: Arc<Routes>,
    pub(crate) look_ups: LookUps,
    synced: watch::Receiver<Synced>,
    /// Ends the watches when dropped.
    _watches: JoinSet<()>,
}

impl Kube {
    /// Begins to watch functions and pods; what is missing or forbidden is tried again for ever.
    pub fn start(client: Client, config: Config) -> Self {
        let routes = Arc::<Routes>::default();
        let (sender, synced) = watch::channel(Synced::default());
        let watches = start_watches(&client, &config, &routes, sender);
        let look_ups = LookUps::new();
        Self(Arc::new(Inner { client, config, routes, look_ups, synced, _watches: watches }))
    }

    /// Waits until every function and pod that exists now is in the routes. Cancel safe.
    pub async fn synced(&self) {
        let mut synced = self.0.synced.clone();
        // The watches, which hold the other end, end with the last clone of `self`.
        let _ = synced.wait_for(|synced| synced.functions && synced.pods).await;
    }

    /// Whether functions of this namespace can be here at all.
    pub(crate) fn reaches(&self, namespace: &Namespace) -> bool {
        self.0.config.many_namespaces || *namespace == self.0.config.namespace
    }

    pub(crate) fn functions(&self, namespace: &Namespace) -> Api<Function> {
        self.namespaced(namespace)
    }

    pub(crate) fn namespaced<K>(&self, namespace: &Namespace) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.0.client.clone(), namespace.as_str())
    }

    pub(crate) fn cluster(&self) -> Api<k8s_openapi::api::core::v1::Namespace> {
        Api::all(self.0.client.clone())
    }
}

fn start_watches(
    client: &Client,
    config: &Config,
    routes: &Arc<Routes>,
    synced: watch::Sender<Synced>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let synced = Arc::new(synced);
    let own = || (client.clone(), config.clone(), Arc::clone(routes), Arc::clone(&synced));
    let (client, config, routes, functions) = own();
    tasks.spawn(async move { watches::functions(client, &config, &routes, &functions).await });
    let (client, config, routes, pods) = own();
    tasks.spawn(async move { watches::pods(client, &config, &routes, &pods).await });
    tasks
}

fn no_packages() -> Error {
    Error::Invalid("packages do not run on Kubernetes: build an image and deploy that".into())
}

#[async_trait]
impl Provider for Kube {
    fn info(&self) -> ProviderInfo {
        ProviderInfo {
            name: "faas-kubernetes".into(),
            version: self.0.config.version.clone(),
            orchestration: "kubernetes".into(),
            accepts: vec!["image".into()],
            isolation: "containers".into(),
        }
    }

    fn subscribe(&self, sink: Arc<dyn RouteSink>) {
        self.0.routes.subscribe(sink);
    }

    async fn look_up(&self, function: &FunctionId) -> Result<(), Error> {
        self.look_up_now(function).await
    }

    async fn list(&self, namespace: &Namespace) -> Result<Vec<FunctionStatus>, Error> {
        self.list_now(namespace).await
    }

    /// What replicas use is not known here.
    async fn get(&self, function: &FunctionId, _usage: bool) -> Result<FunctionStatus, Error> {
        Ok(faas_k8s::to_status(&self.read(function).await?))
    }

    async fn deploy(&self, function: &FunctionId, deployment: FunctionDeployment) -> Result<(), Error> {
        self.deploy_now(function, deployment).await
    }

    async fn update(&self, function: &FunctionId, deployment: FunctionDeployment) -> Result<(), Error> {
        self.update_now(function, deployment).await
    }

    async fn delete(&self, function: &FunctionId) -> Result<(), Error> {
        self.delete_now(function).await
    }

    async fn scale(&self, function: &FunctionId, replicas: u32) -> Result<(), Error> {
        self.scale_now(function, replicas).await
    }

    async fn wake(&self, function: &FunctionId) -> Result<(), Error> {
        self.wake_now(function).await
    }

    async fn list_secrets(&self, namespace: &Namespace) -> Result<Vec<String>, Error> {
        self.list_secrets_now(namespace).await
    }

    async fn create_secret(&self, namespace: &Namespace, name: &str, value: Vec<u8>) -> Result<(), Error> {
        self.create_secret_now(namespace, name, value).await
    }

    async fn update_secret(&self, namespace: &Namespace, name: &str, value: Vec<u8>) -> Result<(), Error> {
        self.update_secret_now(namespace, name, value).await
    }

    async fn delete_secret(&self, namespace: &Namespace, name: &str) -> Result<(), Error> {
        self.delete_secret_now(namespace, name).await
    }

    async fn list_namespaces(&self) -> Result<Vec<FunctionNamespace>, Error> {
        self.list_namespaces_now().await
    }

    async fn create_namespace(&self, namespace: FunctionNamespace) -> Result<(), Error> {
        self.create_namespace_now(namespace).await
    }

    async fn update_namespace(&self, namespace: FunctionNamespace) -> Result<(), Error> {
        self.update_namespace_now(namespace).await
    }

    async fn delete_namespace(&self, namespace: &Namespace) -> Result<(), Error> {
        self.delete_namespace_now(namespace).await
    }

    async fn logs(&self, query: LogQuery) -> Result<BoxStream<'static, LogMessage>, Error> {
        self.read_logs(query).await
    }

    async fn has_package(&self, _digest: &Digest) -> Result<bool, Error> {
        Ok(false)
    }

    async fn put_package(&self, _digest: &Digest, _body: PackageBody) -> Result<(), Error> {
        Err(no_packages())
    }

    async fn tag_package(&self, _: &Namespace, _image: &str, _digest: &Digest) -> Result<(), Error> {
        Err(no_packages())
    }
}
