//! Requests per second and processor time per request: nginx `proxy_pass` with one worker, and our gateway with its
//! watchdog, in front of the same handler: this program, see `handler`.
//!
//! The two are loaded in turns, thrice, and medians are compared. All share the machine's cores with wrk.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use faas_package::{HTTP_SOCKET_VARIABLE, Manifest, Runtime, Signature};
use faas_testing::wait_for;
use serde_json::json;
use tempfile::TempDir;

use crate::args::Args;
use crate::child::{Server, find};
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
    let watched = [nginx.worker, world.platform.pid(), world.watchdog()?];
    let urls = [nginx.url.clone(), format!("{}/function/{NAME}", world.platform.url)];
    // Connections, pools and caches as they are after a while.
    for url in &urls {
        Wrk { duration: WARM_UP, ..wrk.clone() }.run(url)?;
    }
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push([once(&wrk, &urls[0], watched)?, once(&wrk, &urls[1], watched)?]);
    }
    print(&runs, report);
    Ok(())
}

/// One run of load, and the processor time per request of nginx's worker, gateway, watchdog.
struct Run {
    load: Load,
    time: [f64; 3],
}

fn once(wrk: &Wrk, url: &str, watched: [u32; 3]) -> anyhow::Result<Run> {
    let before = watched.map(process::time);
    let load = wrk.run(url)?;
    let after = watched.map(process::time);
    let mut time = [0.0; 3];
    for ((time, before), after) in time.iter_mut().zip(before).zip(after) {
        *time = after?.since(before?).own.as_secs_f64() / f64::from(load.requests.max(1));
    }
    Ok(Run { load, time })
}

fn print(runs: &[[Run; 2]], report: &mut Report) {
    let of = |which: usize, number: fn(&Run) -> f64| median(runs.iter().map(|run| number(&run[which])));
    let micro = |seconds: f64| format!("{:.1} µs", seconds * 1e6);
    let n = format!("n={} runs of {CONNECTIONS} connections", runs.len());
    let (nginx, ours) = (of(0, |run| run.load.per_second), of(1, |run| run.load.per_second));
    report.add(&Row::new("nginx, requests per second", format!("{nginx:.0}")).beside(&n));
    let row = Row::new("gateway and watchdog, requests per second", format!("{ours:.0}"));
    let row = row.beside(format!("{:.2} × nginx", ours / nginx));
    report.add(&row.aim(format!("≥ {RATE_LEAST} × nginx"), ours >= RATE_LEAST * nginx));

    let nginx = of(0, |run| run.time[0]);
    let (gateway, watchdog) = (of(1, |run| run.time[1]), of(1, |run| run.time[2]));
    report.add(&Row::new("nginx worker, CPU per request", micro(nginx)).beside(&n));
    for (who, time, most) in [("gateway", gateway, GATEWAY_MOST), ("watchdog", watchdog, WATCHDOG_MOST)] {
        let row = Row::new(format!("{who}, CPU per request"), micro(time));
        let row = row.beside(format!("{:.2} × nginx", time / nginx));
        report.add(&row.aim(format!("≤ {most} × nginx"), time <= most * nginx));
    }
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
    _handler: Server,
    _folder: TempDir,
}

impl Nginx {
    fn start(program: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("h.sock");
        let handler =
            Server::start(Command::new(std::env::current_exe()?).env(HTTP_SOCKET_VARIABLE, &socket))?;
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
        Ok(Self { url, worker, _master: nginx, _handler: handler, _folder: folder })
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
