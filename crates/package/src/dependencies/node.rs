//! `package.json` with npm, in a copy: the handler folder is not written to.
//!
//! The result holds `node_modules`, which [`pack`](crate::pack()) puts beside the handler, where `require` and
//! `import` find it without a search path.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Error, Request, Requirements, normalise, tool};
use crate::pack::{Skip, list};

const FILE: &str = "package.json";
/// npm takes the first of them that is there.
const LOCKS: [&str; 2] = ["npm-shrinkwrap.json", "package-lock.json"];
const KINDS: [&str; 2] = ["dependencies", "optionalDependencies"];

/// None when there is no file or it asks for nothing.
pub(super) fn requirements(handler: &Path) -> Result<Option<Requirements>, Error> {
    let Some(bytes) = read(handler, FILE)? else { return Ok(None) };
    let package: Value = serde_json::from_slice(&bytes)
        .map_err(|source| Error::Syntax { path: handler.join(FILE), source })?;
    let wanted = || KINDS.iter().filter_map(|kind| package.get(kind)?.as_object()).flatten();
    if wanted().next().is_none() {
        return Ok(None);
    }
    let local = wanted().any(|(_, version)| version.as_str().is_some_and(is_local));
    let mut files = vec![(FILE, bytes)];
    for name in LOCKS.into_iter().chain([".npmrc"]) {
        files.extend(read(handler, name)?.map(|bytes| (name, bytes)));
    }
    Ok(Some(Requirements { files, local }))
}

fn is_local(version: &str) -> bool {
    ["file:", "link:", "./", "../", "/", "~/"].iter().any(|start| version.starts_with(start))
}

fn read(handler: &Path, name: &str) -> Result<Option<Vec<u8>>, Error> {
    let path = handler.join(name);
    match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some).map_err(Error::io("read", &path)),
    }
}

pub(super) fn install(
    request: &Request<'_>,
    requirements: &Requirements,
    temporary: &Path,
    target: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<(), Error> {
    let npm = find_npm(request)?;
    progress("Installing package.json with npm");
    let copy = temporary.join("copy");
    copy_handler(request.handler, &copy)?;
    let locked = requirements.files.iter().any(|(name, _)| LOCKS.contains(name));
    let mut command = Command::new(&request.interpreter.program);
    command
        .arg(npm)
        .arg(if locked { "ci" } else { "install" })
        // Packages in a folder are copied, not linked: a link would leave the package.
        .args(["--omit=dev", "--no-audit", "--no-fund", "--install-links"])
        .current_dir(&copy);
    tool::run(FILE, &mut command, progress)?;
    let installed = copy.join("node_modules");
    if installed.is_dir() {
        replace_links(&installed, &copy)?;
        normalise::node(&installed).map_err(Error::io("tidy", &installed))?;
        fs::rename(&installed, target.join("node_modules")).map_err(Error::io("move", &installed))?;
    }
    Ok(())
}

/// npm's script, to be run by the very node that will run the function.
fn find_npm(request: &Request<'_>) -> Result<PathBuf, Error> {
    let beside = request.interpreter.program.parent().map(Path::to_owned);
    let folders = beside.into_iter().chain(std::env::split_paths(request.search_path));
    let script = |folder: PathBuf| {
        let real = folder.join("npm").canonicalize().ok()?;
        real.extension().is_some_and(|extension| extension == "js").then_some(real)
    };
    folders.into_iter().find_map(script).ok_or_else(|| Error::NoNpm {
        node: request.interpreter.program.clone(),
        searched: request.search_path.to_string_lossy().into_owned(),
    })
}

fn copy_handler(handler: &Path, copy: &Path) -> Result<(), Error> {
    copy_files(handler, copy, Skip::HandlerFolder)
}

fn copy_files(from: &Path, to: &Path, skip: Skip) -> Result<(), Error> {
    fs::create_dir(to).map_err(Error::io("make", to))?;
    for entry in list(from, "", skip).map_err(Error::Listing)? {
        let path = to.join(entry.name.trim_start_matches('/'));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::io("make", folder))?;
        }
        fs::copy(&entry.path, &path).map_err(Error::io("copy", &entry.path))?;
    }
    Ok(())
}

/// npm links packages that are folders of the project (`file:./local`), `--install-links` or not; the links would lead
/// nowhere once `node_modules` is moved. Links to elsewhere stay, and packing names them.
fn replace_links(modules: &Path, project: &Path) -> Result<(), Error> {
    let project = project.canonicalize().map_err(Error::io("read", project))?;
    for entry in fs::read_dir(modules).map_err(Error::io("read", modules))? {
        let path = entry.map_err(Error::io("read", modules))?.path();
        let is_scope = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"@"));
        if is_scope && path.is_dir() {
            replace_links(&path, &project)?;
            continue;
        }
        match path.canonicalize() {
            Ok(real) if path.is_symlink() && real.is_dir() && real.starts_with(&project) => {
                fs::remove_file(&path).map_err(Error::io("replace", &path))?;
                copy_files(&real, &path, Skip::Nothing)?;
            }
            _ => {}
        }
    }
    Ok(())
}
