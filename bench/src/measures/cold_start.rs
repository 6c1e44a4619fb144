//! What the first caller of a function at zero replicas waits for, beside the bare start of its interpreter.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use faas_package::{Manifest, Runtime, Signature};
use serde_json::json;

use crate::args::Args;
use crate::child::{as_handler, find};
use crate::report::{Report, Row};
use crate::samples::{Samples, milliseconds, timed};
use crate::world::{World, interpreter};

const ROUNDS: usize = 30;
const SHELL_MOST: Duration = Duration::from_millis(25);
/// Over the interpreter's own start.
const PYTHON_MORE: Duration = Duration::from_millis(30);

/// Copies standard input to standard output: a static program that starts as fast as any can.
const PROGRAM: &str = "#include <unistd.h>
int main(void) {
    static char buffer[65536];
    for (ssize_t count; (count = read(0, buffer, sizeof buffer)) > 0;)
        if (write(1, buffer, count) != count) return 1;
    return 0;
}
";

/// A language to measure.
struct Language {
    name: &'static str,
    runtime: Runtime,
    /// The interpreter, started for nothing.
    reference: &'static [&'static str],
}

const LANGUAGES: [Language; 4] = [
    Language { name: "bash", runtime: Runtime::Bash, reference: &["-c", ":"] },
    Language { name: "python3", runtime: Runtime::Python3, reference: &["-I", "-c", "pass"] },
    Language { name: "python3-http", runtime: Runtime::Python3, reference: &["-I", "-c", "pass"] },
    Language { name: "node", runtime: Runtime::Node, reference: &["-e", "0"] },
];

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let world = World::start();
    let rounds = args.rounds(ROUNDS);
    for language in &LANGUAGES {
        language.measure(&world, rounds, report)?;
    }
    binary(&world, rounds, report)
}

impl Language {
    fn measure(&self, world: &World, rounds: usize, report: &mut Report) -> anyhow::Result<()> {
        let Some(interpreter) = interpreter(self.runtime) else {
            report.skip(self.name, "its interpreter is not installed");
            return Ok(());
        };
        world.create(&world.cli(), self.name, self.name);
        let mut reference = Samples::default();
        let starts = starts(world, self.name, rounds, || {
            reference.push(start(&interpreter.program, self.reference)?);
            Ok(())
        })?;
        let command = format!("{} {}", interpreter.program.display(), self.reference.join(" "));
        let row = Row::new(self.name, milliseconds(starts.p50()));
        let row = row.beside(format!("{}; `{command}` {}", starts.spread(), milliseconds(reference.p50())));
        report.add(&match self.name {
            "bash" => row.gate(format!("≤ {}", milliseconds(SHELL_MOST)), starts.p50() <= SHELL_MOST),
            "python3" => {
                let most = reference.p50() + PYTHON_MORE;
                row.gate(format!("≤ {} (the interpreter + 30 ms)", milliseconds(most)), starts.p50() <= most)
            }
            _ => row,
        });
        Ok(())
    }
}

/// Times the first request after zero, again and again; `between` runs before each, when the machine is quiet.
fn starts(
    world: &World,
    name: &str,
    rounds: usize,
    mut between: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Samples> {
    let mut samples = Samples::default();
    for _ in 0..rounds {
        world.to_zero([name])?;
        between()?;
        let (answer, time) = timed(|| world.invoke(name, b"hello"));
        answer.with_context(|| format!("a cold start of {name}"))?;
        samples.push(time);
    }
    world.to_zero([name])?;
    Ok(samples)
}

/// From the start of a program to its end.
fn start(program: &Path, arguments: &[&str]) -> anyhow::Result<Duration> {
    let mut command = as_handler(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let (status, time) = timed(|| command.status());
    ensure!(status?.success(), "{} failed", program.display());
    Ok(time)
}

fn binary(world: &World, rounds: usize, report: &mut Report) -> anyhow::Result<()> {
    const NAME: &str = "static-binary";
    let folder = tempfile::tempdir()?;
    let Some(program) = compile(folder.path())? else {
        report.skip(NAME, "no C compiler and static libc here (apt-get install gcc libc6-dev)");
        return Ok(());
    };
    let package =
        world.upload(folder.path(), &Manifest::new(Runtime::Binary, Signature::Stdin, "handler"))?;
    world.deploy(NAME, &package, &json!({}))?;
    let mut reference = Samples::default();
    let starts = starts(world, NAME, rounds, || {
        reference.push(start(&program, &[])?);
        Ok(())
    })?;
    let row = Row::new(NAME, milliseconds(starts.p50()));
    let row = row.beside(format!("{}; the program alone {}", starts.spread(), milliseconds(reference.p50())));
    report.add(&row.aim(format!("≤ {}", milliseconds(SHELL_MOST)), starts.p50() <= SHELL_MOST));
    Ok(())
}

/// Makes `handler` in the folder; the source stays outside of it.
fn compile(folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    let Some(compiler) = find("cc") else { return Ok(None) };
    let source = tempfile::Builder::new().suffix(".c").tempfile()?;
    std::fs::write(source.path(), PROGRAM)?;
    let program = folder.join("handler");
    let mut command = Command::new(compiler);
    command.args(["-O2", "-static", "-o"]).arg(&program).arg(source.path());
    let output = command.output().context("failed to run the C compiler")?;
    Ok(output.status.success().then_some(program))
}
