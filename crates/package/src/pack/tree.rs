//! The files below a folder, under the names that they get in a package.
//!
//! Left out of a handler folder: at its top `build` and `template` (as OpenFaaS does), `node_modules` (installed by
//! the build), `.secrets` and `.env` (a developer's own credentials must not become part of a package); at any depth
//! `.git`, `__pycache__` and `*.pyc`.

use std::fs::{self, Metadata};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Error;
use crate::{MAX_ENTRIES, MAX_NAME_BYTES, MAX_NAME_PARTS};

const SKIPPED_AT_TOP: [&str; 5] = ["build", "template", "node_modules", ".secrets", ".env"];
const SKIPPED: [&str; 2] = [".git", "__pycache__"];

/// A file to pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its path in the package.
    pub(crate) name: String,
    /// Where it is read.
    pub(crate) path: PathBuf,
    /// Whether its owner may run it.
    pub(crate) executable: bool,
}

/// What is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skip {
    /// See the module's page.
    HandlerFolder,
    /// Everything is packed.
    Nothing,
}

/// Lists the files below `root`, each under `prefix`, in no order that means anything.
pub(crate) fn list(root: &Path, prefix: &str, skip: Skip) -> Result<Vec<Entry>, Error> {
    let real = root.canonicalize().map_err(Error::io("read", root))?;
    let mut walk = Walk { root: real.clone(), skip, above: vec![real], entries: Vec::new() };
    walk.folder(root, prefix, true)?;
    Ok(walk.entries)
}

struct Walk {
    root: PathBuf,
    skip: Skip,
    /// Real paths of the folders that we are in: a link to one of them would never end.
    above: Vec<PathBuf>,
    entries: Vec<Entry>,
}

impl Walk {
    fn folder(&mut self, folder: &Path, prefix: &str, top: bool) -> Result<(), Error> {
        for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
            let path = entry.map_err(Error::io("read", folder))?.path();
            let name = checked_name(&path)?;
            if !self.skips(name, top) {
                self.file(&path, format!("{prefix}/{name}"))?;
            }
        }
        Ok(())
    }

    fn skips(&self, name: &str, top: bool) -> bool {
        let byte_code = Path::new(name).extension().is_some_and(|extension| extension == "pyc");
        self.skip == Skip::HandlerFolder
            && (byte_code || SKIPPED.contains(&name) || (top && SKIPPED_AT_TOP.contains(&name)))
    }

    fn file(&mut self, path: &Path, name: String) -> Result<(), Error> {
        if name.len() > MAX_NAME_BYTES {
            return Err(Error::Name { path: path.to_owned(), problem: "its path is too long" });
        }
        if name.split('/').count() > MAX_NAME_PARTS {
            return Err(Error::Name { path: path.to_owned(), problem: "it is in too many folders" });
        }
        let own = path.symlink_metadata().map_err(Error::io("read", path))?;
        if own.is_symlink() {
            self.link(path, name)
        } else if own.is_dir() {
            self.inner_folder(path, &name)
        } else {
            self.push(path, name, &own)
        }
    }

    fn link(&mut self, path: &Path, name: String) -> Result<(), Error> {
        let refuse = |problem| Error::Link { path: path.to_owned(), problem };
        let target = fs::read_link(path).map_err(Error::io("read", path))?;
        let real = path.canonicalize().map_err(|_| refuse(format!("to {}: not found", target.display())))?;
        if !real.starts_with(&self.root) {
            return Err(refuse(format!("to {}, outside {}", target.display(), self.root.display())));
        }
        let metadata = real.metadata().map_err(Error::io("read", path))?;
        if !metadata.is_dir() {
            return self.push(path, name, &metadata);
        }
        if self.above.contains(&real) {
            return Err(refuse(format!("to {}, which it is in", target.display())));
        }
        self.inner_folder(path, &name)
    }

    fn inner_folder(&mut self, path: &Path, name: &str) -> Result<(), Error> {
        self.above.push(path.canonicalize().map_err(Error::io("read", path))?);
        self.folder(path, name, false)?;
        self.above.pop();
        Ok(())
    }

    fn push(&mut self, path: &Path, name: String, metadata: &Metadata) -> Result<(), Error> {
        if !metadata.is_file() {
            let problem = "it is neither a file nor a folder";
            return Err(Error::Name { path: path.to_owned(), problem });
        }
        // Here already, because links to folders can multiply files.
        if self.entries.len() >= MAX_ENTRIES {
            return Err(Error::TooLarge(format!("more than {MAX_ENTRIES} files, which is the limit")));
        }
        let executable = metadata.permissions().mode() & 0o100 != 0;
        self.entries.push(Entry { name, path: path.to_owned(), executable });
        Ok(())
    }
}

/// The last part of `path`, if a package can hold it: what [`unpack`](crate::unpack) refuses is not packed.
fn checked_name(path: &Path) -> Result<&str, Error> {
    let refuse = |problem| Error::Name { path: path.to_owned(), problem };
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| refuse("its name is not UTF-8"))?;
    if name.contains('\\') {
        return Err(refuse("its name has a backslash"));
    }
    Ok(name)
}
