//! Many functions through the API by one client, then all of them at zero.

use std::time::Duration;

use serde_json::json;

use crate::args::Args;
use crate::report::{Report, Row};
use crate::samples::{milliseconds, timed};
use crate::world::World;

const DEPLOYS_MOST: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let world = World::start();
    let package = world.upload_cat()?;
    let names: Vec<_> = (0..args.many()).map(|number| format!("f-{number}")).collect();
    let count = names.len();

    let (accepted, whole) = timed(|| -> anyhow::Result<Duration> {
        let (deployed, accepted) =
            timed(|| names.iter().try_for_each(|name| world.deploy(name, &package, &json!({}))));
        deployed?;
        world.wait_until_available(count);
        Ok(accepted)
    });
    let row = Row::new(format!("{count} functions deployed and available"), milliseconds(whole));
    let row = row.beside(format!("of it until the last 202 {}, n=1", milliseconds(accepted?)));
    report.add(&row.gate(format!("< {}", milliseconds(DEPLOYS_MOST)), whole < DEPLOYS_MOST));

    let (emptied, time) = timed(|| world.to_zero(names.iter().map(String::as_str)));
    emptied?;
    let left = world.platform.processes().len();
    let row = Row::new(format!("processes left of {count} functions at zero"), left.to_string());
    report.add(&row.beside(format!("after {}", milliseconds(time))).gate("0", left == 0));
    Ok(())
}
