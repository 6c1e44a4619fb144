//! Resident memory of processes that have nothing to do.

use crate::args::Args;
use crate::process::{Memory, megabytes, memory};
use crate::report::{Report, Row};
use crate::world::World;

const EMPTY_MOST: u64 = 30_000_000;
/// For a function at zero: its table entry in gateway and provider, its record, its share of freed replicas' memory.
const FUNCTION_MOST: u64 = 20_000;
const WATCHDOG_MOST: u64 = 4_000_000;

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let world = World::start();
    let serve = world.platform.pid();
    // One answered request, so that no first-time work is missing.
    world.functions()?;
    let empty = memory(serve)?;
    let row = row("faas serve, 0 functions", empty);
    report.add(&row.gate(format!("≤ {}", megabytes(EMPTY_MOST)), empty.resident <= EMPTY_MOST));

    let names = world.deploy_many(args.many())?;
    world.to_zero(names.iter().map(String::as_str))?;
    many(names.len(), empty, memory(serve)?, report);

    world.invoke(&names[0], b"hello")?;
    let watchdog = memory(world.watchdog()?)?;
    let row = self::row("faas-watchdog, after one request", watchdog);
    report.add(&row.aim(format!("≤ {}", megabytes(WATCHDOG_MOST)), watchdog.resident <= WATCHDOG_MOST));
    Ok(())
}

fn many(count: usize, empty: Memory, memory: Memory, report: &mut Report) {
    let functions = u64::try_from(count).unwrap_or(u64::MAX);
    let most = EMPTY_MOST + functions * FUNCTION_MOST;
    let row = row(&format!("faas serve, {count} functions scaled to zero"), memory);
    report.add(&row.gate(format!("≤ {}", megabytes(most)), memory.resident <= most));
    let each = memory.resident.saturating_sub(empty.resident) / functions.max(1);
    let row = Row::new("  difference per function", format!("{:.1} kB", kilo(each)));
    report.add(&row.beside("after each had run a replica"));
}

fn row(what: &str, memory: Memory) -> Row {
    Row::new(what, megabytes(memory.resident)).beside(format!("PSS {}", megabytes(memory.proportional)))
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn kilo(bytes: u64) -> f64 {
    bytes as f64 / 1e3
}
