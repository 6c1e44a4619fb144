//! References that pip and npm install, once and kept in the user's cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::args::Args;
use crate::child::find;

/// Installs with pip, for this interpreter; the folder for PYTHONPATH.
pub(crate) fn from_pypi(args: &Args, python: &Path, packages: &[&str]) -> anyhow::Result<PathBuf> {
    kept(args, &name(python, packages), |folder| {
        let mut command = Command::new(python);
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
        command.arg(folder).args(packages);
        command
    })
}

/// Installs with npm; the folder for `NODE_PATH`.
pub(crate) fn from_npm(args: &Args, node: &Path, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let npm = find("npm").context("npm is absent: apt-get install npm")?;
    let folder = kept(args, &name(node, packages), |folder| {
        let mut command = Command::new(npm);
        command
            .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
            .arg(folder)
            .args(packages);
        command
    })?;
    Ok(folder.join("node_modules"))
}

/// Another interpreter or version is another folder.
fn name(interpreter: &Path, packages: &[&str]) -> String {
    let interpreter = interpreter.file_name().unwrap_or_default().to_string_lossy().into_owned();
    [&[interpreter.as_str()], packages].concat().join("-").replace('/', "_")
}

/// The folder of that name, filled by a command if it is not there yet; a half-filled one never gets the name.
fn kept(args: &Args, name: &str, fill: impl FnOnce(&Path) -> Command) -> anyhow::Result<PathBuf> {
    let cache = args.cache_home.clone().or_else(|| Some(std::env::home_dir()?.join(".cache")));
    let root = cache.context("there is no home folder to keep packages in")?.join("faas/bench");
    let folder = root.join(name);
    if !folder.is_dir() {
        fs::create_dir_all(&root)?;
        let new = tempfile::tempdir_in(&root)?;
        run(&mut fill(new.path()))?;
        fs::rename(new.keep(), &folder).with_context(|| format!("failed to make {}", folder.display()))?;
    }
    Ok(folder)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("failed to run {program}"))?;
    let why = String::from_utf8_lossy(&output.stderr);
    let why = why.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it did not say why");
    ensure!(output.status.success(), "{program} could not install: {why}");
    Ok(())
}
