//! A queue on disk, a worker on it, and servers that do as they are told.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use faas_api::FunctionId;
use faas_queue::embedded::Embedded;
use faas_queue::policy::Policy;
use faas_queue::worker::{Key, Metrics, Secrets, Settings, Worker};
use faas_queue::{Body, CallId, Found, Job, Queue, State};
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;
pub(crate) type Handler = Arc<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Answer> + Send + Sync>;

/// A request that came, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A server on a port of its own.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Answers what `answer` says, for each request and how many came before it.
    pub(crate) async fn start<F>(answer: impl Fn(usize, Seen) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        Self::start_on("127.0.0.1:0".parse().unwrap(), answer).await
    }

    pub(crate) async fn start_on<F>(
        address: SocketAddr,
        answer: impl Fn(usize, Seen) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (log, answer) = (Arc::clone(&seen), Arc::new(answer));
        let handler: Handler = Arc::new(move |request| {
            let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
            Box::pin(async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                let seen = Seen { method: head.method, uri: head.uri, headers: head.headers, body };
                let before = {
                    let mut log = log.lock().unwrap();
                    log.push(seen.clone());
                    log.len() - 1
                };
                answer(before, seen).await
            })
        });
        Self::serve(address, seen, handler).await
    }

    pub(crate) async fn serve(address: SocketAddr, seen: Arc<Mutex<Vec<Seen>>>, handler: Handler) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let handler = Arc::clone(&handler);
                let service = service_fn(move |request| {
                    let answer = handler(request);
                    async { Ok::<_, Infallible>(answer.await) }
                });
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, seen, task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status.try_into().unwrap();
    for (name, value) in headers {
        response.headers_mut().insert(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    response
}

/// A queue and the settings of its workers.
pub(crate) struct World {
    pub(crate) queue: Arc<Embedded>,
    pub(crate) settings: Settings,
    _folder: TempDir,
}

impl World {
    /// Retries come within moments, and callbacks may go to this machine's first address.
    pub(crate) fn new(gateway: &Server) -> Self {
        let policy = Policy {
            min_wait: Duration::from_millis(5),
            max_wait: Duration::from_millis(20),
            busy_wait: Duration::from_millis(5),
            ..Policy::default()
        };
        let settings = Settings {
            gateway_url: gateway.url(""),
            policy,
            allowed: vec!["127.0.0.1".parse().unwrap()],
            ..Settings::default()
        };
        Self::with(settings)
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let folder = TempDir::new().unwrap();
        let of_queue = faas_queue::Settings { lease: settings.lease, ..faas_queue::Settings::default() };
        let queue = Arc::new(Embedded::open(folder.path(), of_queue).unwrap());
        Self { queue, settings, _folder: folder }
    }

    pub(crate) fn worker(&self) -> Running {
        self.worker_on(Arc::clone(&self.queue) as Arc<dyn Queue>)
    }

    pub(crate) fn worker_on(&self, queue: Arc<dyn Queue>) -> Running {
        let stop = CancellationToken::new();
        let metrics = Metrics::new(&prometheus::Registry::new(), "faas-request").unwrap();
        let worker = Worker::new(queue, self.settings.clone(), Arc::new(OneSecret), metrics).unwrap();
        Running { task: tokio::spawn(worker.run(stop.clone())), stop }
    }

    pub(crate) async fn append(&self, job: &Job, body: impl Into<Bytes>) {
        self.queue.append(job.clone(), Body::Whole(body.into())).await.unwrap();
    }

    pub(crate) async fn find(&self, job: &Job) -> Found {
        self.queue.find(&job.id).await.unwrap().unwrap()
    }

    /// What has become of a job, when nothing more will.
    pub(crate) async fn ended(&self, job: &Job) -> Found {
        let ended = |state| !matches!(state, State::Queued | State::Running);
        let guard = Instant::now();
        loop {
            let found = self.find(job).await;
            if ended(found.state) {
                return found;
            }
            assert!(guard.elapsed() < GUARD, "{} goes on: {found:?}", job.id);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn result(&self, job: &Job) -> Option<Bytes> {
        match self.queue.result(&job.id).await.unwrap()? {
            Body::Whole(bytes) => Some(bytes),
            Body::Stream(mut stream) => {
                let mut whole = Vec::new();
                while let Some(part) = futures_util::StreamExt::next(&mut stream).await {
                    whole.extend_from_slice(&part.unwrap());
                }
                Some(whole.into())
            }
        }
    }
}

/// Wide: it only ends a test that hangs.
pub(crate) const GUARD: Duration = Duration::from_mins(2);

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let guard = Instant::now();
    while !is() {
        assert!(guard.elapsed() < GUARD, "waited for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A worker at work.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// As it is told to.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// From one moment to the next.
    pub(crate) async fn die(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

pub(crate) const SECRET: &[u8] = b"correct horse";

struct OneSecret;

#[async_trait]
impl Secrets for OneSecret {
    async fn callback_key(
        &self,
        _: &FunctionId,
        name: &str,
    ) -> Result<Option<Key>, Box<dyn std::error::Error + Send + Sync>> {
        Ok((name == "hook").then(|| Key::new(SECRET)))
    }
}

pub(crate) fn job(function: &str, id: &str) -> Job {
    Job {
        id: id.parse::<CallId>().unwrap(),
        fresh: false,
        function: format!("{function}.openfaas-fn").try_into().unwrap(),
        method: "POST".into(),
        path: String::new(),
        query: String::new(),
        host: "example.com".into(),
        headers: Vec::new(),
        callback: None,
        annotations: std::collections::BTreeMap::new(),
        accepted_at: jiff::Timestamp::now(),
    }
}

pub(crate) fn calling_back(function: &str, id: &str, url: String) -> Job {
    Job { callback: Some(url), ..job(function, id) }
}

pub(crate) fn annotated(job: Job, name: &str, value: &str) -> Job {
    let mut job = job;
    job.annotations.insert(name.into(), value.into());
    job
}
