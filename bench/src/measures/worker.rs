//! `worker` mode with one process, beside the same handler under its language's usual server.
//!
//! The handlers are those that `faas new` writes. The server is loaded directly, with no watchdog before it.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use faas_package::Runtime;
use faas_testing::wait_for;

use crate::args::Args;
use crate::child::{Server, as_handler, free_port};
use crate::function::Function;
use crate::load::Wrk;
use crate::packages;
use crate::process;
use crate::report::{Report, Row};
use crate::runs::{self, Runs, in_turns, microseconds, warm_up};
use crate::watchdog::Watchdog;
use crate::world::interpreter;

const CONNECTIONS: u32 = 32;

/// A language and its server.
struct Contest {
    runtime: Runtime,
    options: &'static [&'static str],
    worker: &'static str,
    arguments: &'static [&'static str],
    /// The handler's file and text.
    handler: (&'static str, &'static str),
    server: &'static str,
    /// Which takes its port as its argument.
    program: &'static str,
    install: fn(&Args, &Path, &[&str]) -> anyhow::Result<PathBuf>,
    packages: &'static [&'static str],
    /// Where the interpreter looks for them.
    variable: &'static str,
    /// Requests per second.
    rate_least: f64,
}

const PYTHON: Contest = Contest {
    runtime: Runtime::Python3,
    options: &["-s"],
    worker: "python/worker.py",
    arguments: &["http", "handler.handle"],
    handler: ("handler.py", include_str!("../../../templates/python3-http/function/handler.py")),
    server: "flask and waitress",
    program: include_str!("../../programs/flask_waitress.py"),
    install: packages::from_pypi,
    packages: &["flask==3.1.3", "waitress==3.0.2"],
    variable: "PYTHONPATH",
    rate_least: 10_000.0,
};
const NODE: Contest = Contest {
    runtime: Runtime::Node,
    options: &[],
    worker: "node/worker.js",
    arguments: &["handler.js"],
    handler: ("handler.js", include_str!("../../../templates/node/function/handler.js")),
    server: "express",
    program: include_str!("../../programs/express.js"),
    install: packages::from_npm,
    packages: &["express@4.22.3"],
    variable: "NODE_PATH",
    rate_least: 12_000.0,
};

pub(crate) fn python(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    PYTHON.run(args, report)
}

pub(crate) fn node(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    NODE.run(args, report)
}

impl Contest {
    fn run(&self, args: &Args, report: &mut Report) -> anyhow::Result<()> {
        let Some(wrk) = Wrk::find(CONNECTIONS, args.load_time()) else {
            report.skip("all", "wrk is absent: apt-get install wrk");
            return Ok(());
        };
        let Some(interpreter) = interpreter(self.runtime) else {
            report.skip("all", "its interpreter is not installed");
            return Ok(());
        };
        let function = Function::new(self.handler.0, self.handler.1)?;
        let ours = self.start_ours(args, &interpreter.program, &function)?;
        let handler = *process::children(ours.pid())?.first().context("the watchdog has no worker")?;
        let watched = [ours.pid(), handler];
        warm_up(&wrk, &ours.url)?;
        let ours = || runs::load(&wrk, &ours.url, &watched);
        // Without the reference the bound holds all the same.
        match self.start_theirs(args, &interpreter.program, &function) {
            Ok(theirs) => {
                warm_up(&wrk, &theirs.url)?;
                let theirs = || runs::load(&wrk, &theirs.url, &[theirs.server.pid()]);
                let [theirs, ours] = in_turns([&theirs, &ours])?;
                self.print(&ours, Some(&theirs), report);
            }
            Err(error) => {
                report.skip(self.server, &format!("{error:#}"));
                let [ours] = in_turns([&ours])?;
                self.print(&ours, None, report);
            }
        }
        Ok(())
    }

    fn start_ours(&self, args: &Args, program: &Path, function: &Function) -> anyhow::Result<Watchdog> {
        let process = function.process(program, self.options, self.worker, self.arguments)?;
        let variables = [("mode", "worker"), ("worker_count", "1"), ("fprocess", &process)];
        Watchdog::start(args, &variables, &function.folder())
    }

    fn start_theirs(&self, args: &Args, program: &Path, function: &Function) -> anyhow::Result<Theirs> {
        let packages = (self.install)(args, program, self.packages)?;
        let (port, file) = (free_port()?, function.add("server", self.program)?);
        let mut command = as_handler(program);
        command.args(self.options).arg(file).arg(port.to_string()).env(self.variable, packages);
        // It warns of each queue; whoever runs it so has no use for that.
        let mut server = Server::start(command.current_dir(function.folder()).stderr(Stdio::null()))?;
        let up = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        let is_up = wait_for(self.server, || {
            let is_up = up();
            (is_up || server.has_ended()).then_some(is_up)
        });
        is_up
            .then_some(Theirs { server, url: format!("http://127.0.0.1:{port}/") })
            .context("it does not start")
    }

    fn print(&self, ours: &Runs, theirs: Option<&Runs>, report: &mut Report) {
        let rate = |runs: &Runs| format!("{:.0}", runs.per_second());
        let mut beside = ours.latency();
        if let Some(theirs) = theirs {
            let row = Row::new(format!("{}, requests per second", self.server), rate(theirs));
            report.add(&row.beside(format!("{}; {CONNECTIONS} connections", theirs.latency())));
            beside = format!("{:.2} × {}, {beside}", ours.rate_ratio(theirs), self.server);
        }
        let row = Row::new("worker, requests per second", rate(ours)).beside(beside);
        let met = ours.per_second() >= self.rate_least;
        report.add(&row.gate(format!("≥ {:.0} per second", self.rate_least), met));
        let row = Row::new("watchdog, CPU per request", microseconds(ours.used(0).own));
        let theirs = theirs.map(|theirs| format!("; {} {}", self.server, microseconds(theirs.used(0).own)));
        let worker = microseconds(ours.used(1).own);
        report.add(&row.beside(format!("the worker {worker}{}", theirs.unwrap_or_default())));
    }
}

/// The language's usual server.
struct Theirs {
    server: Server,
    url: String,
}
