//! An unpacked package with its runtime, as `faas serve` lays it out; watchdogs are started in it.

use std::ffi::OsStr;
use std::path::Path;

use faas_package::{Layout, Manifest, RunPlan, Runtime, Signature, resolve, run_plan, runtime_files};
use tempfile::TempDir;

use crate::harness::Watchdog;

/// A handler folder, dependencies, runtimes, and how to run it all; in a folder whose path has a space.
pub(crate) struct Function {
    /// `function`, `deps`, `runtimes` and `scratch`; room for whatever a handler writes.
    pub(crate) home: TempDir,
    plan: RunPlan,
}

impl Function {
    /// None, and a word about it, where the interpreter is absent.
    pub(crate) fn new(
        manifest: &Manifest,
        files: &[(&str, &str)],
        dependencies: &[(&str, &str)],
    ) -> Option<Self> {
        let interpreter = match resolve(manifest.runtime, OsStr::new("/usr/bin:/bin")) {
            Ok(interpreter) => interpreter,
            Err(absent) => return skip(&absent.to_string()),
        };
        let home = tempfile::Builder::new().prefix("faas ").tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        write(&path("function"), files);
        // As `pack` has it: node looks beside and above the handler only.
        let deps = if manifest.runtime == Runtime::Node { "function" } else { "deps" };
        write(&path(deps), dependencies);
        write(&path("runtimes"), runtime_files());
        write(&path("scratch"), &[]);
        let layout =
            Layout { package: home.path(), runtimes: &path("runtimes"), scratch: Some(&path("scratch")) };
        let plan = run_plan(manifest, interpreter.as_ref(), &layout);
        Some(Self { home, plan })
    }

    /// `handle` in `handler.py`.
    pub(crate) fn python(signature: Signature, handler: &str) -> Option<Self> {
        let manifest = Manifest::new(Runtime::Python3, signature, "handler.handle");
        Self::new(&manifest, &[("handler.py", handler)], &[])
    }

    /// What `handler.js` exports.
    pub(crate) fn node(handler: &str) -> Option<Self> {
        let manifest = Manifest::new(Runtime::Node, Signature::Http, "handler");
        Self::new(&manifest, &[("handler.js", handler)], &[])
    }

    /// A watchdog that has loaded the handler.
    pub(crate) fn ready(&self, variables: &[(&str, &str)]) -> Watchdog {
        self.run(variables, Watchdog::ready)
    }

    /// A watchdog that is not waited for.
    pub(crate) fn supervised(&self, variables: &[(&str, &str)]) -> Watchdog {
        self.run(variables, Watchdog::supervised)
    }

    /// The last of several settings of a variable holds.
    fn run(
        &self,
        variables: &[(&str, &str)],
        start: impl Fn(&[(&str, &str)], &[&str]) -> Watchdog,
    ) -> Watchdog {
        let fprocess = self.plan.fprocess();
        let planned = self.plan.environment.iter();
        let mut all: Vec<(&str, &str)> =
            planned.map(|(name, value)| (name.to_str().unwrap(), value.to_str().unwrap())).collect();
        all.extend([("mode", self.plan.mode.as_str()), ("fprocess", fprocess.to_str().unwrap())]);
        all.extend(&self.plan.defaults);
        all.extend(variables);
        start(&all, &["--directory", self.plan.working_directory.to_str().unwrap()])
    }
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skip<T>(reason: &str) -> Option<T> {
    eprintln!("skipped: {reason}");
    None
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    std::fs::create_dir_all(folder).unwrap();
    for (name, content) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}
