//! A provider that only has routes: whoever tests a gateway says where each function is.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use faas_api::{
    Digest, FunctionDeployment, FunctionId, FunctionNamespace, FunctionStatus, LogMessage, Namespace,
    ProviderInfo, Scaling, Terms,
};
use faas_provider::{Address, Error, LogQuery, PackageBody, Provider, Replica, Route, RouteSink};
use futures_util::stream::BoxStream;

/// Give it to a gateway, and set routes before or after. Everything but routes is unavailable.
#[derive(Clone, Default)]
pub struct Routes(Arc<State>);

#[derive(Default)]
struct State {
    /// What was set before anyone subscribed, and who has.
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    early: Vec<(FunctionId, Option<Route>)>,
    sink: Option<Arc<dyn RouteSink>>,
}

impl Routes {
    /// Puts a function of the default namespace at these addresses; the replicas, in their order.
    pub fn set(&self, function: &str, addresses: &[Address], terms: Terms) -> Vec<Arc<Replica>> {
        let name = |(number, _)| format!("{function}-{number}");
        let replicas: Vec<_> = addresses
            .iter()
            .enumerate()
            .map(|replica| Replica::new(name(replica), replica.1.clone()))
            .collect();
        let wanted = u32::try_from(replicas.len()).unwrap_or(u32::MAX);
        self.apply(
            function,
            Some(Route {
                replicas: replicas.clone(),
                wanted,
                terms,
                scaling: Scaling::default(),
                failure: None,
            }),
        );
        replicas
    }

    /// Any route, or none at all.
    pub fn apply(&self, function: &str, route: Option<Route>) {
        self.apply_all(vec![(function, route)]);
    }

    /// Many at once.
    pub fn apply_all(&self, routes: Vec<(&str, Option<Route>)>) {
        let parse = |name| FunctionId::parse(name, &Namespace::default()).expect("a function's name");
        let routes = routes.into_iter().map(|(name, route)| (parse(name), route)).collect();
        let mut inner = self.0.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match &inner.sink {
            Some(sink) => sink.apply(routes),
            None => inner.early.extend(routes),
        }
    }
}

fn unavailable<T>() -> Result<T, Error> {
    Err(Error::Unavailable { what: "do anything but route", source: "this provider only has routes".into() })
}

#[async_trait]
impl Provider for Routes {
    fn info(&self) -> ProviderInfo {
        ProviderInfo::default()
    }

    fn subscribe(&self, sink: Arc<dyn RouteSink>) {
        let mut inner = self.0.inner.lock().unwrap_or_else(PoisonError::into_inner);
        sink.apply(std::mem::take(&mut inner.early));
        inner.sink = Some(sink);
    }

    async fn list(&self, _: &Namespace) -> Result<Vec<FunctionStatus>, Error> {
        unavailable()
    }

    async fn get(&self, _: &FunctionId, _: bool) -> Result<FunctionStatus, Error> {
        unavailable()
    }

    async fn deploy(&self, _: &FunctionId, _: FunctionDeployment) -> Result<(), Error> {
        unavailable()
    }

    async fn update(&self, _: &FunctionId, _: FunctionDeployment) -> Result<(), Error> {
        unavailable()
    }

    async fn delete(&self, _: &FunctionId) -> Result<(), Error> {
        unavailable()
    }

    async fn scale(&self, _: &FunctionId, _: u32) -> Result<(), Error> {
        unavailable()
    }

    async fn wake(&self, _: &FunctionId) -> Result<(), Error> {
        unavailable()
    }

    async fn list_secrets(&self, _: &Namespace) -> Result<Vec<String>, Error> {
        unavailable()
    }

    async fn create_secret(&self, _: &Namespace, _: &str, _: Vec<u8>) -> Result<(), Error> {
        unavailable()
    }

    async fn update_secret(&self, _: &Namespace, _: &str, _: Vec<u8>) -> Result<(), Error> {
        unavailable()
    }

    async fn delete_secret(&self, _: &Namespace, _: &str) -> Result<(), Error> {
        unavailable()
    }

    async fn list_namespaces(&self) -> Result<Vec<FunctionNamespace>, Error> {
        unavailable()
    }

    async fn create_namespace(&self, _: FunctionNamespace) -> Result<(), Error> {
        unavailable()
    }

    async fn update_namespace(&self, _: FunctionNamespace) -> Result<(), Error> {
        unavailable()
    }

    async fn delete_namespace(&self, _: &Namespace) -> Result<(), Error> {
        unavailable()
    }

    async fn logs(&self, _: LogQuery) -> Result<BoxStream<'static, LogMessage>, Error> {
        unavailable()
    }

    async fn has_package(&self, _: &Digest) -> Result<bool, Error> {
        unavailable()
    }

    async fn put_package(&self, _: &Digest, _: PackageBody) -> Result<(), Error> {
        unavailable()
    }

    async fn tag_package(&self, _: &Namespace, _: &str, _: &Digest) -> Result<(), Error> {
        unavailable()
    }
}
