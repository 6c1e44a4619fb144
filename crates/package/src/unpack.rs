//! From a stranger's package to a folder that a handler runs in, or a reason why not and nothing on disk.
//!
//! Owns every check on a package's bytes: its digest, that it is one whole zip whose two file tables agree, names,
//! kinds of files, sizes as they unpack (headers are not believed), the manifest, its entry point, and whether this
//! host has what compiled dependencies were built for. It refuses all links: [`pack`](crate::pack()) writes none.
//!
//! Shape of the result: `faas.json`, `function/`, `deps/`, files 0444 or 0555, folders 0555, so that a stray write of a
//! handler does not change what a digest names; [`remove`] deletes it again. Not synced to disk: a caller that does not
//! keep the zip syncs the folder before it relies on it.
//!
//! Errors: every variant but [`Error::Io`] is the sender's fault, one line, fit for the body of a 400.
//! Bounds: packed size, files and folders, the depth of folders, and the sum of unpacked bytes, see the crate's page;
//! memory is one chunk and the table.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use faas_api::Digest;
use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config};

use crate::digest::{CHUNK, digest_of};
use crate::{
    InvalidManifest, MANIFEST, MAX_PACKED_BYTES, MAX_UNPACKED_BYTES, Manifest, MissingEntryPoint, Requires,
    entry_point, platform,
};

mod table;

#[cfg(test)]
mod tests;

use table::Table;

/// The largest manifest that is read; ours have about 150 bytes.
const MAX_MANIFEST_BYTES: u64 = 64 << 10;

type Archive<'a> = ZipArchive<BufReader<&'a File>>;

/// What this machine has, for packages with compiled dependencies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// As in [`platform`](crate::platform).
    pub platform: String,
    /// Python's minor version, `3.11`, if there is Python.
    pub python: Option<String>,
    /// Node's major version, `20`, if there is Node.
    pub node: Option<String>,
}

impl Host {
    /// This machine's platform with these interpreters' versions.
    pub fn new(python: Option<String>, node: Option<String>) -> Self {
        Self { platform: platform(), python, node }
    }
}

/// Why a package was refused, or could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are not those that were named.
    #[error("the package's digest is {actual}, not {expected}")]
    Digest {
        /// The name it came with.
        expected: Digest,
        /// The name of its bytes.
        actual: Digest,
    },
    /// Over a bound.
    #[error("the package has {0}")]
    TooLarge(String),
    /// Cut short, or no zip.
    #[error("the package is not a complete zip: {0}")]
    Malformed(String),
    /// An entry that a package cannot hold.
    #[error("the package's entry {name:?} {problem}")]
    Entry {
        /// The entry as named.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No manifest.
    #[error("the package has no faas.json")]
    NoManifest,
    /// A manifest that we cannot run.
    #[error("the package's {0}")]
    Manifest(#[from] InvalidManifest),
    /// The manifest names a handler that is not there.
    #[error("in the package, {0}")]
    EntryPoint(#[from] MissingEntryPoint),
    /// Its compiled dependencies do not run here.
    #[error("the package's dependencies were compiled for {required}, this host has {found}")]
    Requires {
        /// What the manifest says.
        required: String,
        /// What [`Host`] says.
        found: String,
    },
    /// Our disk, not the package.
    #[error("failed to {action} {}", path.display())]
    Io {
        /// What was tried: `read`, `write`, `remove`.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
}

impl Error {
    /// Whether another package would have been accepted: a 400, not a 500.
    pub fn is_senders_fault(&self) -> bool {
        !matches!(self, Self::Io { .. })
    }

    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    fn malformed(error: impl std::fmt::Display) -> Self {
        Self::Malformed(error.to_string().replace('\n', " "))
    }
}

/// Checks the package named `expected` in the file `zip`, and unpacks it to `destination`, which does not exist yet and
/// whose folder does. It appears there complete or not at all.
pub fn unpack(zip: &Path, expected: &Digest, destination: &Path, host: &Host) -> Result<Manifest, Error> {
    let file = open(zip, expected)?;
    let mut package = Package::read(&file)?;
    check_requires(package.manifest.requires.as_ref(), host)?;
    let parent = destination.parent().filter(|parent| !parent.as_os_str().is_empty());
    let temporary = tempfile::Builder::new()
        .prefix(".unpack-")
        .tempdir_in(parent.unwrap_or_else(|| Path::new(".")))
        .map_err(Error::io("write", destination))?;
    let unpacked = package.extract(temporary.path()).and_then(|()| {
        protect(temporary.path()).map_err(Error::io("write", temporary.path()))?;
        fs::rename(temporary.path(), destination).map_err(Error::io("write", destination))
    });
    if let Err(error) = unpacked {
        // The folder's own guard cannot delete from protected folders.
        let _ = remove(temporary.path());
        return Err(error);
    }
    let _moved = temporary.keep();
    Ok(package.manifest)
}

/// All the checks of [`unpack`], the bytes of every file included, without writing anything.
pub fn verify(zip: &Path, expected: &Digest, host: &Host) -> Result<Manifest, Error> {
    let file = open(zip, expected)?;
    let mut package = Package::read(&file)?;
    check_requires(package.manifest.requires.as_ref(), host)?;
    package.for_each_file(|_, _, content| content.copy_to(&mut io::sink(), Path::new("")))?;
    Ok(package.manifest)
}

/// The manifest of a package that is already trusted: the digest is not computed and nothing else is read.
pub fn read_manifest(zip: &Path) -> Result<Manifest, Error> {
    let file = File::open(zip).map_err(Error::io("read", zip))?;
    let mut archive = open_archive(&file)?;
    parse_manifest(&mut archive)
}

/// Deletes an unpacked package; nothing happens when there is none.
pub fn remove(folder: &Path) -> io::Result<()> {
    match set_folder_modes(folder, 0o755) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    }
    fs::remove_dir_all(folder)
}

fn open(zip: &Path, expected: &Digest) -> Result<File, Error> {
    let mut file = File::open(zip).map_err(Error::io("read", zip))?;
    let packed = file.metadata().map_err(Error::io("read", zip))?.len();
    if packed > MAX_PACKED_BYTES {
        return Err(Error::TooLarge(format!("{packed} bytes, the limit is {MAX_PACKED_BYTES}")));
    }
    let actual = digest_of(&mut file).map_err(Error::io("read", zip))?;
    if actual != *expected {
        return Err(Error::Digest { expected: expected.clone(), actual });
    }
    Ok(file)
}

/// Opens a zip that starts where its file starts.
fn open_archive(file: &File) -> Result<Archive<'_>, Error> {
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    ZipArchive::with_config(config, BufReader::new(file)).map_err(Error::malformed)
}

fn parse_manifest(archive: &mut Archive<'_>) -> Result<Manifest, Error> {
    let index = archive.index_for_name(MANIFEST).ok_or(Error::NoManifest)?;
    let entry = archive.by_index(index).map_err(Error::malformed)?;
    let mut text = Vec::new();
    entry.take(MAX_MANIFEST_BYTES + 1).read_to_end(&mut text).map_err(Error::malformed)?;
    if text.len() as u64 > MAX_MANIFEST_BYTES {
        return Err(Error::TooLarge(format!("a faas.json over {MAX_MANIFEST_BYTES} bytes")));
    }
    Ok(Manifest::parse(&text)?)
}

fn check_requires(requires: Option<&Requires>, host: &Host) -> Result<(), Error> {
    let Some(requires) = requires else { return Ok(()) };
    for (what, required, found) in [
        ("platform", &requires.platform, Some(&host.platform)),
        ("python", &requires.python, host.python.as_ref()),
        ("node", &requires.node, host.node.as_ref()),
    ] {
        if let Some(required) = required
            && found != Some(required)
        {
            let found = found.map_or_else(|| format!("no {what}"), |found| format!("{what} {found:?}"));
            return Err(Error::Requires { required: format!("{what} {required:?}"), found });
        }
    }
    Ok(())
}

/// A package whose table and manifest are sound.
struct Package<'a> {
    archive: Archive<'a>,
    table: Table,
    manifest: Manifest,
}

