//! Installs what a handler asks for: `requirements.txt` with pip, `package.json` with npm.
//!
//! Owns the commands, the cache, and making two installations of the same requirements equal in every byte (as far
//! as the packages themselves allow). It resolves nothing itself and has no network of its own. The tools inherit our
//! environment, so `PIP_FIND_LINKS`, `PIP_INDEX_URL`, `npm_config_registry` and proxies hold.
//!
//! The cache is a folder per sha256 of the requirement files, interpreter version and platform. It is trusted, like
//! pip's own. Requirements that name local files are installed anew each time: their bytes say nothing about those.
//! An installation appears in the cache complete or not at all; two builds may run at once.
//!
//! npm runs with its own defaults, install scripts included, as native modules need them; `.npmrc` with
//! `ignore-scripts=true` is respected.
//!
//! Errors: what the tool said is passed up whole. Bounds: the tool's output is held in memory.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use faas_api::Digest;
use sha2::{Digest as _, Sha256};

use crate::pack::{Skip, list};
use crate::{Interpreter, Requires, Runtime, platform};

mod node;
mod normalise;
mod python;
mod tool;

#[cfg(test)]
mod tests;

/// Changes when the same requirements no longer give the same bytes.
const CACHE_VERSION: &str = "1";

/// What to install, with what, and where to.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Decides between pip and npm; other runtimes have no dependencies.
    pub runtime: Runtime,
    /// The handler folder with `requirements.txt` or `package.json`.
    pub handler: &'a Path,
    /// What [`resolve`](crate::resolve) found for the runtime.
    pub interpreter: &'a Interpreter,
    /// Where npm is looked for when it is not beside node, as in PATH.
    pub search_path: &'a OsStr,
    /// The cache, made when absent.
    pub cache: &'a Path,
    /// Install even what the cache holds.
    pub fresh: bool,
}

/// Installed dependencies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The folder for [`Source::dependencies`](crate::Source), inside the cache. Not to be changed.
    pub folder: PathBuf,
    /// For [`Manifest::requires`](crate::Manifest), when there are compiled parts.
    pub requires: Option<Requires>,
}

/// Why dependencies were not installed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("failed to {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
    /// The tool is not there.
    #[error("no npm found beside {} or in {searched}: it installs what package.json asks for", node.display())]
    NoNpm {
        /// The interpreter.
        node: PathBuf,
        /// The search path.
        searched: String,
    },
    /// The tool could not be started.
    #[error("failed to run {command}")]
    Start {
        /// The command line.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// The tool failed.
    #[error("failed to install {file}: {command} ended with {status}\n{output}")]
    Failed {
        /// `requirements.txt` or `package.json`.
        file: &'static str,
        /// The command line.
        command: String,
        /// `exit status: 1`.
        status: String,
        /// All that it printed.
        output: String,
    },
    /// `package.json` is not JSON.
    #[error("{} is not valid", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line and column.
        source: serde_json::Error,
    },
    /// What was installed cannot be packed.
    #[error("the installed dependencies cannot be packed")]
    Listing(#[source] crate::PackError),
}

impl Error {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// The requirement files of a handler.
struct Requirements {
    /// The files' names and bytes, in a fixed order.
    files: Vec<(&'static str, Vec<u8>)>,
    /// Whether other local files decide too.
    local: bool,
}

/// Whether the handler asks for anything: only then is an interpreter to be looked for.
pub fn needs_installation(runtime: Runtime, handler: &Path) -> Result<bool, Error> {
    Ok(requirements(runtime, handler)?.is_some())
}

fn requirements(runtime: Runtime, handler: &Path) -> Result<Option<Requirements>, Error> {
    match runtime {
        Runtime::Python3 => python::requirements(handler),
        Runtime::Node => node::requirements(handler),
        Runtime::Bash | Runtime::Binary => Ok(None),
    }
}

/// Installs the handler's dependencies, or finds them in the cache. None: it asks for nothing. `progress` gets a line
/// when work starts and each line that the tool prints.
pub fn install(request: &Request<'_>, progress: &mut dyn FnMut(&str)) -> Result<Option<Installed>, Error> {
    let Some(requirements) = requirements(request.runtime, request.handler)? else { return Ok(None) };
    let folder = request.cache.join(key(request, &requirements).hex());
    if request.fresh || requirements.local || !folder.is_dir() {
        fill_cache(request, &requirements, &folder, progress)?;
    }
    let requires = compiled(request, &folder)?;
    Ok(Some(Installed { folder, requires }))
}

fn key(request: &Request<'_>, requirements: &Requirements) -> Digest {
    let mut hasher = Sha256::new();
    let mut add = |part: &[u8]| {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    };
    for part in [CACHE_VERSION, request.runtime.as_str(), &request.interpreter.version, &platform()] {
        add(part.as_bytes());
    }
    if requirements.local {
        // Another folder's files of the same names are other files.
        add(request.handler.as_os_str().as_encoded_bytes());
    }
    for (name, bytes) in &requirements.files {
        add(name.as_bytes());
        add(bytes);
    }
    Digest::from_bytes(&hasher.finalize().into())
}

fn fill_cache(
    request: &Request<'_>,
    requirements: &Requirements,
    folder: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<(), Error> {
    fs::create_dir_all(request.cache).map_err(Error::io("make", request.cache))?;
    let temporary = tempfile::Builder::new()
        .prefix(".install-")
        .tempdir_in(request.cache)
        .map_err(Error::io("write to", request.cache))?;
    let target = temporary.path().join("new");
    fs::create_dir(&target).map_err(Error::io("make", &target))?;
    if request.runtime == Runtime::Python3 {
        python::install(request, &target, progress)?;
    } else {
        node::install(request, requirements, temporary.path(), &target, progress)?;
    }
    if folder.is_dir() {
        // Moved aside, not deleted: the guard deletes it after the new one is in its place.
        let old = temporary.path().join("old");
        fs::rename(folder, &old).map_err(Error::io("replace", folder))?;
    }
    match fs::rename(&target, folder) {
        // Another build was quicker with the same requirements.
        Err(_) if folder.is_dir() => Ok(()),
        other => other.map_err(Error::io("write", folder)),
    }
}

/// What the installed compiled parts were built for, if there are any.
fn compiled(request: &Request<'_>, folder: &Path) -> Result<Option<Requires>, Error> {
    let entries = list(folder, "", Skip::Nothing).map_err(Error::Listing)?;
    let is_compiled = |name: &str| {
        let extension = Path::new(name).extension().unwrap_or_default();
        // libx.so.1 is one too.
        extension == "so"
            || extension == "node"
            || name.rsplit('/').next().is_some_and(|file| file.contains(".so."))
    };
    if !entries.iter().any(|entry| is_compiled(&entry.name)) {
        return Ok(None);
    }
    let version = Some(request.interpreter.version.clone());
    let (python, node) = if request.runtime == Runtime::Node { (None, version) } else { (version, None) };
    Ok(Some(Requires { python, node, platform: Some(platform()) }))
}
