//! `kill -9` of `faas serve`, and how soon the next one answers.

use std::time::Duration;

use anyhow::ensure;

use crate::args::Args;
use crate::report::{Report, Row};
use crate::samples::{Samples, milliseconds, timed};
use crate::world::World;

const ROUNDS: usize = 5;
const ANSWER_MOST: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let mut world = World::start();
    let names = world.deploy_many(args.many())?;
    let count = names.len();
    // The one in the middle: no order of starts makes it the first.
    let called = &names[count / 2];

    let rounds = args.rounds(ROUNDS);
    measure(&mut world, rounds, called, count, "with a replica each", report)?;
    world.wait_until_available(count);
    world.to_zero(names.iter().map(String::as_str))?;
    measure(&mut world, rounds, called, count, "at zero", report)
}

fn measure(
    world: &mut World,
    rounds: usize,
    called: &str,
    count: usize,
    state: &str,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (mut ready, mut answered) = (Samples::default(), Samples::default());
    for _ in 0..rounds {
        world.kill();
        let (answer, time) = timed(|| {
            let ((), time) = timed(|| world.restart());
            ready.push(time);
            world.invoke(called, b"hello")
        });
        answer?;
        answered.push(time);
        let listed = world.functions()?.len();
        ensure!(listed == count, "{listed} of {count} functions are listed after a restart");
    }
    let row = Row::new(format!("first answer, {count} functions {state}"), milliseconds(answered.p50()));
    let beside = format!("{}; of it until it listens {}", answered.spread(), milliseconds(ready.p50()));
    let bound = format!("≤ {}", milliseconds(ANSWER_MOST));
    report.add(&row.beside(beside).gate(bound, answered.p50() <= ANSWER_MOST));
    Ok(())
}
