//! Processes that hold the handler and take call after call: `docs/reference/worker-protocol.md`.
//!
//! What the first process says decides how calls are made. One that speaks frames gets each call as frames, through
//! `call`; one whose contract is standard input and output is asked for a process a call, and the rest is `mode::fork`.
//! Failures: 502 a process that ended or broke the protocol, 503 no process to be had, 504 over its time, 500 a handler
//! that gave no answer, 400 a body that broke off.

pub(crate) mod call;
pub(crate) mod head;
pub(crate) mod hello;
mod launch;
pub(crate) mod lease;
mod life;
mod link;
pub(crate) mod pool;
pub(crate) mod process;
mod upload;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use faas_api::format_duration;
use faas_process::Spawner;
use hyper::body::Body as _;
use hyper::{Request, StatusCode};

use self::call::{Begun, Failure};
use self::hello::{Hello, Speaks};
use self::launch::{Launcher, Origin};
use self::pool::{Policy, Pool};
use super::access::AccessLog;
use super::deadline::limit;
use super::fork::{Bounds, Fork, Source};
use crate::answer::{self, Answer, Side};
use crate::body::Body;
use crate::config::{self, Config, Isolation};
use crate::inbound::Inbound;
use crate::log;
use crate::metrics::Metrics;
use crate::program::Program;

/// Processes at a time where nobody says how many, once calls wait.
const GROWTH: usize = 4;
/// Processes that are started in advance, where each takes one call.
const SPARES: usize = 2;

/// The mode.
pub(crate) struct Worker {
    settings: config::Worker,
    pool: Arc<Pool>,
    /// Set by the first HELLO.
    way: OnceLock<Way>,
    bounds: Bounds,
    metrics: Metrics,
    start_limit: Duration,
}

/// How calls are made.
enum Way {
    Frames(Arc<Pool>),
    Stdio(Fork),
}

impl Worker {
    /// Starts the first process, which need not have loaded the handler yet.
    pub(crate) fn start(
        config: &Config,
        settings: config::Worker,
        program: Program,
        spawner: Spawner,
        metrics: Metrics,
    ) -> Self {
        let lines = settings.logs.lines("stdout");
        let launcher = Launcher { origin: Origin::Exec { program, spawner }, lines };
        let (isolation, count) = (settings.isolation, settings.count);
        let decide = move |hello| policy(isolation, count, hello);
        let pool = Pool::new(launcher, config.ready_timeout, metrics.clone(), None, decide);
        pool.prepare();
        let (bounds, start_limit) = (config.into(), config.ready_timeout);
        Self { settings, pool, way: OnceLock::new(), bounds, metrics, start_limit }
    }

    /// Waits until a process has loaded the handler.
    pub(crate) async fn ready(&self, limit: Duration) -> Result<(), String> {
        let late = |_| format!("not ready in {}", format_duration(limit));
        tokio::time::timeout(limit, self.pool.loaded()).await.map_err(late)?.map(drop)
    }

    /// Resolves when no handler can be had, to the reason.
    pub(crate) async fn failed(&self) -> String {
        self.pool.failed().await
    }

    /// Whether a process has loaded the handler.
    pub(crate) fn is_loaded(&self) -> bool {
        self.pool.is_loaded()
    }

    pub(crate) async fn answer(&self, request: Request<Inbound>) -> Answer {
        let start = Instant::now();
        let way = match self.way().await {
            Ok(way) => way,
            Err(reason) => return refuse(&Failure::Unavailable(reason), None),
        };
        let pool = match way {
            Way::Stdio(fork) => return fork.answer(request).await,
            Way::Frames(pool) => pool,
        };
        let access = AccessLog::of(&request, start, self.settings.logs.call_id);
        let limit = limit(request.headers(), self.bounds.exec_timeout);
        let (head, body) = request.into_parts();
        let until = limit.map(|limit| (start + limit).into());
        let mut answer = match call::run(pool, head, body, self.bounds.read_timeout, until).await {
            Ok(begun) => relay(begun, start),
            Err(failure) => refuse(&failure, limit),
        };
        answer::stamp_duration(&mut answer, start.elapsed());
        let length = answer.body().size_hint().exact();
        let access = access.map(|access| access.answered(answer.status(), length));
        answer.map(|body| body.logging(access))
    }

    async fn way(&self) -> Result<&Way, String> {
        if let Some(way) = self.way.get() {
            return Ok(way);
        }
        let hello = self.pool.loaded().await?;
        Ok(self.way.get_or_init(|| self.choose(hello)))
    }

    fn choose(&self, hello: Hello) -> Way {
        if hello.speaks == Speaks::Stdio {
            let source = Source::Pool(Arc::clone(&self.pool));
            return Way::Stdio(Fork::new(self.bounds.clone(), self.settings.stdio.clone(), source));
        }
        if self.settings.isolation != Isolation::Fork || !hello.forks {
            return Way::Frames(Arc::clone(&self.pool));
        }
        let launcher = Launcher {
            origin: Origin::Fork(Arc::clone(&self.pool)),
            lines: self.settings.logs.lines("stdout"),
        };
        let each = Policy { least: 0, most: usize::MAX, once: true, concurrency: Some(1) };
        Way::Frames(Pool::new(launcher, self.start_limit, self.metrics.clone(), Some(each), move |_| each))
    }
}

/// How many processes there are to be, and what each is for.
fn policy(isolation: Isolation, count: Option<usize>, hello: Hello) -> Policy {
    let many = Policy { least: 0, most: usize::MAX, once: true, concurrency: Some(1) };
    match isolation {
        // Each call is a process in any case.
        Isolation::Worker if hello.speaks == Speaks::Stdio => policy(Isolation::Fork, count, hello),
        Isolation::Worker => {
            let (least, most) = count.map_or((1, GROWTH), |count| (count, count));
            Policy { least, most, once: false, concurrency: None }
        }
        Isolation::Fork if hello.forks => {
            Policy { least: 1, most: 1, once: false, concurrency: Some(usize::MAX) }
        }
        Isolation::Fork => Policy { least: count.unwrap_or(SPARES), ..many },
        Isolation::Exec => many,
    }
}

fn relay(begun: Begun, start: Instant) -> Answer {
    let Begun { status, headers, body, rest, usage } = begun;
    let body = rest.map_or_else(|| Body::whole(body), Body::call);
    let mut answer = answer::with_body(status, body);
    *answer.headers_mut() = headers;
    answer::stamp_usage(&mut answer, start.elapsed(), usage);
    answer
}

fn refuse(failure: &Failure, limit: Option<Duration>) -> Answer {
    let (status, side, reason) = match failure {
        Failure::Timeout => {
            let limit = format_duration(limit.unwrap_or_default());
            (StatusCode::GATEWAY_TIMEOUT, Side::Handler, format!("no answer within {limit}"))
        }
        Failure::Client(reason) => (StatusCode::BAD_REQUEST, Side::Client, reason.clone()),
        Failure::Aborted(reason) => (StatusCode::INTERNAL_SERVER_ERROR, Side::Handler, reason.clone()),
        Failure::Died(reason) => (StatusCode::BAD_GATEWAY, Side::Handler, reason.clone()),
        Failure::Unavailable(reason) | Failure::Unseen(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, Side::Handler, reason.clone())
        }
    };
    log::line(format_args!("no answer: {reason}"));
    answer::blame(answer::text(status, format!("{reason}\n")), side, &reason)
}
