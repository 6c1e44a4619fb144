//! Requests per second and processor time per request: nginx `proxy_pass` with one worker, and our gateway with its
//! watchdog, in front of the same handler: this program, see `handler`.
//!
//! The two are loaded in turns, thrice, and medians are compared. All share the machine's cores with wrk.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use faas_package::{HTTP_SOCKET_VARIABLE, Manifest, Runtime, Signature};
use faas_testing::wait_for;
use serde_json::json;
use tempfile::TempDir;

use crate::args::Args;
use crate::child::{Server, as_handler, find};
use crate::load::{Load, Wrk};
use crate::process;
use crate::report::{Report, Row};
use crate::samples::median;
use crate::world::World;

const CONNECTIONS: u32 = 32;
const RUNS: usize = 3;
const WARM_UP: Duration = Duration::from_secs(1);
const NAME: &str = "hello";
/// What `SPECIFICATION.md` will bound, for nginx = 1.
const GATEWAY_MOST: f64 = 1.25;
const WATCHDOG_MOST: f64 = 1.5;
const RATE_LEAST: f64 = 0.9;

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let (Some(wrk), Some(nginx)) = (find("wrk"), find("nginx")) else {
        report.skip("all", "nginx or wrk is absent: apt-get install nginx-light wrk");
        return Ok(());
    };
    let duration = Duration::from_secs(if args.quick { 1 } else { 4 });
    let wrk = Wrk { program: wrk, connections: CONNECTIONS, duration, script: None };
    let nginx = Nginx::start(&nginx)?;
    let world = World::start();
    deploy(&world)?;
    let watchdog = world.watchdog()?;
    let own = process::children(watchdog)?;
    let handler = *own.first().context("the watchdog has no handler")?;
    let theirs = [nginx.worker, nginx.handler.pid()];
    let ours = [world.platform.pid(), watchdog, handler];
    let urls = [nginx.url.clone(), format!("{}/function/{NAME}", world.platform.url)];
    // Connections, pools and caches as they are after a while.
    for url in &urls {
        Wrk { duration: WARM_UP, ..wrk.clone() }.run(url)?;
    }
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push([once(&wrk, &urls[0], &theirs)?, once(&wrk, &urls[1], &ours)?]);
    }
    print(&runs, report);
    Ok(())
}

/// One run of load, and the processor time per request of each process that was watched.
struct Run {
    load: Load,
    time: Vec<f64>,
}

fn once(wrk: &Wrk, url: &str, watched: &[u32]) -> anyhow::Result<Run> {
    let times = || watched.iter().map(|&pid| process::time(pid)).collect::<anyhow::Result<Vec<_>>>();
    let before = times()?;
    let load = wrk.run(url)?;
    let used = times()?.into_iter().zip(before).map(|(after, before)| after.since(before).own);
    let time = used.map(|used| used.as_secs_f64() / f64::from(load.requests.max(1))).collect();
    Ok(Run { load, time })
}

fn print(runs: &[[Run; 2]], report: &mut Report) {
    let rate = |which: usize| median(runs.iter().map(|run| run[which].load.per_second));
    let time = |which: usize, process: usize| median(runs.iter().map(|run| run[which].time[process]));
    let micro = |seconds: f64| format!("{:.1} µs", seconds * 1e6);
    let n = format!("n={} runs of {CONNECTIONS} connections", runs.len());
    let (nginx, ours) = (rate(0), rate(1));
    report.add(&Row::new("nginx, requests per second", format!("{nginx:.0}")).beside(&n));
    let row = Row::new("gateway and watchdog, requests per second", format!("{ours:.0}"));
    let row = row.beside(format!("{:.2} × nginx", ours / nginx));
    report.add(&row.aim(format!("≥ {RATE_LEAST} × nginx"), ours >= RATE_LEAST * nginx));

    let nginx = time(0, 0);
    report.add(&Row::new("nginx worker, CPU per request", micro(nginx)).beside(&n));
    for (who, process, most) in [("gateway", 0, GATEWAY_MOST), ("watchdog", 1, WATCHDOG_MOST)] {
        let used = time(1, process);
        let row = Row::new(format!("{who}, CPU per request"), micro(used));
        let row = row.beside(format!("{:.2} × nginx", used / nginx));
        report.add(&row.aim(format!("≤ {most} × nginx"), used <= most * nginx));
    }
    // Where these differ much, the two did not meet the same handler, or not the same machine.
    let row = Row::new("the handler itself, CPU per request", micro(time(1, 2)));
    report.add(&row.beside(format!("behind nginx {}", micro(time(0, 1)))));
}

/// A package that is this program.
fn deploy(world: &World) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    fs::copy(std::env::current_exe()?, folder.path().join("handler"))?;
    let manifest = Manifest::new(Runtime::Binary, Signature::Http, "handler");
    let package = world.upload(folder.path(), &manifest)?;
    world.deploy(NAME, &package, &json!({}))?;
    world.invoke(NAME, b"")?;
    Ok(())
}

/// nginx with one worker before this program as a handler.
struct Nginx {
    url: String,
    worker: u32,
    // In this order: nginx first.
    _master: Server,
    handler: Server,
    _folder: TempDir,
}

impl Nginx {
    fn start(program: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("h.sock");
        let handler =
            Server::start(as_handler(&std::env::current_exe()?).env(HTTP_SOCKET_VARIABLE, &socket))?;
        wait_for("the handler's socket", || socket.exists().then_some(()));
        // Freed here and taken again by nginx, which cannot choose a port itself.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let configuration = folder.path().join("nginx.conf");
        fs::write(&configuration, text(folder.path(), &socket, port))?;
        let errors = folder.path().join("error.log");
        let nginx =
            Server::start(Command::new(program).arg("-e").arg(&errors).arg("-c").arg(&configuration))?;
        wait_for("nginx", || TcpStream::connect(("127.0.0.1", port)).ok());
        let worker = wait_for("nginx's worker", || process::children(nginx.pid()).ok()?.first().copied());
        let url = format!("http://127.0.0.1:{port}/");
        Ok(Self { url, worker, _master: nginx, handler, _folder: folder })
    }
}

fn text(folder: &Path, socket: &Path, port: u16) -> String {
    let (folder, socket) = (folder.display(), socket.display());
    // Else its worker becomes another user, who may not open our socket.
    let user = if rustix::process::geteuid().is_root() { "user root root;" } else { "" };
    format!(
        "daemon off; worker_processes 1; {user} pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    keepalive_requests 100000000;
    upstream handler {{ server unix:{socket}; keepalive 64; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://handler; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}
    }}
}}
"
    )
}
