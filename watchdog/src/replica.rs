//! One life: start, be ready, serve, drain, leave nothing behind.
//!
//! It ends by SIGTERM (drained, code 0), by a second SIGTERM or a lost supervisor (at once), or because the handler
//! failed (code 1). However it ends, every process below this one is killed before it exits.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use faas_api::format_duration;
use faas_process::{Orphans, Spawner};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

use crate::config::{self, Config, Listen};
use crate::control::{self, Control};
use crate::limiter::Limiter;
use crate::metrics::{self, Metrics};
use crate::mode::Mode;
use crate::program::Program;
use crate::server::{self, Listener, Server, Stop};
use crate::{confine, lock, log};

/// For descendants that are killed and will not die; more than a busy kernel needs.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// For answers to requests that a failed handler was working on.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// A replica that serves requests.
struct Replica {
    config: Config,
    control: Control,
    terminations: Terminations,
    server: Arc<Server>,
    stop: Stop,
}

/// Why a replica ended before it was asked to.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// It cannot serve; the supervisor is told why.
    Unable(String),
    /// Nobody is left to be told, or everybody knows.
    Aborted(&'static str),
}

const SUPERVISOR_GONE: Failure = Failure::Aborted("the supervisor is gone");

/// Lives it.
pub(crate) fn run(config: Config) -> ExitCode {
    for warning in &config.warnings {
        log::line(format_args!("{warning}"));
    }
    let supervised = config.flags.supervised;
    let prepared = prepare(&config).inspect_err(|reason| tell(supervised, reason));
    let lived = prepared.map_err(Failure::Unable).and_then(|(program, runtime)| {
        let lived = runtime.block_on(live(config, program));
        // A thread that waits for a file, on a pipe or a lost disk, must not hold the exit.
        runtime.shutdown_background();
        lived
    });
    match lived {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Unable(reason)) => fail(&reason),
        Err(Failure::Aborted(reason)) => fail(reason),
    }
}

fn fail(reason: &str) -> ExitCode {
    log::line(format_args!("{reason}"));
    ExitCode::FAILURE
}

fn tell(supervised: bool, reason: &str) {
    if supervised {
        control::failed(reason);
    }
}

/// What needs no runtime: limits, the folder, the program.
fn prepare(config: &Config) -> Result<(Option<Program>, tokio::runtime::Runtime), String> {
    confine::enter(&config.flags)?;
    let folder = std::env::current_dir().map_err(|error| format!("no working directory: {error}"))?;
    let resolve = || Program::resolve(&config.process, config.search_path.as_deref(), &folder);
    let needed = !matches!(config.mode, config::Mode::Static(_));
    let program = needed.then(resolve).transpose().map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok((program, runtime.map_err(|error| format!("cannot start: {error}"))?))
}

/// However it ends, nothing that it started stays.
async fn live(config: Config, program: Option<Program>) -> Result<(), Failure> {
    let supervised = config.flags.supervised;
    let (read, write) = (config.flags.read.clone(), config.flags.write.clone());
    let spawner = Spawner::start(Orphans::Reap, move || confine::restrict(&read, &write))
        .map_err(|error| Failure::Unable(format!("cannot start: {error}")))?;
    let ended = match Replica::start(config, program, spawner.clone()).await {
        Ok(replica) => replica.serve().await,
        Err(reason) => {
            tell(supervised, &reason);
            Err(Failure::Unable(reason))
        }
    };
    // That may take until somebody kills us.
    log::flush();
    spawner.kill_descendants(KILL_LIMIT);
    ended
}

impl Replica {
    /// Binds first: what cannot listen must not start a handler.
    async fn start(config: Config, program: Option<Program>, spawner: Spawner) -> Result<Self, String> {
        let control =
            Control::open(config.flags.supervised).map_err(|error| format!("no supervisor: {error}"))?;
        // First of all: a SIGTERM before this would end us undrained.
        let terminations = Terminations::new().map_err(|error| format!("cannot handle signals: {error}"))?;
        log_timeouts(&config);
        let listener =
            Listener::bind(&config.listen).await.map_err(|error| cannot_listen(&config.listen, &error))?;
        listener.announce(&config.listen);
        let metrics = Metrics::new().map_err(|error| format!("metrics: {error}"))?;
        let metrics_listener = bind_metrics(config.metrics_port).await?;
        let mode = Mode::start(&config, program, spawner, &metrics);
        let mode = mode.await.map_err(|error| format!("failed to start {:?}: {error}", config.process))?;
        write_lock(&config)?;
        if let Some(listener) = metrics_listener {
            tokio::spawn(metrics::serve(listener, metrics.clone()));
        }
        let server = Arc::new(Server {
            mode,
            limiter: Limiter::new(config.max_inflight),
            metrics,
            lock: config.lock.clone(),
            accepting: AtomicBool::new(true),
            read_timeout: config.read_timeout,
        });
        let stop = server::start(Arc::clone(&server), listener);
        Ok(Self { config, control, terminations, server, stop })
    }

