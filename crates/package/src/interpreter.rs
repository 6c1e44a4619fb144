//! Finds the real executable of an interpreter, once.
//!
//! A version manager's shim is a script (or a program under another name) that costs 0.2 s a start; here it is asked
//! once which interpreter it would run. An executable that says its version by its name, as Python's do, is not run
//! at all.
//!
//! Shape: a runtime and a search path in; program, version and what a sandbox must let it read out. Results are the
//! caller's to keep. A program that answers nonsense is passed over; one that never answers is waited for.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Runtime;

mod readable;

#[cfg(test)]
mod tests;

/// An interpreter of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// The executable; of a virtual environment, the environment's own.
    pub program: PathBuf,
    /// As [`Requires`](crate::Requires) names it: Python's minor version `3.11`, Node's major `20`, empty for bash.
    pub version: String,
    /// What a sandbox must let it read and execute besides `/usr`, `/lib`, `/lib64` and `/bin`. Files and folders that
    /// exist, as narrow as possible: never a home folder or `.local` as a whole.
    pub readable: Vec<PathBuf>,
}

/// No interpreter for a runtime.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no {program} found for runtime {runtime}: looked for an executable {program} in {}", searched.display())]
pub struct NotFound {
    /// Whose interpreter.
    pub runtime: Runtime,
    /// The name looked for.
    pub program: &'static str,
    /// The search path.
    pub searched: OsString,
}

/// How to find one interpreter.
struct Kind {
    runtime: Runtime,
    /// The name on the search path.
    program: &'static str,
    /// What an executable's real name starts with; others are launchers, and asked.
    prefix: &'static str,
    /// Arguments that print the executable's path and the version on two lines.
    question: &'static [&'static str],
}

const PYTHON: Kind = Kind {
    runtime: Runtime::Python3,
    program: "python3",
    prefix: "python",
    question: &["-c", "import sys; print(sys.executable); print('%d.%d' % sys.version_info[:2])"],
};
const NODE: Kind = Kind {
    runtime: Runtime::Node,
    program: "node",
    prefix: "node",
    question: &["-e", "console.log(process.execPath + '\\n' + process.versions.node.split('.')[0])"],
};
const BASH: Kind = Kind {
    runtime: Runtime::Bash,
    program: "bash",
    prefix: "bash",
    question: &["-c", "echo \"$BASH\"; echo"],
};

/// Finds the interpreter of `runtime` in the folders of `search_path` (as in PATH). None: the runtime needs none.
pub fn resolve(runtime: Runtime, search_path: &OsStr) -> Result<Option<Interpreter>, NotFound> {
    let kind = match runtime {
        Runtime::Python3 => &PYTHON,
        Runtime::Node => &NODE,
        Runtime::Bash => &BASH,
        Runtime::Binary => return Ok(None),
    };
    let missing = || NotFound { runtime, program: kind.program, searched: search_path.to_owned() };
    std::env::split_paths(search_path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(kind.program))
        .filter(|path| is_executable(path))
        .find_map(|path| kind.examine(&path))
        .map(Some)
        .ok_or_else(missing)
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

impl Kind {
    /// What the search path's `hit` is, or nothing if it is no working interpreter.
    fn examine(&self, hit: &Path) -> Option<Interpreter> {
        let real = hit.canonicalize().ok()?;
        if self.is_real(&real) {
            return self.describe(hit, &real);
        }
        let (program, version) = self.ask(hit)?;
        let real = program.canonicalize().ok()?;
        let program = program_to_run(&program, &real);
        Some(Interpreter {
            readable: readable::of(self.runtime, &program, &real, &version),
            program,
            version,
        })
    }

    fn describe(&self, hit: &Path, real: &Path) -> Option<Interpreter> {
        let program = program_to_run(hit, real);
        let version = match self.version_by_name(real) {
            Some(version) => version,
            None => self.ask(&program)?.1,
        };
        Some(Interpreter { readable: readable::of(self.runtime, &program, real, &version), program, version })
    }

    /// An ELF executable under the interpreter's own name: `volta-shim` and `mise` are executables too.
    fn is_real(&self, real: &Path) -> bool {
        let named =
            real.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with(self.prefix));
        let mut magic = [0; 4];
        named
            && File::open(real).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
            && magic == *b"\x7fELF"
    }

    /// `python3.11` is 3.11; bash has no version that matters.
    fn version_by_name(&self, real: &Path) -> Option<String> {
        match self.runtime {
            Runtime::Bash => Some(String::new()),
            Runtime::Python3 => {
                let version = real.file_name()?.to_str()?.strip_prefix("python")?;
                let (major, minor) = version.split_once('.')?;
                let numeric = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                (numeric(major) && numeric(minor)).then(|| version.to_owned())
            }
            Runtime::Node | Runtime::Binary => None,
        }
    }

    /// Runs `program` and reads which executable it is, and its version.
    fn ask(&self, program: &Path) -> Option<(PathBuf, String)> {
        let output = Command::new(program)
            .args(self.question)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let mut lines = text.lines();
        let executable = PathBuf::from(lines.next()?);
        let version = lines.next().unwrap_or_default().trim().to_owned();
        (output.status.success() && is_executable(&executable)).then_some((executable, version))
    }
}

/// A virtual environment is known by the path under which Python is started; all else is run under its real path.
fn program_to_run(path: &Path, real: &Path) -> PathBuf {
    if virtual_environment(path).is_some() { path.to_owned() } else { real.to_owned() }
}

/// The folder with `pyvenv.cfg` above `bin/python3`.
fn virtual_environment(program: &Path) -> Option<&Path> {
    let folder = program.parent()?.parent()?;
    fs::exists(folder.join("pyvenv.cfg")).unwrap_or(false).then_some(folder)
}
