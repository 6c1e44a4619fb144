//! Python with a process for each request, forked from one that has loaded the handler: beside a bare `os.fork` loop of
//! the same interpreter, and beside a new interpreter for each request.

use faas_package::Runtime;

use crate::args::Args;
use crate::bare;
use crate::function::Function;
use crate::load::Wrk;
use crate::report::{Report, Row};
use crate::runs::{self, Run, Runs, in_turns, warm_up};
use crate::watchdog::Watchdog;
use crate::world::interpreter;

use super::fork::SCRIPT;

const CONNECTIONS: u32 = 8;
const HANDLER: &str = include_str!("../../../templates/python3/function/handler.py");
/// For the loop = 1, each fork waited for before the next.
const LOOP_LEAST: f64 = 0.7;
/// For the faster one that starts interpreters = 1.
const START_LEAST: f64 = 5.0;

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let duration = args.load_time();
    let Some(mut wrk) = Wrk::find(CONNECTIONS, duration) else {
        report.skip("all", "wrk is absent: apt-get install wrk");
        return Ok(());
    };
    let Some(python) = interpreter(Runtime::Python3).map(|python| python.program) else {
        report.skip("all", "its interpreter is not installed");
        return Ok(());
    };
    let function = Function::new("handler.py", HANDLER)?;
    wrk.script = Some(function.add("post.lua", SCRIPT)?);
    let worker = function.process(&python, &["-s"], "python/worker.py", &["openfaas", "handler.handle"])?;
    let classic = function.add("classic.py", include_str!("../../programs/classic.py"))?;
    let classic = format!("{} -s {}", python.display(), classic.display());
    let start = |variables: &[(&str, &str)]| {
        let watchdog = Watchdog::start(args, variables, &function.folder())?;
        warm_up(&wrk, &watchdog.url)?;
        anyhow::Ok(watchdog)
    };
    let isolated = |how| start(&[("mode", "worker"), ("worker_isolation", how), ("fprocess", &worker)]);
    let (forked, exec, plain) = (isolated("fork")?, isolated("exec")?, start(&[("fprocess", &classic)])?);
    let bare = |at_once| Ok(Run { load: bare::fork_loop(&python, at_once, duration)?, used: Vec::new() });
    let load = |watchdog: &Watchdog| runs::load(&wrk, &watchdog.url, &[watchdog.pid()]);
    let runs =
        in_turns([&|| bare(1), &|| bare(CONNECTIONS), &|| load(&forked), &|| load(&exec), &|| load(&plain)])?;
    print(&runs, report);
    Ok(())
}

fn print([one, many, forked, exec, plain]: &[Runs; 5], report: &mut Report) {
    let rate = |runs: &Runs| format!("{:.0}", runs.per_second());
    let row = Row::new("bare os.fork loop, per second", rate(one));
    report.add(&row.beside(format!("{}; one child at a time", one.latency())));
    let row = Row::new("the same, up to 8 children at a time", rate(many));
    report.add(&row.beside(many.latency()));
    let fastest = if exec.per_second() > plain.per_second() { exec } else { plain };
    let (to_loop, to_start) = (forked.rate_ratio(one), forked.rate_ratio(fastest));
    let row = Row::new("fork server, requests per second", rate(forked));
    let to_many = forked.rate_ratio(many);
    let row = row.beside(format!("{to_loop:.2} × the loop, {to_many:.2} × that of 8, {}", forked.latency()));
    report.add(&row.gate(format!("≥ {LOOP_LEAST} × the loop"), to_loop >= LOOP_LEAST));
    for (what, runs) in [("an interpreter for each, worker.py", exec), ("fork mode, classic template", plain)]
    {
        let row = Row::new(format!("{what}, requests per second"), rate(runs));
        report.add(&row.beside(runs.latency()));
    }
    let row = Row::new("fork server, to the faster of these", format!("{to_start:.1} ×"));
    report.add(&row.gate(format!("≥ {START_LEAST} ×"), to_start >= START_LEAST));
}
