//! From a handler folder to a package: the same bytes for the same files, wherever, whenever and by whomever packed.
//!
//! Owns the zip's layout: entries sorted by path, 1980-01-01, mode 0644 or 0755 by the owner's exec bit, deflate, no
//! extra fields. Empty folders are not stored. Links are stored as what they point at; one that leaves its folder is
//! refused. What is left out of a handler folder stands in [`tree`].
//!
//! Bounds: [`MAX_PACKED_BYTES`], [`MAX_UNPACKED_BYTES`], [`MAX_ENTRIES`]; contents are streamed. The result appears
//! under its name complete or not at all. Called by `faas build`.

use std::collections::HashSet;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use faas_api::Digest;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipWriter};

use crate::digest::{CHUNK, digest_of, fill};
use crate::{
    DEPENDENCIES, FUNCTION, MANIFEST, MAX_ENTRIES, MAX_PACKED_BYTES, MAX_UNPACKED_BYTES, Manifest,
    MissingEntryPoint, Runtime, entry_point,
};

mod tree;

#[cfg(test)]
mod tests;

pub(crate) use tree::{Entry, Skip, list};

/// What goes into a package.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The handler folder.
    pub handler: &'a Path,
    /// The folder that [`install`](crate::install) made, if any.
    pub dependencies: Option<&'a Path>,
    /// The manifest to write.
    pub manifest: &'a Manifest,
}

/// Why a package was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read, or the package not written.
    #[error("failed to {action} {}", path.display())]
    Io {
        /// What was tried: `read`, `write`.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
    /// A link points outside the folder, at nothing, or at a folder that it is in.
    #[error("{} is a link {problem}", path.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// `to X, outside Y`.
        problem: String,
    },
    /// A name that a package cannot hold.
    #[error("{} cannot be packed: {problem}", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The manifest is not valid.
    #[error(transparent)]
    Manifest(#[from] crate::InvalidManifest),
    /// The handler folder lacks the handler.
    #[error(transparent)]
    EntryPoint(#[from] MissingEntryPoint),
    /// Over a bound.
    #[error("the package has {0}")]
    TooLarge(String),
    /// The zip library refused.
    #[error("failed to write the package")]
    Zip(#[from] zip::result::ZipError),
}

impl Error {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// Packs `source` into the file `out`, whose folder exists, and returns its name.
pub fn pack(source: &Source<'_>, out: &Path) -> Result<Digest, Error> {
    source.manifest.validate()?;
    let entries = entries(source)?;
    let folder =
        out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut temporary = tempfile::Builder::new()
        .prefix(".package-")
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(Error::io("write", folder))?;
    write_zip(temporary.as_file_mut(), source.manifest, &entries)?;
    let packed = temporary.as_file().metadata().map_err(Error::io("read", out))?.len();
    if packed > MAX_PACKED_BYTES {
        return Err(Error::TooLarge(format!("{packed} bytes, the limit is {MAX_PACKED_BYTES}")));
    }
    let digest = digest_of(temporary.as_file_mut()).map_err(Error::io("read", out))?;
    temporary.persist(out).map_err(|error| Error::io("write", out)(error.error))?;
    Ok(digest)
}

/// All files of the package but the manifest, sorted by path.
fn entries(source: &Source<'_>) -> Result<Vec<Entry>, Error> {
    let mut entries = list(source.handler, FUNCTION, Skip::HandlerFolder)?;
    if let Some(dependencies) = source.dependencies {
        // Node's resolver, for `import` too, looks in node_modules beside and above the handler and nowhere else.
        let prefix = if source.manifest.runtime == Runtime::Node { FUNCTION } else { DEPENDENCIES };
        entries.extend(list(dependencies, prefix, Skip::Nothing)?);
    }
    entry_point::check(source.manifest, entries.iter().map(|entry| (entry.name.as_str(), entry.executable)))?;
    // And the manifest.
    let count = entries.len() + 1 + count_folders(&entries);
    if count > MAX_ENTRIES {
        return Err(Error::TooLarge(format!("{count} files and folders, the limit is {MAX_ENTRIES}")));
    }
    entries.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(entries)
}

/// As the other side counts them: every folder on the way to a file.
fn count_folders(entries: &[Entry]) -> usize {
    let mut folders = HashSet::new();
    for entry in entries {
        let ends = entry.name.match_indices('/').map(|(end, _)| end);
        folders.extend(ends.map(|end| entry.name.split_at(end).0));
    }
    folders.len()
}

/// Path below the folder, and where it is read, of every file of a handler folder that goes into a package, sorted.
/// What [`pack`] would refuse to read is refused here: a link that leaves the folder, a name no package can hold.
pub fn handler_files(handler: &Path) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
    let entries = list(handler, "", Skip::HandlerFolder)?;
    let inner = |entry: Entry| (entry.name.trim_start_matches('/').into(), entry.path);
    let mut files: Vec<_> = entries.into_iter().map(inner).collect();
    files.sort();
    Ok(files)
}

fn write_zip(file: &mut File, manifest: &Manifest, entries: &[Entry]) -> Result<(), Error> {
    let mut writer = ZipWriter::new(file);
    let mut room = MAX_UNPACKED_BYTES;
    let (before, after) = entries.split_at(entries.partition_point(|entry| entry.name.as_str() < MANIFEST));
    for entry in before {
        write_entry(&mut writer, entry, &mut room)?;
    }
    writer.start_file(MANIFEST, options(false))?;
    writer.write_all(manifest.to_json().as_bytes()).map_err(zip::result::ZipError::Io)?;
    for entry in after {
        write_entry(&mut writer, entry, &mut room)?;
    }
    writer.finish()?;
    Ok(())
}

fn options(executable: bool) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(6))
        .last_modified_time(DateTime::DEFAULT)
        .system(System::Unix)
        .unix_permissions(if executable { 0o755 } else { 0o644 })
}

/// Copies one file, at most `room` bytes of it, in pieces whose size depends on nothing but the file.
fn write_entry(writer: &mut ZipWriter<&mut File>, entry: &Entry, room: &mut u64) -> Result<(), Error> {
    let mut input = File::open(&entry.path).map_err(Error::io("read", &entry.path))?;
    writer.start_file(entry.name.as_str(), options(entry.executable))?;
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = fill(&mut input, &mut chunk).map_err(Error::io("read", &entry.path))?;
        *room = room.checked_sub(count as u64).ok_or_else(|| {
            Error::TooLarge(format!("more than {MAX_UNPACKED_BYTES} bytes of files, which is the limit"))
        })?;
        let (read, _) = chunk.split_at(count);
        writer.write_all(read).map_err(zip::result::ZipError::Io)?;
        if count < CHUNK {
            return Ok(());
        }
    }
}
