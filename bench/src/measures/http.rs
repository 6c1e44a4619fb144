//! Requests per second and processor time per request: nginx `proxy_pass` with one worker, our watchdog, and our gateway
//! with its watchdog, in front of the same handler: this program, see `handler`. What the gateway alone may take is bounded
//! by its own measures.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use faas_package::{HTTP_SOCKET_VARIABLE, Manifest, Runtime, Signature};
use serde_json::json;

use crate::args::Args;
use crate::handler::Handler;
use crate::load::Wrk;
use crate::nginx::{Job, Nginx};
use crate::process;
use crate::report::{Report, Row};
use crate::runs::{self, Runs, in_turns, microseconds, warm_up};
use crate::watchdog::Watchdog;
use crate::world::World;

const CONNECTIONS: u32 = 32;
const NAME: &str = "hello";
/// For nginx = 1.
const WATCHDOG_MOST: f64 = 1.5;

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let (Some(wrk), Some(nginx)) = (Wrk::find(CONNECTIONS, args.load_time()), Nginx::find()) else {
        report.skip("all", "nginx or wrk is absent: apt-get install nginx-light wrk");
        return Ok(());
    };
    let handler = Handler::start(Duration::ZERO)?;
    let nginx = Nginx::start(&nginx, 1, Job::Forward(&handler.address))?;
    let folder = tempfile::tempdir()?;
    let alone = start_alone(args, folder.path())?;
    let world = World::start();
    deploy(&world, NAME)?;
    let theirs = [nginx.workers[0], handler.pid()];
    let own = [alone.pid(), handler_of(alone.pid())?];
    let watchdog = world.watchdog()?;
    let both = [world.platform.pid(), watchdog, handler_of(watchdog)?];
    let (nginx, url) = (nginx.url(), format!("{}/function/{NAME}", world.platform.url));
    for url in [&nginx, &alone.url, &url] {
        warm_up(&wrk, url)?;
    }
    let runs =
        in_turns([&|| runs::load(&wrk, &nginx, &theirs), &|| runs::load(&wrk, &alone.url, &own), &|| {
            runs::load(&wrk, &url, &both)
        }])?;
    print_rates(&runs, report);
    print_times(&runs, report);
    Ok(())
}

/// A watchdog on a TCP port, and this program behind it on a Unix socket, as nginx has it.
fn start_alone(args: &Args, folder: &Path) -> anyhow::Result<Watchdog> {
    let (own, socket) = (std::env::current_exe()?, folder.join("h.sock"));
    let socket = socket.to_str().context("a temporary folder's path is text")?;
    let own = own.to_str().context("this program's path is text")?;
    let upstream = format!("unix:{socket}");
    let variables =
        [("mode", "http"), ("fprocess", own), ("upstream_url", &upstream), (HTTP_SOCKET_VARIABLE, socket)];
    Watchdog::start(args, &variables, folder)
}

fn handler_of(watchdog: u32) -> anyhow::Result<u32> {
    process::children(watchdog)?.first().copied().context("the watchdog has no handler")
}

/// Deploys a package that is this program.
pub(super) fn deploy(world: &World, name: &str) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    fs::copy(std::env::current_exe()?, folder.path().join("handler"))?;
    let manifest = Manifest::new(Runtime::Binary, Signature::Http, "handler");
    let package = world.upload(folder.path(), &manifest)?;
    world.deploy(name, &package, &json!({}))?;
    world.invoke(name, b"")?;
    Ok(())
}

fn print_rates([nginx, alone, both]: &[Runs; 3], report: &mut Report) {
    let rate = |runs: &Runs| format!("{:.0}", runs.per_second());
    let row = Row::new("nginx, requests per second", rate(nginx));
    report.add(&row.beside(format!("{}; {CONNECTIONS} connections", nginx.latency())));
    let row = Row::new("watchdog, requests per second", rate(alone));
    report.add(&row.beside(format!("{:.2} × nginx, {}", alone.rate_ratio(nginx), alone.latency())));
    let row = Row::new("gateway and watchdog, requests per second", rate(both));
    report.add(&row.beside(format!("{:.2} × nginx, {}", both.rate_ratio(nginx), both.latency())));
}

fn print_times([nginx, alone, both]: &[Runs; 3], report: &mut Report) {
    let worker = microseconds(nginx.used(0).own);
    report.add(&Row::new("nginx worker, CPU per request", worker));
    let row = |who: &str, runs: &Runs, process: usize| {
        let ratio = runs.ratio(nginx, |run| run.used[process].own);
        (Row::new(format!("{who}, CPU per request"), microseconds(runs.used(process).own)), ratio)
    };
    let (time, ratio) = row("watchdog", alone, 0);
    let time = time.beside(format!("{ratio:.2} × nginx"));
    report.add(&time.gate(format!("≤ {WATCHDOG_MOST} × nginx"), ratio <= WATCHDOG_MOST));
    let (time, ratio) = row("gateway", both, 0);
    report.add(&time.beside(format!("{ratio:.2} × nginx")));
    let (time, ratio) = row("watchdog behind the gateway", both, 1);
    report.add(&time.beside(format!("{ratio:.2} × nginx")));
    // Where these differ much, they did not meet the same handler, or not the same machine.
    let handlers = [nginx.used(1).own, alone.used(1).own, both.used(2).own].map(microseconds);
    let row = Row::new("the handler itself, CPU per request", &handlers[1]);
    report.add(&row.beside(format!("behind nginx {}, behind both {}", handlers[0], handlers[2])));
}
