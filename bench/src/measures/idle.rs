//! A watchdog that has nothing to do yet: what it holds, and how soon it listens.

use std::time::Duration;

use faas_package::Runtime;

use crate::args::Args;
use crate::function::Function;
use crate::process::{megabytes, memory};
use crate::report::{Report, Row};
use crate::samples::{Samples, milliseconds};
use crate::watchdog::Watchdog;
use crate::world::interpreter;

const ROUNDS: usize = 30;
const MEMORY_MOST: u64 = 4_000_000;
const START_MOST: Duration = Duration::from_millis(5);
const HANDLER: &str = include_str!("../../../templates/python3-http/function/handler.py");

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let function = Function::new("handler.py", HANDLER)?;
    measure("fork", args, &[("fprocess", "cat")], &function, report)?;
    let Some(python) = interpreter(Runtime::Python3) else {
        report.skip("worker", "python3 is not installed");
        return Ok(());
    };
    let arguments = ["http", "handler.handle"];
    let process = function.process(&python.program, &["-s"], "python/worker.py", &arguments)?;
    let variables = [("mode", "worker"), ("worker_count", "1"), ("fprocess", &process)];
    measure("worker", args, &variables, &function, report)
}

fn measure(
    mode: &str,
    args: &Args,
    variables: &[(&str, &str)],
    function: &Function,
    report: &mut Report,
) -> anyhow::Result<()> {
    let folder = function.folder();
    let mut starts = Samples::default();
    // Not fewer when quick: one start is a few milliseconds.
    for _ in 0..ROUNDS {
        starts.push(Watchdog::listen(args, variables, &folder)?.listening);
    }
    let row = Row::new(format!("{mode} mode, start to listening"), milliseconds(starts.p50()));
    let row = row.beside(format!("p99 {}, n={ROUNDS}", milliseconds(starts.p99())));
    report.add(&row.gate(format!("≤ {}", milliseconds(START_MOST)), starts.p50() <= START_MOST));

    // Answered once, so that no first-time work is missing.
    let watchdog = Watchdog::start(args, variables, &folder)?;
    let memory = memory(watchdog.pid())?;
    let row = Row::new(format!("{mode} mode, the watchdog alone"), megabytes(memory.resident));
    let row = row.beside(format!("PSS {}, after one request", megabytes(memory.proportional)));
    report.add(&row.gate(format!("≤ {}", megabytes(MEMORY_MOST)), memory.resident <= MEMORY_MOST));
    Ok(())
}
