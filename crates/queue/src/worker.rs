//! Takes jobs from a queue and makes their invocations, through the gateway, so that waking, limits and metrics apply.
//!
//! It owns who is served next (`dispatch`, `lane`, `limit`), the life of one job under its lease (`run`), the request
//! (`invoke`, `answer`), and callbacks (`callback`, `destination`, `signature`). It refuses to know what the jobs lie
//! in, and what the retry rules are: [`crate::policy`].
//!
//! Each function has a lane of its own, so that a busy or broken one holds up nobody else. A job's end is on disk before
//! its callback begins: a worker that dies in between repeats the callback and nothing else.
//!
//! Bounded: jobs in hand, [`Settings::most_running`], each with at most one body of the queue's inline limit and a few
//! buffers of 64 KiB; of one function, [`Settings::most_per_function`] and what its replicas take. Half of the places are
//! kept for functions of which nothing runs, and nobody takes more than half of what is left of the others. As many
//! callbacks again hold no place, since their receivers may be slow; beyond that a job keeps its own. Answers are
//! streamed.

mod answer;
mod callback;
mod client;
mod destination;
mod dispatch;
mod invoke;
mod lane;
mod limit;
mod metrics;
mod run;
mod signature;
mod task;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use faas_api::{FunctionId, IpRange, Namespace};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::policy::{Malformed, Policy};
use crate::{InvalidCallback, OwnGateway, Queue};

pub use destination::{Allowed, InvalidAllowed};
pub use metrics::Metrics;
pub use signature::{HEADER as SIGNATURE_HEADER, Key};

use callback::Caller;
use dispatch::Dispatcher;
use invoke::Invoker;

/// So many warnings about annotations are remembered, so that each is given once.
const MOST_WARNED: usize = 10_000;

/// Between two words on a gateway that is not reached.
const BETWEEN_WARNINGS: Duration = Duration::from_mins(1);

/// What a worker is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where functions are invoked: `http://gateway:8080`.
    pub gateway_url: String,
    /// Other names of the same, as people write them in callbacks.
    pub other_gateway_urls: Vec<String>,
    /// For functions whose annotations say nothing else.
    pub policy: Policy,
    /// Jobs in hand.
    pub most_running: usize,
    /// Of one function.
    pub most_per_function: usize,
    /// As the queue's own.
    pub lease: Duration,
    /// How long running jobs may go on after the worker is told to stop.
    pub grace: Duration,
    /// Bytes of an answer that are kept to be looked at.
    pub most_kept: u64,
    /// Bytes of an answer that can be called back.
    pub most_called_back: u64,
    /// After this an invocation is given up, whatever the gateway says.
    pub longest_invocation: Duration,
    /// After this a try of a callback is given up.
    pub longest_callback: Duration,
    /// Callbacks may go here, though the addresses are not public.
    pub allowed: Vec<Allowed>,
    /// Callbacks may not go here, though the addresses are public: a cluster's own, if it has such.
    pub refused: Vec<IpRange>,
    /// Its functions go by their bare names in `X-Function-Name`.
    pub default_namespace: Namespace,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            gateway_url: "http://127.0.0.1:8080".to_owned(),
            other_gateway_urls: Vec::new(),
            policy: Policy::default(),
            most_running: 512,
            most_per_function: 100,
            lease: Duration::from_secs(30),
            grace: Duration::from_secs(30),
            most_kept: 1 << 20,
            most_called_back: 256 << 20,
            longest_invocation: Duration::from_hours(24),
            longest_callback: Duration::from_mins(5),
            allowed: Vec::new(),
            refused: Vec::new(),
            default_namespace: Namespace::default(),
        }
    }
}

/// Where the keys are with which callbacks are signed.
#[async_trait]
pub trait Secrets: Send + Sync + 'static {
    /// The function's secret of that name; `None` if it has none.
    async fn callback_key(
        &self,
        function: &FunctionId,
        name: &str,
    ) -> Result<Option<Key>, Box<dyn std::error::Error + Send + Sync>>;
}

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `gateway_url`, or another name of it.
    #[error("the gateway's URL cannot be used")]
    Gateway(#[source] InvalidCallback),
    /// TLS cannot be set up.
    #[error("failed to set up TLS")]
    Tls(#[source] tokio_rustls::rustls::Error),
}

/// A worker that has not begun.
pub struct Worker {
    shared: Arc<Shared>,
}

/// What all jobs use.
struct Shared {
    queue: Arc<dyn Queue>,
    settings: Settings,
    invoker: Invoker,
    caller: Caller,
    metrics: Metrics,
    /// The grace is over: what runs is given back.
    closing: CancellationToken,
    warned: Mutex<HashSet<(FunctionId, &'static str)>>,
    /// When it was last said that the gateway is not reached.
    unreached: Mutex<Option<Instant>>,
}

impl Worker {
    /// A worker on `queue`.
    pub fn new(
        queue: Arc<dyn Queue>,
        settings: Settings,
        secrets: Arc<dyn Secrets>,
        metrics: Metrics,
    ) -> Result<Self, Error> {
        let urls = settings.other_gateway_urls.iter().map(String::as_str);
        let own = OwnGateway::new(urls.chain([settings.gateway_url.as_str()])).map_err(Error::Gateway)?;
        let tls = client::tls().map_err(Error::Tls)?;
        let invoker = Invoker::new(client::open(Arc::clone(&tls)), &settings).map_err(Error::Gateway)?;
        let caller = Caller::new(Arc::clone(&queue), secrets, own, tls, &settings);
        let (closing, warned, unreached) = (CancellationToken::new(), Mutex::default(), Mutex::default());
        let shared = Shared { queue, settings, invoker, caller, metrics, closing, warned, unreached };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Works until `stop`; then nothing is taken any more, what runs may end within the grace, and the rest is given
    /// back to the queue.
    pub async fn run(self, stop: CancellationToken) {
        Dispatcher::new(self.shared).run(stop).await;
    }
}

impl Shared {
    /// The function's policy. What cannot be read of its annotations is said once.
    fn policy(&self, job: &crate::Job) -> Policy {
        let (policy, malformed) = self.settings.policy.of(&job.annotations);
        for malformed in malformed {
            self.warn(&job.function, &malformed);
        }
        policy
    }

    /// Jobs wait meanwhile, so nothing else would tell.
    fn warn_unreached(&self, why: &str) {
        let Ok(mut said) = self.unreached.lock() else { return };
        if said.is_none_or(|at| at.elapsed() >= BETWEEN_WARNINGS) {
            *said = Some(Instant::now());
            tracing::warn!(gateway = %self.invoker.gateway(), error = why, "the gateway is not reached: jobs wait");
        }
    }

    fn warn(&self, function: &FunctionId, malformed: &Malformed) {
        let Ok(mut warned) = self.warned.lock() else { return };
        if warned.len() < MOST_WARNED && warned.insert((function.clone(), malformed.annotation)) {
            tracing::warn!(%function, annotation = malformed.annotation, "{malformed}");
        }
    }
}
