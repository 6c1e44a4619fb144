//! Asynchronous invocations, with the real queue on disk behind the gateway.

mod accept;
mod bodies;
mod follow;
mod keys;
mod refuse;
mod steer;
mod synced;
mod worker;

use std::num::NonZeroUsize;
use std::sync::Arc;

use faas_api::FunctionId;
use faas_gateway::Credentials;
use faas_queue::embedded::{Embedded, Options};
use faas_queue::{Body, CallId, Found, Queue, Settings, Shelf, Taken};
use futures_util::TryStreamExt as _;
use serde_json::Value;

use crate::fixture::{Answer, Client, Server, post, request};

/// A gateway with a queue in a folder of its own, and somebody who looks into it.
struct Queued {
    server: Server,
    queue: Arc<Embedded>,
    runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
}

/// `admin:secret`.
const ADMIN: &str = "Authorization: Basic YWRtaW46c2VjcmV0";

impl Queued {
    fn start() -> Self {
        Self::with(Settings::default(), |_| ())
    }

    fn with(settings: Settings, change: impl FnOnce(&mut faas_gateway::Config)) -> Self {
        Self::opened(settings, Options::default(), change)
    }

    fn opened(settings: Settings, options: Options, change: impl FnOnce(&mut faas_gateway::Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let queue = Arc::new(Embedded::open_with(folder.path(), settings, options).unwrap());
        let server = Server::queueing(Some(Arc::clone(&queue) as _), |config| {
            config.credentials = Some(Credentials::new("admin", "secret"));
            config.workers = NonZeroUsize::new(2).unwrap();
            change(config);
        });
        Self { server, queue, runtime, folder }
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    fn client(&self) -> Client {
        Client::new(&self.server)
    }

    /// Posts on a connection of its own.
    fn post(&self, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        self.client().call(post(path, headers, body))
    }

    /// As admin.
    fn api(&self, method: &str, path: &str, body: &str) -> Answer {
        let length = format!("Content-Length: {}", body.len());
        self.client().call(request(method, path, &[ADMIN, &length], body.as_bytes()))
    }

    fn json(&self, path: &str) -> Value {
        let answer = self.api("GET", path, "");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Jobs that wait or run for `f`.
    fn live(&self) -> Vec<Found> {
        self.wait(self.queue.list(&function("f"), Shelf::Live, 1_000)).unwrap()
    }

    /// Takes the one job there is for `f`.
    fn take(&self) -> Taken {
        self.wait(self.queue.take(&function("f"), 1)).unwrap().pop().unwrap()
    }

    /// Ends the gateway and opens the queue anew, as after a restart.
    fn reopened(self) -> Reopened {
        let Self { server, queue, runtime, folder } = self;
        drop(server);
        faas_testing::wait_for("the gateway's threads to let go of the queue", || {
            (Arc::strong_count(&queue) == 1).then_some(())
        });
        drop(queue);
        let queue = Embedded::open(folder.path(), Settings::default()).unwrap();
        Reopened { queue, runtime, _folder: folder }
    }
}

struct Reopened {
    queue: Embedded,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Reopened {
    /// The jobs for `f`, with their bodies.
    fn take_all(&self) -> Vec<(Taken, Vec<u8>)> {
        self.runtime.block_on(async {
            let mut all = Vec::new();
            for mut taken in self.queue.take(&function("f"), 256).await.unwrap() {
                let body = std::mem::replace(&mut taken.body, Body::Whole(bytes::Bytes::new()));
                all.push((taken, read(body).await));
            }
            all
        })
    }
}

async fn read(body: Body) -> Vec<u8> {
    match body {
        Body::Whole(bytes) => bytes.into(),
        Body::Stream(stream) => stream
            .try_fold(Vec::new(), async |mut whole, piece| {
                whole.extend_from_slice(&piece);
                Ok(whole)
            })
            .await
            .unwrap(),
    }
}

fn function(name: &str) -> FunctionId {
    FunctionId::parse(name, &faas_api::Namespace::default()).unwrap()
}

/// What a 202 said.
fn id(answer: &Answer) -> CallId {
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.header("x-call-id").unwrap().parse().unwrap()
}