    async fn serve(self) -> Result<(), Failure> {
        let Self { config, control, mut terminations, server, stop } = self;
        tokio::select! {
            () = terminations.next() => {}
            () = control.closed() => return Err(SUPERVISOR_GONE),
            reason = failure(&config, &control, &server.mode) => {
                tell(control.is_supervised(), &reason);
                let _ = timeout(LAST_ANSWERS, stop.finish()).await;
                return Err(Failure::Unable(reason));
            }
        }
        tokio::select! {
            () = terminations.next() => Err(Failure::Aborted("terminated again while draining")),
            () = control.closed() => Err(SUPERVISOR_GONE),
            () = drain(&server, &config, stop) => Ok(()),
        }
    }
}

/// Resolves to the reason why requests cannot be served; until then says once that they can be.
async fn failure(config: &Config, control: &Control, mode: &Mode) -> String {
    tokio::select! {
        reason = mode.failed(control.is_supervised()) => reason,
        reason = announce(config, control, mode) => reason,
    }
}

/// Tells a supervisor that requests are served; resolves only if they will never be.
async fn announce(config: &Config, control: &Control, mode: &Mode) -> String {
    if control.is_supervised() {
        if let Err(reason) = mode.ready(config.ready_timeout).await {
            return reason;
        }
        control.ready();
    }
    std::future::pending().await
}

/// Contract 4.1, shutdown on SIGTERM.
async fn drain(server: &Server, config: &Config, stop: Stop) {
    let interval = format_duration(config.healthcheck_interval);
    log::line(format_args!("SIGTERM: no new connections in {interval}"));
    server.mode.terminate();
    server.accepting.store(false, Ordering::Relaxed);
    lock::remove(&config.lock);
    tokio::time::sleep(config.healthcheck_interval).await;
    let running = server.limiter.running();
    log::line(format_args!("No new connections allowed, draining: {running} requests"));
    let _ = timeout(config.write_timeout, stop.finish()).await;
    log::line(format_args!("Exiting. Active connections: {}", server.limiter.running()));
    if let Listen::Socket(path) = &config.listen {
        let _ = std::fs::remove_file(path);
    }
}

/// SIGTERM, and SIGINT for whoever runs this at a terminal.
struct Terminations {
    terminate: Signal,
    interrupt: Signal,
}

impl Terminations {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn log_timeouts(config: &Config) {
    let [read, write, hard, health] =
        [config.read_timeout, config.write_timeout, config.exec_timeout, config.healthcheck_interval]
            .map(format_duration);
    log::line(format_args!("Timeouts: read: {read} write: {write} hard: {hard} health: {health}."));
}

fn cannot_listen(listen: &Listen, error: &std::io::Error) -> String {
    match listen {
        Listen::Port(port) => format!("cannot listen on port {port}: {error}"),
        Listen::Socket(path) => format!("cannot listen on {}: {error}", path.display()),
    }
}

async fn bind_metrics(port: Option<u16>) -> Result<Option<TcpListener>, String> {
    let Some(port) = port else { return Ok(None) };
    let listener = server::bind_port(port).await;
    let listener = listener.map_err(|error| format!("cannot listen on metrics_port {port}: {error}"))?;
    log::line(format_args!("Metrics listening on port: {port}"));
    Ok(Some(listener))
}

fn write_lock(config: &Config) -> Result<(), String> {
    let path = config.lock.display();
    if config.suppress_lock {
        log::line(format_args!(
            "Warning: \"suppress_lock\" is enabled, probes that look for {path} will fail."
        ));
        return Ok(());
    }
    log::line(format_args!("Writing lock-file to: {path}"));
    lock::create(&config.lock)
        .map_err(|error| format!("cannot write {path}: {error}; set suppress_lock=true to do without"))
}
