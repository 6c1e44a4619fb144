//! What the gateway adds to the slowest requests while it has time: half of what it can do at most, sent at a constant rate,
//! through nginx with one worker and through ours.

use std::time::Duration;

use super::{Contest, NAME, tools};
use crate::args::Args;
use crate::paced::Paced;
use crate::report::{Report, Row};
use crate::runs::{self, Runs, in_turns, microseconds};

/// In seconds.
const ADDED_MOST: f64 = 0.001;

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let Some((wrk, nginx)) = tools(args, report) else { return Ok(()) };
    let contest = Contest::start(&nginx, [NAME.to_owned()])?;
    let (rate, duration) = (contest.load(&wrk, 0.5)?, paced_time(args));
    let own = std::process::id();
    let path = || [format!("/function/{NAME}")];
    let theirs = Paced::get(contest.one.address, path());
    let ours = Paced::get(contest.ours.addresses.gateway, path());
    let [theirs, ours] =
        in_turns([&|| runs::watch(&[contest.one.workers[0], own], || theirs.load(rate, duration)), &|| {
            runs::watch(&[contest.ours.pid(), own], || ours.load(rate, duration))
        }])?;
    let row = |who: &str, runs: &Runs| {
        let [used, load] = [0, 1].map(|process| microseconds(runs.used(process).own));
        let row = Row::new(format!("{who}, p99 at {rate}/s"), super::milli(runs.p99().as_secs_f64()));
        row.beside(format!("{}, CPU per request {used}, of the load {load}", runs.latency()))
    };
    report.add(&row("nginx", &theirs));
    report.add(&row("gateway", &ours));
    let added = ours.difference(&theirs, |run| run.load.p99.as_secs_f64());
    let row = Row::new("p99 added beside nginx's", super::milli(added));
    report.add(&row.gate(format!("< {}", super::milli(ADDED_MOST)), added < ADDED_MOST));
    Ok(())
}

/// How long load at a constant rate lasts.
pub(super) fn paced_time(args: &Args) -> Duration {
    Duration::from_secs(if args.quick { 2 } else { 10 })
}
