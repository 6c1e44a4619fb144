//! What a long queue of one function's slow jobs costs another function's single job.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use faas_api::{JobState, JobStatus};
use faas_testing::{Http, wait_for};
use serde_json::json;

use super::{deploy_sleep, post_many, queued};
use crate::args::Args;
use crate::report::{Report, Row};
use crate::samples::{Samples, milliseconds};
use crate::world::World;

const SLOW_JOBS: usize = 50_000;
const SINGLE_JOBS: usize = 20;
/// Between them, so that they meet the slow ones beginning, running and ending.
const PAUSE: Duration = Duration::from_millis(230);
const DELAY_MOST: Duration = Duration::from_millis(200);

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let world = World::start();
    world.deploy("cat", &world.upload_cat()?, &json!({}))?;
    deploy_sleep(&world, "slow", "1", &json!({}))?;
    world.invoke("cat", b"x")?;
    let alone = single_jobs(&world)?;
    report.add(&Row::new("a single job, empty queue", told(&alone)).beside("looked at every 5 ms"));
    let slow = args.rounds(SLOW_JOBS);
    post_many(&world, "slow", slow)?;
    let beside = single_jobs(&world)?;
    let left = queued(&world)?;
    ensure!(left > 0, "the slow jobs ended before the single ones");
    let delay = beside.p99().saturating_sub(alone.p50());
    let row = Row::new(format!("a single job, behind {slow} of another's"), told(&beside));
    let row = row
        .beside(format!("{left} left at the end; the worst is {} over the p50 above", milliseconds(delay)));
    report.add(&row.gate(format!("≤ {} more", milliseconds(DELAY_MOST)), delay <= DELAY_MOST));
    Ok(())
}

/// Of so few, the 99th percentile is the worst.
fn told(samples: &Samples) -> String {
    format!("p50 {}, worst {}", milliseconds(samples.p50()), milliseconds(samples.p99()))
}

/// One after the other, from the request to the job's end being known.
fn single_jobs(world: &World) -> anyhow::Result<Samples> {
    let (http, admin) = (world.platform.http(), world.platform.admin());
    let one = |_| {
        sleep(PAUSE);
        let started = Instant::now();
        let answer = http.post("/async-function/cat", b"x");
        ensure!(answer.status == 202, "{} {}", answer.status, answer.text());
        let id = answer.header("x-call-id").to_owned();
        let ended = wait_for("the job to end", || {
            let state = state(&admin, &id);
            (!matches!(state, Ok(JobState::Queued | JobState::Running))).then_some(state)
        });
        ensure!(ended? == JobState::Done, "job {id} came to a bad end");
        Ok(started.elapsed())
    };
    (0..SINGLE_JOBS).map(one).collect()
}

fn state(admin: &Http, id: &str) -> anyhow::Result<JobState> {
    let answer = admin.get(&format!("/async-function/{id}"));
    let status: JobStatus = serde_json::from_slice(&answer.body).context("not a job")?;
    Ok(status.state)
}
