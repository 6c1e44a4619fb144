//! What a sandbox must let an interpreter read: its executable and its libraries, nothing that is also somebody's home.

use std::fs;
use std::path::{Path, PathBuf};

use super::virtual_environment;
use crate::Runtime;

/// Folders that every handler may read.
const SYSTEM: [&str; 4] = ["/usr", "/lib", "/lib64", "/bin"];

/// Files in a folder by which it is a person's, not an interpreter's.
const PERSONAL: [&str; 6] = [".bashrc", ".config", ".local", ".profile", ".ssh", ".zshrc"];

/// See [`Interpreter::readable`](super::Interpreter::readable). `real` is what `program` links to.
pub(super) fn of(runtime: Runtime, program: &Path, real: &Path, version: &str) -> Vec<PathBuf> {
    let mut paths = vec![real.to_owned()];
    if runtime == Runtime::Python3 {
        if let Some(environment) = virtual_environment(program) {
            paths.push(environment.join("pyvenv.cfg"));
            paths.push(environment.join("lib"));
            paths.push(environment.join("lib64"));
        }
        // Debian's own start-up module is a link to a file there.
        paths.push(format!("/etc/python{version}").into());
        if let Some(prefix) = real.parent().and_then(Path::parent) {
            paths.extend(libraries(prefix, version));
        }
    }
    let mut paths: Vec<PathBuf> = paths.iter().filter_map(|path| path.canonicalize().ok()).collect();
    paths.retain(|path| !SYSTEM.iter().any(|system| path.starts_with(system)));
    paths.sort();
    paths.dedup();
    paths
}

/// The libraries of the Python at `prefix`. As a whole when the folder is Python's alone (conda and pyenv keep shared
/// objects beside the modules); else only what bears Python's name.
fn libraries(prefix: &Path, version: &str) -> Vec<PathBuf> {
    let library = prefix.join("lib");
    let modules = library.join(format!("python{version}"));
    if modules.is_dir() && !is_personal(prefix) {
        return vec![library, prefix.join("lib64").join(format!("python{version}"))];
    }
    let shared = fs::read_dir(&library).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_python = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("libpython"))
    };
    let mut paths: Vec<PathBuf> = shared.filter(is_python).collect();
    paths.push(modules);
    paths
}

fn is_personal(prefix: &Path) -> bool {
    prefix.parent().is_none()
        || prefix.file_name().is_some_and(|name| name == ".local")
        || PERSONAL.iter().any(|name| fs::exists(prefix.join(name)).unwrap_or(true))
}
