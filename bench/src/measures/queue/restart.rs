//! `kill -9` of `faas serve` with a long queue: how soon the next one answers, what it takes for that, and that every job
//! is still there.

use std::time::Duration;

use anyhow::ensure;
use serde_json::json;

use super::{deploy_sleep, post_many, queued};
use crate::args::Args;
use crate::process::{megabytes, memory, peak};
use crate::report::{Report, Row};
use crate::samples::{Samples, milliseconds, timed};
use crate::world::World;

const JOBS: usize = 100_000;
const ROUNDS: usize = 5;
const ANSWER_MOST: Duration = Duration::from_secs(2);
/// SQLite's page cache, and some of its own; nothing for each job.
const GROWTH_MOST: u64 = 20_000_000;

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let mut world = World::start();
    world.deploy("cat", &world.upload_cat()?, &json!({}))?;
    // It has one job in hand, and that never ends.
    deploy_sleep(&world, "busy", "3600", &json!({ "envVars": { "max_inflight": "1" } }))?;
    world.invoke("cat", b"x")?;
    let empty = memory(world.platform.pid())?.resident;
    let jobs = args.rounds(JOBS);
    post_many(&world, "busy", jobs)?;
    let before = memory(world.platform.pid())?.resident;

    let (mut answered, mut ready, mut after) = (Samples::default(), Samples::default(), 0);
    for _ in 0..args.rounds(ROUNDS) {
        world.kill();
        let (answer, time) = timed(|| {
            let ((), time) = timed(|| world.restart());
            ready.push(time);
            world.invoke("cat", b"hello")
        });
        answer?;
        answered.push(time);
        let left = queued(&world)?;
        ensure!(left == u64::try_from(jobs)?, "{left} of {jobs} jobs are there after a restart");
        after = after.max(peak(world.platform.pid())?);
    }
    let row = Row::new(format!("first answer, {jobs} jobs queued"), milliseconds(answered.p50()));
    let beside =
        format!("{}; of it until it listens {}; none lost", answered.spread(), milliseconds(ready.p50()));
    let bound = format!("≤ {}", milliseconds(ANSWER_MOST));
    report.add(&row.beside(beside).gate(bound, answered.p50() <= ANSWER_MOST));
    let (row, most) =
        (Row::new("peak of faas serve, restarted with them", megabytes(after)), empty + GROWTH_MOST);
    let row = row.beside(format!("before: empty {}, all accepted {}", megabytes(empty), megabytes(before)));
    report.add(&row.gate(format!("≤ {}", megabytes(most)), after <= most));
    Ok(())
}
