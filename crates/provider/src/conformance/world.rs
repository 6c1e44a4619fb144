//! What a case works with: the provider, the routes it has pushed, and invocations along them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use faas_api::{FunctionDeployment, FunctionId, Namespace};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};

use super::{Behaviour, Harness};
use crate::{Address, InFlight, Provider, Route, RouteSink};

/// Long enough for any machine; a case that waits this long has failed.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) struct World<'a> {
    pub(super) provider: Arc<dyn Provider>,
    harness: &'a dyn Harness,
    routes: Arc<Routes>,
}

#[derive(Default)]
struct Routes(Mutex<HashMap<FunctionId, Route>>);

impl RouteSink for Routes {
    fn apply(&self, updates: Vec<(FunctionId, Option<Route>)>) {
        let mut routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (function, route) in updates {
            match route {
                Some(route) => drop(routes.insert(function, route)),
                None => drop(routes.remove(&function)),
            }
        }
    }
}

impl<'a> World<'a> {
    pub(super) fn new(harness: &'a dyn Harness) -> Self {
        let (provider, routes) = (harness.provider(), Arc::<Routes>::default());
        provider.subscribe(Arc::clone(&routes) as _);
        Self { provider, harness, routes }
    }

    /// A deployment of `function` that behaves so.
    pub(super) async fn deployable(&self, function: &FunctionId, behaviour: Behaviour) -> FunctionDeployment {
        let mut deployment = self.harness.deployable(behaviour, &function.namespace).await;
        deployment.service = function.name.to_string();
        deployment.namespace = function.namespace.to_string();
        deployment
    }

    pub(super) async fn deploy(&self, function: &FunctionId, behaviour: Behaviour) {
        let deployment = self.deployable(function, behaviour).await;
        self.provider.deploy(function, deployment).await.expect("the function deploys");
    }

    pub(super) fn route(&self, function: &FunctionId) -> Option<Route> {
        self.routes.0.lock().unwrap_or_else(PoisonError::into_inner).get(function).cloned()
    }

    /// The route once it is as wanted.
    pub(super) async fn routed(
        &self,
        function: &FunctionId,
        what: &str,
        wanted: impl Fn(&Route) -> bool,
    ) -> Route {
        eventually(what, async || self.route(function).filter(|route| wanted(route))).await
    }

    /// Invokes as a gateway does: along the route, counted in flight, again where nothing was reached.
    pub(super) async fn invoke(&self, function: &FunctionId, body: &str) -> (u16, String) {
        let lease = eventually("a replica", async || self.begin(function)).await;
        let request = Request::post("/").header("host", "test").body(Full::from(body.to_owned()));
        let request = request.expect("the request is valid");
        send(&lease.replica().address, request).await.expect("the replica answers")
    }

    fn begin(&self, function: &FunctionId) -> Option<InFlight> {
        self.route(function)?.replicas.first().and_then(|replica| replica.begin(None))
    }
}

/// Looks until there is something, or panics.
pub(super) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

pub(super) fn function(text: &str) -> FunctionId {
    FunctionId::parse(text, &Namespace::default()).expect("the name is valid")
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn send(address: &Address, request: Request<Full<Bytes>>) -> Result<(u16, String), Failure> {
    match address {
        Address::Tcp(address) => exchange(TcpStream::connect(address).await?, request).await,
        Address::Unix(path) => exchange(UnixStream::connect(path).await?, request).await,
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(u16, String), Failure>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::select! {
        biased;
        answer = answer => answer,
        Err(error) = connection => Err(error.into()),
    }
}