impl<'a> Package<'a> {
    fn read(file: &'a File) -> Result<Self, Error> {
        let mut archive = open_archive(file)?;
        let table = Table::read(&mut archive)?;
        let manifest = parse_manifest(&mut archive)?;
        entry_point::check(&manifest, table.files())?;
        Ok(Self { archive, table, manifest })
    }

    fn extract(&mut self, folder: &Path) -> Result<(), Error> {
        for inner in self.table.folders() {
            let path = folder.join(inner);
            fs::create_dir_all(&path).map_err(Error::io("write", &path))?;
        }
        self.for_each_file(|name, executable, content| {
            let path = folder.join(name);
            let mode = if executable { 0o555 } else { 0o444 };
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(&path)
                .map_err(Error::io("write", &path))?;
            content.copy_to(&mut file, &path)
        })
    }

    fn for_each_file(
        &mut self,
        mut act: impl FnMut(&str, bool, &mut Content<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut room = MAX_UNPACKED_BYTES;
        for (index, name, executable) in self.table.indexed_files() {
            let mut input = self.archive.by_index(index).map_err(Error::malformed)?;
            act(name, executable, &mut Content { name, input: &mut input, room: &mut room })?;
        }
        Ok(())
    }
}

/// One file's bytes, which may use up what `room` is left.
struct Content<'a> {
    name: &'a str,
    input: &'a mut dyn Read,
    room: &'a mut u64,
}

impl Content<'_> {
    fn copy_to(&mut self, output: &mut impl Write, path: &Path) -> Result<(), Error> {
        let mut chunk = vec![0; CHUNK];
        loop {
            let count = match self.input.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) => return Err(Error::Malformed(format!("{:?}: {error}", self.name))),
            };
            *self.room = self.room.checked_sub(count as u64).ok_or_else(|| {
                Error::TooLarge(format!("more than {MAX_UNPACKED_BYTES} bytes unpacked, which is the limit"))
            })?;
            let (read, _) = chunk.split_at(count);
            output.write_all(read).map_err(Error::io("write", path))?;
        }
    }
}

fn protect(folder: &Path) -> io::Result<()> {
    set_folder_modes(folder, 0o555)
}

/// Outer folders first: what is opened can be read, and what is closed can still be searched.
fn set_folder_modes(folder: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(mode))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            set_folder_modes(&entry.path(), mode)?;
        }
    }
    Ok(())
}
