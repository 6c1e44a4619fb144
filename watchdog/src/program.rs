//! The handler's command: split as the peers split it, its program found once.
//!
//! An absolute program path keeps spawning on the fast way; looking in PATH for each request would also cost one
//! failed exec per folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{Access, access};

/// Where a program is looked for when PATH is not set.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A command that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    path: PathBuf,
    /// As the user wrote it: what the program sees as its own name.
    name: String,
    arguments: Vec<String>,
}

/// The program that a command names is not there.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("fprocess {name:?} was not found, or may not be executed, in {place}")]
pub(crate) struct NotFound {
    name: String,
    place: String,
}

impl Program {
    /// Splits on single spaces, without quoting, and finds the program. Relative names are relative to `folder`.
    pub(crate) fn resolve(command: &str, search: Option<&str>, folder: &Path) -> Result<Self, NotFound> {
        let mut words = command.split(' ').map(str::to_owned);
        let name = words.next().unwrap_or_default();
        let path = find(&name, search.unwrap_or(DEFAULT_PATH), folder)?;
        Ok(Self { path, name, arguments: words.collect() })
    }

    /// The command to spawn, without any pipes yet.
    pub(crate) fn command(&self) -> Command {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new(&self.path);
        command.arg0(&self.name).args(&self.arguments);
        command
    }
}

fn find(name: &str, search: &str, folder: &Path) -> Result<PathBuf, NotFound> {
    let (candidates, place): (Vec<PathBuf>, String) = if name.contains('/') {
        (vec![folder.join(name)], folder.display().to_string())
    } else {
        let folders = search.split(':').filter(|part| !part.is_empty());
        (folders.map(|part| folder.join(part).join(name)).collect(), format!("PATH {search}"))
    };
    let found = candidates.into_iter().find(|path| is_program(path));
    found.ok_or_else(|| NotFound { name: name.to_owned(), place })
}

fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(command: &str) -> Result<Program, NotFound> {
        Program::resolve(command, Some("/nonexistent:/bin"), Path::new("/bin"))
    }

    #[test]
    fn programs_are_found_by_name_and_by_path() {
        for (command, path) in [("sh", "/bin/sh"), ("/bin/sh", "/bin/sh"), ("./sh", "/bin/./sh")] {
            assert_eq!(resolve(command).unwrap().path, Path::new(path), "{command}");
        }
    }

    #[test]
    fn every_single_space_splits() {
        let program = resolve("sh -c  'a b' ").unwrap();
        assert_eq!(program.arguments, ["-c", "", "'a", "b'", ""]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let message = |command| resolve(command).unwrap_err().to_string();
        assert_eq!(
            message("nope -x"),
            "fprocess \"nope\" was not found, or may not be executed, in PATH /nonexistent:/bin"
        );
        assert_eq!(message("./nope"), "fprocess \"./nope\" was not found, or may not be executed, in /bin");
        assert!(resolve("").is_err());
        assert!(resolve("/etc/passwd").is_err(), "not executable");
        assert!(resolve("/bin").is_err(), "a folder");
    }
}
