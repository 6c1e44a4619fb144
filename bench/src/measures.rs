//! What is measured, in the order in which it is printed.
//!
//! Each measure starts its own platform or watchdogs, so that one can be run alone. One that fails, by an error or by the fixture's
//! panic, is told and counts as missed; the others still run.

mod change;
mod cluster;
mod cold_start;
mod deploys;
mod fork;
mod fork_server;
mod gateway;
mod http;
mod idle;
mod memory;
mod queue;
mod restart;
mod size;
mod stream;
pub(crate) mod training;
mod worker;

use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use anyhow::Context as _;

use crate::args::Args;
use crate::report::Report;
use crate::{history, machine};

type Measure = fn(&Args, &mut Report) -> anyhow::Result<()>;

/// Name, title, and how to do it.
const MEASURES: [(&str, &str, Measure); 24] = [
    ("size", "Size of the executables", size::run),
    ("memory", "Idle memory", memory::run),
    ("cold-start", "Cold start: the first request to a function at zero replicas", cold_start::run),
    ("change", "Change to answer: from `faas up` to the new code's first answer", change::run),
    ("deploys", "Many functions", deploys::run),
    ("restart", "Restart after kill -9", restart::run),
    ("stream", "Streamed request body", stream::run),
    ("http", "HTTP function at 32 connections, beside nginx proxy_pass to the same handler", http::run),
    ("gateway", "The gateway, beside nginx proxy_pass to the same static server", gateway::speed::run),
    ("gateway-chain", "The gateway behind nginx, in front of a real function", gateway::chain::run),
    ("gateway-latency", "The gateway at a constant half load, beside nginx", gateway::latency::run),
    ("gateway-memory", "The gateway's memory", gateway::memory::run),
    ("gateway-table", "The gateway with many functions, 1 % of them invoked", gateway::table::run),
    ("gateway-overload", "The gateway at five times a function's capacity", gateway::overload::run),
    ("queue", "Asynchronous invocations", queue::run),
    ("queue-nats", "Asynchronous invocations, kept in NATS", queue::nats::run),
    ("queue-restart", "A long queue: restart after kill -9", queue::restart::run),
    ("queue-fairness", "A long queue of one function, beside another's jobs", queue::fairness::run),
    ("cluster", "On Kubernetes", cluster::run),
    ("watchdog", "Idle watchdog, and its start", idle::run),
    ("fork", "fork mode of `cat` at 8 connections, beside a bare posix_spawn loop", fork::run),
    ("python", "Python worker, one process, 32 connections, beside flask and waitress", worker::python),
    ("node", "Node worker, one process, 32 connections, beside express", worker::node),
    ("fork-server", "Python fork server at 8 connections, beside a bare os.fork loop", fork_server::run),
];

/// The names for `--only`.
pub(crate) fn names() -> [&'static str; MEASURES.len()] {
    MEASURES.map(|(name, _, _)| name)
}

/// Measures, prints, writes the report; failure if a gate was missed.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    report.note(&format!("faas-bench: {}", args.bin_dir.display()));
    let machine = machine::describe();
    report.note(&machine);
    if args.quick {
        report.note("quick: too few rounds for numbers to be quoted");
    }
    for (name, title, measure) in MEASURES {
        if args.only.is_empty() || args.only.iter().any(|only| only == name) {
            report.section(name, title);
            match catch_unwind(AssertUnwindSafe(|| measure(args, &mut report))) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => report.fail(&format!("{error:#}")),
                Err(panic) => report.fail(text_of(panic.as_ref())),
            }
        }
    }
    let met = report.finish();
    if let Some(path) = &args.report {
        fs::write(path, report.markdown()).with_context(|| format!("failed to write {}", path.display()))?;
    }
    if let Some(path) = &args.history {
        history::append(path, &machine, args.quick, report.entries())?;
    }
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic")
}
