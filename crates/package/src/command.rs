//! How an unpacked package is run: the command and environment for the watchdog.
//!
//! A data folder or an interpreter may well have a space in its path. The watchdog splits `fprocess` on single spaces, as
//! its peers do, unless it begins with a quote: so [`RunPlan::fprocess`] quotes all words where one needs it.
//!
//! The handler's working directory is `function/`; the caller sets it, and everything else of the environment.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use crate::{FUNCTION, Interpreter, Manifest, Runtime, Signature};

#[cfg(test)]
mod tests;

/// Tells a binary that serves HTTP on which Unix socket to listen.
pub const HTTP_SOCKET_VARIABLE: &str = "FAAS_HTTP_SOCKET";

/// The watchdog's mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A process per request, standard input to standard output.
    Fork,
    /// A process that serves HTTP.
    Http,
    /// Processes that hold the handler and speak the worker protocol.
    Worker,
}

impl Mode {
    /// The word for the watchdog's variable `mode`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::Http => "http",
            Self::Worker => "worker",
        }
    }
}

/// Where things are on this machine.
#[derive(Debug, Clone, Copy)]
pub struct Layout<'a> {
    /// The unpacked package.
    pub package: &'a Path,
    /// Where [`runtime_files`](crate::runtime_files) were written.
    pub runtimes: &'a Path,
    /// A folder that only this replica writes to: Python keeps its byte code there. None: it keeps none.
    pub scratch: Option<&'a Path>,
}

/// How to run a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPlan {
    /// The watchdog's mode.
    pub mode: Mode,
    /// Absolute program and its arguments.
    pub command: Vec<OsString>,
    /// Variables of the handler beside those of the function.
    pub environment: Vec<(OsString, OsString)>,
    /// Variables that those of the function may change.
    pub defaults: Vec<(&'static str, &'static str)>,
    /// Where the handler runs: `function/` of the package.
    pub working_directory: PathBuf,
}

impl RunPlan {
    /// The watchdog's `fprocess`.
    pub fn fprocess(&self) -> OsString {
        let is_plain = |word: &OsString| {
            let bytes = word.as_encoded_bytes();
            !bytes.is_empty()
                && !bytes.contains(&b' ')
                && !bytes.starts_with(b"'")
                && !bytes.starts_with(b"\"")
        };
        if self.command.iter().all(is_plain) {
            return self.command.join(OsStr::new(" "));
        }
        self.command.iter().map(|word| quote(word)).collect::<Vec<_>>().join(OsStr::new(" "))
    }
}

/// In single quotes; a single quote in it stands in double ones.
fn quote(word: &OsStr) -> OsString {
    let mut quoted = vec![b'\''];
    for &byte in word.as_bytes() {
        match byte {
            b'\'' => quoted.extend(b"'\"'\"'"),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    OsString::from_vec(quoted)
}

/// Plans the start of a package. `interpreter` is what [`resolve`](crate::resolve) found for the manifest's runtime;
/// a binary needs none.
pub fn run_plan(manifest: &Manifest, interpreter: Option<&Interpreter>, layout: &Layout<'_>) -> RunPlan {
    let working_directory = layout.package.join(FUNCTION);
    let runtime = |file: &str| OsString::from(layout.runtimes.join(file));
    let handler = OsString::from(&manifest.handler);
    let mut command: Vec<OsString> = interpreter.iter().map(|found| found.program.clone().into()).collect();
    let mut environment = Vec::new();
    let mut defaults = Vec::new();
    match manifest.runtime {
        Runtime::Python3 => {
            environment.extend(python_options(&mut command, layout.scratch));
            let signature = manifest.signature.as_str().into();
            command.extend([runtime("python/worker.py"), signature, handler]);
            // The classic promise is a process per request.
            let isolation = if manifest.signature == Signature::Openfaas { "fork" } else { "worker" };
            defaults.push(("worker_isolation", isolation));
        }
        Runtime::Node => command.extend([runtime("node/worker.js"), handler]),
        Runtime::Bash | Runtime::Binary => command.push(working_directory.join(handler).into()),
    }
    RunPlan { mode: mode(manifest), command, environment, defaults, working_directory }
}

fn mode(manifest: &Manifest) -> Mode {
    match (manifest.runtime, manifest.signature) {
        (Runtime::Python3 | Runtime::Node, _) => Mode::Worker,
        (Runtime::Bash | Runtime::Binary, Signature::Http) => Mode::Http,
        (Runtime::Bash | Runtime::Binary, _) => Mode::Fork,
    }
}

/// The user's site-packages are no part of a package (`-s`); the function's own PYTHON* variables hold. Byte code goes to
/// the replica's own folder, so that only its first request compiles, or nowhere (`-B`).
fn python_options(command: &mut Vec<OsString>, scratch: Option<&Path>) -> Option<(OsString, OsString)> {
    command.push("-s".into());
    if scratch.is_none() {
        command.push("-B".into());
    }
    scratch.map(|scratch| ("FAAS_PYCACHE".into(), scratch.join("pycache").into()))
}
