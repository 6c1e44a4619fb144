//! Many functions, of which few are invoked, one after the other; then the same while routes change.
//!
//! The changes are measured at a quarter of the load that the gateway can take: near full load the 99th percentile says how
//! long a queue is, and moves with every microsecond that anything takes.

use std::fs;

use super::latency::paced_time;
use super::{Contest, print, tools};
use crate::args::Args;
use crate::load::Wrk;
use crate::paced::Paced;
use crate::report::{Report, Row};
use crate::runs::TURNS;
use crate::samples::median;

const FUNCTIONS: u32 = 10_000;
/// One of so many is invoked.
const SHARE: u32 = 100;
const SHARE_OF_LOAD: f64 = 0.25;
const CHANGES_PER_SECOND: u32 = 100;
/// How much longer the 99th percentile may be with changes: by this factor, and these seconds for what the load itself
/// varies by.
const FACTOR: f64 = 1.25;
const SLACK: f64 = 0.0002;

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let Some((wrk, nginx)) = tools(args, report) else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("turns.lua");
    fs::write(&script, script_text())?;
    let wrk = Wrk { script: Some(script), ..wrk };
    let contest = Contest::start(&nginx, (0..FUNCTIONS).map(name))?;
    let runs = contest.measure(&wrk)?;
    print(&runs, &format!("{FUNCTIONS} functions"), report);
    changes(args, &wrk, contest, report)
}

pub(super) fn name(number: u32) -> String {
    format!("function-{number}")
}

fn invoked() -> impl Iterator<Item = String> {
    (0..FUNCTIONS / SHARE).map(|number| name(number * SHARE))
}

/// Requests are made once, so that wrk has as little to do as without a script.
fn script_text() -> String {
    let names: Vec<_> = invoked().map(|name| format!("\"{name}\"")).collect();
    format!(
        "local names = {{ {} }}
local requests, next = {{}}, 0
function init()
    for index, name in ipairs(names) do requests[index] = wrk.format(\"GET\", \"/function/\" .. name) end
end
function request()
    next = next % #requests + 1
    return requests[next]
end
",
        names.join(", ")
    )
}

fn changes(args: &Args, wrk: &Wrk, mut contest: Contest, report: &mut Report) -> anyhow::Result<()> {
    let rate = contest.load(wrk, SHARE_OF_LOAD)?;
    let paths = invoked().map(|name| format!("/function/{name}"));
    let paced = Paced::get(contest.ours.addresses.gateway, paths);
    let mut slowest = |churn| {
        contest.ours.churn(churn)?;
        let load = paced.load(rate, paced_time(args))?;
        anyhow::Ok(load.p99.as_secs_f64())
    };
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        turns.push((slowest(0)?, slowest(CHANGES_PER_SECOND)?));
    }
    let still = median(turns.iter().map(|turn| turn.0));
    let changing = median(turns.iter().map(|turn| turn.1));
    // Of the same turn, as with ratios.
    let over = median(turns.iter().map(|(still, changing)| changing - (still * FACTOR + SLACK)));
    report.add(&Row::new(format!("p99 at {rate}/s"), super::milli(still)));
    let row = Row::new(format!("p99 with {CHANGES_PER_SECOND} changes a second"), super::milli(changing));
    let spread: Vec<_> = turns.iter().map(|turn| super::milli(turn.1 - turn.0)).collect();
    let row = row.beside(format!("{:.2} × without; added by turn: {}", changing / still, spread.join(", ")));
    report.add(&row.gate(format!("≤ {FACTOR} × + {}", super::milli(SLACK)), over <= 0.0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_hundred_is_invoked() {
        let invoked: Vec<_> = invoked().collect();
        assert_eq!(invoked.len(), 100);
        assert_eq!((invoked[1].as_str(), invoked[99].as_str()), ("function-100", "function-9900"));
        assert!(script_text().contains("\"function-0\", \"function-100\""));
    }
}
