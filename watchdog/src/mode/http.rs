//! One process that serves HTTP, started once; requests are passed to it.
//!
//! Bodies stream both ways, and nothing is held unless `buffer_http` asks for it, and then [`BUFFERED`] at most.
//! Connections to the handler are kept and reused (`pool`). A call that stays over its time is answered with 504, or
//! cut off when its answer had begun; event streams and tunnels may last.

pub(crate) mod headers;
mod pool;
pub(crate) mod relay;
pub(crate) mod upstream;

use std::fs::File;
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use faas_api::format_duration;
use faas_process::{Child, Signal, Spawner};
use http_body_util::{BodyExt as _, Either, Empty, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_LENGTH;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::unix::pipe::Receiver;
use tokio::time::timeout;

use self::pool::{Lease, Pool, RequestBody};
use self::relay::Relay;
use super::access::AccessLog;
use super::deadline::{deadline, wants_websocket};
use crate::answer::{self, Answer, Side, describe_exit, handler_exit};
use crate::body::Body;
use crate::config::{self, Config};
use crate::inbound::Inbound;
use crate::limiter::Admission;
use crate::log;
use crate::program::Program;

/// The largest body held for `buffer_http`; beyond that 413.
const BUFFERED: usize = 64 * 1024 * 1024;
/// Between two attempts to connect while starting.
const START_POLL: Duration = Duration::from_millis(2);

/// The handler's process and the ways to it.
#[derive(Debug)]
pub(crate) struct Http {
    settings: config::Http,
    child: Child,
    pool: Arc<Pool>,
    exec_timeout: Duration,
}

/// Why the handler's server gave no answer.
#[derive(Debug)]
enum Failure {
    Timeout(Duration),
    TooLarge,
    Client(String),
    Upstream(String),
}

impl Http {
    /// Starts the handler; it need not listen yet.
    pub(crate) async fn start(
        config: &Config,
        settings: config::Http,
        program: &Program,
        spawner: &Spawner,
    ) -> io::Result<Self> {
        let mut command = program.command();
        // Opened here: the thread that spawns may have no right to.
        command.stdin(Stdio::from(File::open("/dev/null")?)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawner.spawn(command).await?;
        let stdout = child.stdout.take().map(OwnedFd::from);
        let stderr = child.stderr.take().map(OwnedFd::from);
        for (name, pipe) in [("stdout", stdout), ("stderr", stderr)] {
            if let Some(pipe) = pipe {
                tokio::spawn(settings.logs.lines(name).copy(Receiver::from_owned_fd(pipe)?));
            }
        }
        let pool = Arc::new(Pool::new(settings.upstream.clone()));
        Ok(Self { settings, child, pool, exec_timeout: config.exec_timeout })
    }

    /// Resolves when the handler has ended, to how. Without a supervisor, one that leaves without an error may have gone
    /// to the background.
    pub(crate) async fn failed(&self, supervised: bool) -> String {
        match self.child.wait().await {
            Ok(status) if supervised => handler_exit(status),
            Ok(status) if status.success() => pending().await,
            Ok(status) => format!("Forked function has terminated: {}", describe_exit(status)),
            // Unknowable; the handler counts as running.
            Err(error) => {
                log::line(format_args!("failed to wait for the handler: {error}"));
                pending().await
            }
        }
    }

    pub(crate) fn terminate(&self) {
        let _ = self.child.kill(Signal::TERM);
    }

    /// Waits until something listens.
    pub(crate) async fn ready(&self, limit: Duration) -> Result<(), String> {
        let listening = async {
            while self.settings.upstream.connect().await.is_err() {
                tokio::time::sleep(START_POLL).await;
            }
        };
        let late = |_| format!("not ready in {}", format_duration(limit));
        timeout(limit, listening).await.map_err(late)
    }

    /// What the function says at `ready_path`, or that all is well.
    pub(crate) async fn ready_answer(&self) -> Answer {
        let Some(path) = &self.settings.ready_path else { return answer::empty(StatusCode::OK) };
        let request = Request::get(self.settings.upstream.target(path))
            .header(hyper::header::HOST, self.settings.upstream.host())
            .body(Either::Right(Either::Right(Empty::new())));
        let Ok(request) = request else { return answer::empty(StatusCode::INTERNAL_SERVER_ERROR) };
        let start = Instant::now();
        let deadline = (!self.exec_timeout.is_zero()).then_some(self.exec_timeout);
        match self.send(request, deadline).await {
            Ok((response, lease)) => relay(response, lease, deadline, start, None),
            Err(failure) => refuse(&failure, start),
        }
    }

    pub(crate) async fn answer(&self, mut request: Request<Inbound>) -> Answer {
        let start = Instant::now();
        let access = AccessLog::of(&request, start, self.settings.logs.call_id);
        let deadline = deadline(request.headers(), self.exec_timeout);
        let caller = wants_websocket(request.headers()).then(|| hyper::upgrade::on(&mut request));
        let admission = request.extensions_mut().remove::<Admission>();
        let sent = match self.prepare(request, caller.is_some()).await {
            Ok(request) => self.send(request, deadline).await,
            Err(failure) => Err(failure),
        };
        match sent {
            Ok((mut response, lease)) => {
                if let (StatusCode::SWITCHING_PROTOCOLS, Some(caller)) = (response.status(), caller) {
                    tokio::spawn(tunnel(caller, hyper::upgrade::on(&mut response), admission));
                }
                relay(response, lease, deadline, start, access)
            }
            Err(failure) => refuse(&failure, start),
        }
    }

    /// The request as the handler's server gets it.
    async fn prepare(
        &self,
        request: Request<Inbound>,
        websocket: bool,
    ) -> Result<Request<RequestBody>, Failure> {
        let (mut head, body) = request.into_parts();
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        head.uri =
            self.settings.upstream.target(target).parse().map_err(|_| Failure::Client("bad path".into()))?;
        headers::prepare_request(&mut head, self.settings.upstream.host(), websocket);
        if !self.settings.buffer_body {
            return Ok(Request::from_parts(head, Either::Left(body)));
        }
        let whole = buffer(body).await?;
        headers::set_length(&mut head.headers, whole.len());
        Ok(Request::from_parts(head, Either::Right(Either::Left(Full::new(whole)))))
    }

    async fn send(
        &self,
        request: Request<RequestBody>,
        deadline: Option<Duration>,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        let sending = self.pool.send(request);
        let sent = match deadline {
            None => sending.await,
            Some(limit) => timeout(limit, sending).await.map_err(|_| Failure::Timeout(limit))?,
        };
        sent.map_err(|error| Failure::Upstream(error.to_string()))
    }
}

/// The handler's answer, as it goes on to the caller.
fn relay(
    response: Response<Incoming>,
    lease: Lease,
    deadline: Option<Duration>,
    start: Instant,
    access: Option<AccessLog>,
) -> Answer {
    let (mut head, body) = response.into_parts();
    headers::prepare_response(&mut head);
    let length = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let access = access.map(|access| access.answered(head.status, length));
    let left = deadline.map(|limit| limit.saturating_sub(start.elapsed()));
    let body = Body::relay(Relay::new(body, lease, left)).logging(access);
    let mut answer = Response::from_parts(head, body);
    answer::stamp_duration(&mut answer, start.elapsed());
    answer
}

async fn buffer(body: Inbound) -> Result<Bytes, Failure> {
    let whole = Limited::new(body, BUFFERED).collect().await.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            Failure::TooLarge
        } else {
            Failure::Client(format!("failed to read the request body: {error}"))
        }
    })?;
    Ok(whole.to_bytes())
}

/// Bytes both ways until either side is done. The invocation counts as running until then.
async fn tunnel(caller: OnUpgrade, handler: OnUpgrade, _admission: Option<Admission>) {
    let (Ok(caller), Ok(handler)) = tokio::join!(caller, handler) else { return };
    let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(caller), &mut TokioIo::new(handler)).await;
}

fn refuse(failure: &Failure, start: Instant) -> Answer {
    let (status, side, reason) = match failure {
        Failure::Timeout(limit) => (
            StatusCode::GATEWAY_TIMEOUT,
            Side::Handler,
            format!("no answer within {}", format_duration(*limit)),
        ),
        Failure::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            Side::Client,
            "request body above 64 MiB cannot be buffered".into(),
        ),
        Failure::Client(reason) => (StatusCode::BAD_REQUEST, Side::Client, reason.clone()),
        Failure::Upstream(reason) => (StatusCode::INTERNAL_SERVER_ERROR, Side::Handler, reason.clone()),
    };
    log::line(format_args!("Upstream HTTP request error: {reason}"));
    let mut answer = answer::empty(status);
    answer::mark_internal(&mut answer, "of-watchdog");
    answer::stamp_duration(&mut answer, start.elapsed());
    answer::blame(answer, side, &reason)
}
