//! What a developer waits for: from the start of `faas up` on a changed handler to the new code's first answer.
//!
//! As a developer does it: the command runs to its end, then the function is called until it answers with the new code;
//! the old replica answers until the new one is ready.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::ensure;
use faas_package::Runtime;
use faas_testing::Faas;

use crate::args::Args;
use crate::report::{Report, Row};
use crate::samples::{Samples, milliseconds};
use crate::world::{World, interpreter};

const ROUNDS: usize = 15;
const PYTHON_MOST: Duration = Duration::from_millis(300);
/// Far beyond any bound: a change that does not arrive ends the measure.
const PATIENCE: Duration = Duration::from_secs(20);

/// A language to measure.
struct Language {
    name: &'static str,
    runtime: Runtime,
    file: &'static str,
    /// The handler's source; `TOKEN` is what it answers.
    source: &'static str,
}

const LANGUAGES: [Language; 3] = [
    Language {
        name: "python3",
        runtime: Runtime::Python3,
        file: "handler.py",
        source: "def handle(req):\n    return \"TOKEN\"\n",
    },
    Language {
        name: "bash",
        runtime: Runtime::Bash,
        file: "handler.sh",
        source: "#!/bin/bash\necho TOKEN\n",
    },
    Language {
        name: "node",
        runtime: Runtime::Node,
        file: "handler.js",
        source: "module.exports = async (event, context) => context.succeed('TOKEN');\n",
    },
];

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let world = World::start();
    let cli = world.cli();
    for language in &LANGUAGES {
        language.measure(&world, &cli, args.rounds(ROUNDS), report)?;
    }
    Ok(())
}

impl Language {
    fn measure(&self, world: &World, cli: &Faas, rounds: usize, report: &mut Report) -> anyhow::Result<()> {
        if interpreter(self.runtime).is_none() {
            report.skip(self.name, "its interpreter is not installed");
            return Ok(());
        }
        let handler = world.create(cli, self.name, self.name).join(self.file);
        let (mut whole, mut command) = (Samples::default(), Samples::default());
        for round in 0..rounds {
            let token = format!("answer-{round}.");
            fs::write(&handler, self.source.replace("TOKEN", &token))?;
            let started = Instant::now();
            cli.run(&["up", "-f", &format!("{}.yml", self.name)]).success();
            command.push(started.elapsed());
            self.wait_for(&token, world)?;
            whole.push(started.elapsed());
        }
        let row = Row::new(self.name, milliseconds(whole.p50()));
        let beside = format!("{}; of it `faas up` {}", whole.spread(), milliseconds(command.p50()));
        let row = row.beside(beside);
        report.add(&if self.name == "python3" {
            row.gate(format!("≤ {}", milliseconds(PYTHON_MOST)), whole.p50() <= PYTHON_MOST)
        } else {
            row
        });
        // The next language has the machine to itself.
        world.to_zero([self.name])
    }

    fn wait_for(&self, token: &str, world: &World) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !world.invoke(self.name, b"")?.text().contains(token) {
            ensure!(Instant::now() < deadline, "{}: the changed handler never answered", self.name);
        }
        Ok(())
    }
}
