//! The handler's command: split as the peers split it, its program found once.
//!
//! The peers split at every single space and know no quotes. Ours may be quoted where that changes nothing: a command
//! that begins with a quote, and whose first word, quote and all, names no program. `quoting` says by which rules.
//!
//! An absolute program path keeps spawning on the fast way; looking in PATH for each request would also cost one
//! failed exec per folder.

mod quoting;

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

/// Why a command cannot be started.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Error {
    #[error("fprocess {name:?} was not found, or may not be executed, in {place}")]
    NotFound { name: String, place: String },
    #[error("fprocess {command:?}: the {quote} is never closed")]
    Unterminated { command: String, quote: char },
}

impl Program {
    /// Splits, and finds the program. Relative names are relative to `folder`.
    pub(crate) fn resolve(command: &str, search: Option<&str>, folder: &Path) -> Result<Self, Error> {
        let plain = command.split(' ').map(str::to_owned).collect();
        let find = |words| Self::find(words, search.unwrap_or(DEFAULT_PATH), folder);
        match find(plain) {
            Err(_) if command.starts_with(['\'', '"']) => find(quoting::split(command)?),
            found => found,
        }
    }

    fn find(words: Vec<String>, search: &str, folder: &Path) -> Result<Self, Error> {
        let mut words = words.into_iter();
        let name = words.next().unwrap_or_default();
        let path = find(&name, search, folder)?;
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

fn find(name: &str, search: &str, folder: &Path) -> Result<PathBuf, Error> {
    let (candidates, place): (Vec<PathBuf>, String) = if name.contains('/') {
        (vec![folder.join(name)], folder.display().to_string())
    } else {
        let folders = search.split(':').filter(|part| !part.is_empty());
        (folders.map(|part| folder.join(part).join(name)).collect(), format!("PATH {search}"))
    };
    let found = candidates.into_iter().find(|path| is_program(path));
    found.ok_or_else(|| Error::NotFound { name: name.to_owned(), place })
}

fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(command: &str) -> Result<Program, Error> {
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
    fn a_command_that_begins_with_a_quote_is_split_by_its_quotes() {
        let program = resolve("'sh' -c  'a b' ").unwrap();
        assert_eq!((program.name.as_str(), &program.arguments[..]), ("sh", &["-c".into(), "a b".into()][..]));
        assert_eq!(
            resolve("'/bin/sh").unwrap_err().to_string(),
            "fprocess \"'/bin/sh\": the ' is never closed"
        );
    }

    #[test]
    fn a_quote_in_the_name_of_a_program_keeps_its_meaning() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("'run'");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let program = Program::resolve("'run' 'a b'", folder.path().to_str(), Path::new("/")).unwrap();
        assert_eq!((program.path, &program.arguments[..]), (path, &["'a".into(), "b'".into()][..]));
    }

    #[test]
    fn what_is_missing_is_named() {
        let message = |command| resolve(command).unwrap_err().to_string();
        assert_eq!(
            message("nope -x"),
            "fprocess \"nope\" was not found, or may not be executed, in PATH /nonexistent:/bin"
        );
        assert_eq!(message("./nope"), "fprocess \"./nope\" was not found, or may not be executed, in /bin");
        assert!(message("'no pe' x").starts_with("fprocess \"no pe\" was not found"), "the quotes are read");
        assert!(resolve("").is_err() && resolve("''").is_err());
        assert!(resolve("/etc/passwd").is_err(), "not executable");
        assert!(resolve("/bin").is_err(), "a folder");
    }
}
