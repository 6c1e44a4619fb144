//! Asynchronous invocations: how many are accepted in a second, each on disk before its 202; how long one takes that finds
//! an idle queue; how fast a queue drains. Long queues are in `restart` and `fairness`,
//! the queue in NATS in `nats`.

pub(crate) mod fairness;
pub(crate) mod nats;
pub(crate) mod restart;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use faas_api::QueueDepth;
use faas_testing::wait_for;
use serde_json::{Value, json};

use crate::args::Args;
use crate::load::Wrk;
use crate::report::{Report, Row};
use crate::runs::{TURNS, warm_up};
use crate::samples::{Samples, median, milliseconds, timed};
use crate::world::World;

const CLIENTS: u32 = 64;
const LEAST_ACCEPTS: f64 = 12_000.0;
const DRAINED: usize = 10_000;
/// Who fill a queue, a connection each; every number of jobs is a multiple of it.
const POSTERS: usize = 40;
/// One after the other, each when the one before has ended.
const IDLE_JOBS: usize = 200;

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let Some(wrk) = Wrk::find(CLIENTS, args.load_time()) else {
        report.skip("all", "wrk is absent: apt-get install wrk");
        return Ok(());
    };
    accept(&wrk, report)?;
    let world = World::start();
    world.deploy("cat", &world.upload_cat()?, &json!({}))?;
    world.invoke("cat", b"x")?;
    idle(&world, args, report)?;
    drain(&world, args, report)
}

/// To a function that never ends, so that what is measured is the accepting.
fn accept(wrk: &Wrk, report: &mut Report) -> anyhow::Result<()> {
    let world = World::start();
    deploy_sleep(&world, "sleep", "3600", &json!({}))?;
    let folder = tempfile::tempdir()?;
    let wrk = posting(wrk, folder.path())?;
    let url = format!("{}/async-function/sleep", world.platform.url);
    warm_up(&wrk, &url)?;
    let loads = (0..TURNS).map(|_| wrk.run(&url)).collect::<anyhow::Result<Vec<_>>>()?;
    let rate = median(loads.iter().map(|load| load.per_second));
    let (p50, p99) =
        (median_of(loads.iter().map(|load| load.p50)), median_of(loads.iter().map(|load| load.p99)));
    let row = Row::new("accepted per second, on disk", format!("{rate:.0}"));
    let row = row.beside(format!("{CLIENTS} clients, 100 bytes; p50 {p50}, p99 {p99}"));
    report.add(&row.gate(format!("≥ {LEAST_ACCEPTS}"), rate >= LEAST_ACCEPTS));
    Ok(())
}

/// Posts a hundred bytes, by a script in this folder.
fn posting(wrk: &Wrk, folder: &Path) -> anyhow::Result<Wrk> {
    let script = folder.join("post.lua");
    fs::write(&script, "wrk.method = \"POST\"\nwrk.body = string.rep(\"x\", 100)\n")?;
    Ok(Wrk { script: Some(script), ..wrk.clone() })
}

fn median_of(durations: impl Iterator<Item = Duration>) -> String {
    milliseconds(Duration::from_secs_f64(median(durations.map(|duration| duration.as_secs_f64()))))
}

/// From the request to the answer being known.
fn idle(world: &World, args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let (mut accepted, mut ended) = (Samples::default(), Samples::default());
    for _ in 0..args.rounds(IDLE_JOBS) {
        let started = Instant::now();
        let answer = world.http.post("/async-function/cat", b"x");
        ensure!(answer.status == 202, "{} {}", answer.status, answer.text());
        accepted.push(started.elapsed());
        wait_for("the job to end", || queued(world).is_ok_and(|left| left == 0).then_some(()));
        ended.push(started.elapsed());
    }
    let both = |samples: &Samples| {
        format!("p50 {}, p99 {}", milliseconds(samples.p50()), milliseconds(samples.p99()))
    };
    let row = Row::new("idle queue, from the request to the job's end", both(&ended));
    let beside = format!("to the 202: {}; looked at every 5 ms", both(&accepted));
    report.add(&row.beside(beside));
    Ok(())
}

fn drain(world: &World, args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let count = args.rounds(DRAINED);
    let (drained, took) = timed(|| {
        post_many(world, "cat", count)?;
        while queued(world)? > 0 {
            thread::sleep(Duration::from_millis(20));
        }
        anyhow::Ok(())
    });
    drained?;
    let rate = f64::from(u32::try_from(count)?) / took.as_secs_f64();
    let row = Row::new("drained per second, a `cat` function", format!("{rate:.0}"));
    report.add(&row.beside(format!("{count} jobs, from the first request to the last job's end")));
    Ok(())
}

/// Deploys a function that takes so many seconds, in a process for each call.
fn deploy_sleep(world: &World, name: &str, seconds: &str, more: &Value) -> anyhow::Result<()> {
    let handler = crate::world::bash_handler(&format!("exec sleep {seconds}\n"))?;
    let manifest = faas_package::Manifest::new(
        faas_package::Runtime::Bash,
        faas_package::Signature::Stdin,
        "handler.sh",
    );
    let mut body = json!({ "timeout": "2h" });
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    world.deploy(name, &world.upload(handler.path(), &manifest)?, &body)
}

/// Has so many jobs accepted for a function.
pub(super) fn post_many(world: &World, function: &str, count: usize) -> anyhow::Result<()> {
    let path = format!("/async-function/{function}");
    let post = || {
        let http = world.platform.http();
        for _ in 0..count / POSTERS {
            let answer = http.post(&path, b"x");
            ensure!(answer.status == 202, "{} {}", answer.status, answer.text());
        }
        Ok(())
    };
    thread::scope(|scope| {
        let posters: Vec<_> = (0..POSTERS).map(|_| scope.spawn(post)).collect();
        posters.into_iter().try_for_each(|poster| poster.join().map_err(|_| anyhow!("a client failed"))?)
    })
}

/// Jobs that have not ended.
pub(super) fn queued(world: &World) -> anyhow::Result<u64> {
    let answer = world.platform.admin().get("/system/queue");
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    let depths: Vec<QueueDepth> = serde_json::from_slice(&answer.body).context("not a list of depths")?;
    ensure!(depths.iter().all(|depth| depth.dead == 0), "jobs became dead letters: {}", answer.text());
    Ok(depths.iter().map(|depth| depth.waiting + depth.running).sum())
}
