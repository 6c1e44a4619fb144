//! One process per request: `cat` behind gateway and watchdog, and `cat` started by threads of this program.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::args::Args;
use crate::child::{as_handler, find};
use crate::load::{Load, Wrk};
use crate::process;
use crate::report::{Report, Row};
use crate::samples::median;
use crate::world::World;

const CONNECTIONS: u32 = 8;
const RUNS: usize = 3;
const NAME: &str = "cat";
const BODY: &[u8] = b"hello";
const SCRIPT: &str = "wrk.method = \"POST\"\nwrk.body = \"hello\"\n";
/// What `SPECIFICATION.md` will bound, for the bare loop = 1.
const RATE_LEAST: f64 = 0.85;

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let Some(wrk) = find("wrk") else {
        report.skip("all", "wrk is absent: apt-get install wrk");
        return Ok(());
    };
    let duration = Duration::from_secs(if args.quick { 1 } else { 4 });
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("post.lua");
    fs::write(&script, SCRIPT)?;
    let wrk = Wrk { program: wrk, connections: CONNECTIONS, duration, script: Some(script) };
    let world = World::start();
    deploy(&world)?;
    let cat = find("cat").context("there is no cat")?;
    let url = format!("{}/function/{NAME}", world.platform.url);
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push((bare(&cat, duration)?, once(&wrk, &url, &world)?));
    }
    print(&runs, report);
    Ok(())
}

fn deploy(world: &World) -> anyhow::Result<()> {
    let package = world.upload_cat()?;
    // No shell in between.
    world.deploy(NAME, &package, &json!({ "envProcess": "cat" }))?;
    let answer = world.invoke(NAME, BODY)?;
    ensure!(answer.body == BODY, "cat answered {:?}", answer.text());
    Ok(())
}

/// Load, and seconds of processor time per request: own, and of ended children.
struct Run {
    load: Load,
    gateway: f64,
    watchdog: f64,
    children: f64,
}

fn once(wrk: &Wrk, url: &str, world: &World) -> anyhow::Result<Run> {
    let (serve, watchdog) = (world.platform.pid(), world.watchdog()?);
    let before = (process::time(serve)?, process::time(watchdog)?);
    let load = wrk.run(url)?;
    let (serve, watchdog) = (process::time(serve)?.since(before.0), process::time(watchdog)?.since(before.1));
    let each = |time: Duration| time.as_secs_f64() / f64::from(load.requests.max(1));
    Ok(Run {
        gateway: each(serve.own),
        watchdog: each(watchdog.own),
        children: each(watchdog.children),
        load,
    })
}

/// As many threads as there are connections, each starting one `cat` after the other.
fn bare(cat: &Path, duration: Duration) -> anyhow::Result<Run> {
    let own = std::process::id();
    let before = process::time(own)?;
    let started = Instant::now();
    let counts: Vec<anyhow::Result<u32>> = std::thread::scope(|scope| {
        let loops: Vec<_> =
            (0..CONNECTIONS).map(|_| scope.spawn(move || spawn_until(cat, started + duration))).collect();
        loops.into_iter().map(|one| one.join().unwrap_or(Ok(0))).collect()
    });
    let requests = counts.into_iter().sum::<anyhow::Result<u32>>()?;
    let per_second = f64::from(requests) / started.elapsed().as_secs_f64();
    let time = process::time(own)?.since(before);
    let each = |time: Duration| time.as_secs_f64() / f64::from(requests.max(1));
    let load = Load { requests, per_second };
    Ok(Run { load, gateway: 0.0, watchdog: each(time.own), children: each(time.children) })
}

fn spawn_until(cat: &Path, deadline: Instant) -> anyhow::Result<u32> {
    let mut count = 0;
    let mut answer = Vec::new();
    while Instant::now() < deadline {
        // The standard library takes posix_spawn for this.
        let mut child = as_handler(cat).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        child.stdin.take().context("stdin is piped")?.write_all(BODY)?;
        answer.clear();
        child.stdout.take().context("stdout is piped")?.read_to_end(&mut answer)?;
        ensure!(child.wait()?.success() && answer == BODY, "cat failed");
        count += 1;
    }
    Ok(count)
}

fn print(runs: &[(Run, Run)], report: &mut Report) {
    let bare = |number: fn(&Run) -> f64| median(runs.iter().map(|(bare, _)| number(bare)));
    let ours = |number: fn(&Run) -> f64| median(runs.iter().map(|(_, ours)| number(ours)));
    let micro = |seconds: f64| format!("{:.0} µs", seconds * 1e6);
    let n = format!("n={} runs", runs.len());
    let (loops, rate) = (bare(|run| run.load.per_second), ours(|run| run.load.per_second));
    let row = Row::new("bare posix_spawn loop of cat, per second", format!("{loops:.0}"));
    report.add(&row.beside(format!("{CONNECTIONS} threads, {n}")));
    let row = Row::new("gateway and watchdog, requests per second", format!("{rate:.0}"));
    let row = row.beside(format!("{:.2} × the bare loop, {CONNECTIONS} connections", rate / loops));
    report.add(&row.aim(format!("≥ {RATE_LEAST} × the loop"), rate >= RATE_LEAST * loops));

    let row = Row::new("bare loop, CPU per start", micro(bare(|run| run.watchdog)));
    report.add(&row.beside(format!("cat itself {}", micro(bare(|run| run.children)))));
    let row = Row::new("watchdog, CPU per request", micro(ours(|run| run.watchdog)));
    report.add(&row.beside(format!("cat itself {}", micro(ours(|run| run.children)))));
    report.add(&Row::new("gateway, CPU per request", micro(ours(|run| run.gateway))));
}
