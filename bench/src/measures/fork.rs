//! One process per request: `cat` started by threads of this program, behind the watchdog, and behind gateway and
//! watchdog.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::args::Args;
use crate::bare;
use crate::child::find;
use crate::load::Wrk;
use crate::report::{Report, Row};
use crate::runs::{self, Runs, in_turns, warm_up};
use crate::watchdog::Watchdog;
use crate::world::World;

const CONNECTIONS: u32 = 8;
const NAME: &str = "cat";
const BODY: &[u8] = b"hello";
/// Sends the same.
pub(super) const SCRIPT: &str = "wrk.method = \"POST\"\nwrk.body = \"hello\"\n";
/// For the bare loop = 1.
const RATE_LEAST: f64 = 0.85;

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let duration = args.load_time();
    let Some(mut wrk) = Wrk::find(CONNECTIONS, duration) else {
        report.skip("all", "wrk is absent: apt-get install wrk");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("post.lua");
    fs::write(&script, SCRIPT)?;
    wrk.script = Some(script);
    let cat = find("cat").context("there is no cat")?;
    let alone = Watchdog::start(args, &[("fprocess", "cat")], folder.path())?;
    let world = World::start();
    deploy(&world)?;
    let url = format!("{}/function/{NAME}", world.platform.url);
    let both = [world.platform.pid(), world.watchdog()?];
    for url in [&alone.url, &url] {
        warm_up(&wrk, url)?;
    }
    let runs = in_turns([
        &|| bare::spawn_loop(&cat, BODY, CONNECTIONS, duration),
        &|| runs::load(&wrk, &alone.url, &[alone.pid()]),
        &|| runs::load(&wrk, &url, &both),
    ])?;
    print(&runs, duration, report);
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

fn print([bare, alone, both]: &[Runs; 3], duration: Duration, report: &mut Report) {
    let rate = |runs: &Runs| format!("{:.0}", runs.per_second());
    let row = Row::new("bare posix_spawn loop of cat, per second", rate(bare));
    let n = format!("{CONNECTIONS} threads, {} s a run", duration.as_secs());
    report.add(&row.beside(format!("{}; {n}", bare.latency())));
    let ratio = alone.rate_ratio(bare);
    let row = Row::new("watchdog, requests per second", rate(alone));
    let row = row.beside(format!("{ratio:.2} × the bare loop, {}", alone.latency()));
    report.add(&row.gate(format!("≥ {RATE_LEAST} × the loop"), ratio >= RATE_LEAST));
    let row = Row::new("gateway and watchdog, requests per second", rate(both));
    report.add(&row.beside(format!("{:.2} × the bare loop, {}", both.rate_ratio(bare), both.latency())));

    for (who, runs, process) in [
        ("bare loop, CPU per start", bare, 0),
        ("watchdog, CPU per request", alone, 0),
        ("watchdog behind the gateway, CPU per request", both, 1),
        ("gateway, CPU per request", both, 0),
    ] {
        let used = runs.used(process);
        let row = Row::new(who, micro(used.own));
        let cat = format!("cat itself {}", micro(used.children));
        report.add(&if used.children > 0.0 { row.beside(cat) } else { row });
    }
}

fn micro(seconds: f64) -> String {
    format!("{:.0} µs", seconds * 1e6)
}
