//! The file table of a stranger's zip, believed only after every check that needs no contents.

use std::collections::{BTreeSet, HashSet};

use zip::CompressionMethod;
use zip::read::ZipFile;

use super::{Archive, Error};
use crate::{DEPENDENCIES, FUNCTION, MANIFEST, MAX_ENTRIES, MAX_NAME_BYTES, MAX_NAME_PARTS};

/// Longest part of a name that file systems take.
const MAX_PART_BYTES: usize = 255;

const KIND: u32 = 0o170_000;
const KIND_FILE: u32 = 0o100_000;
const KIND_FOLDER: u32 = 0o040_000;
const KIND_LINK: u32 = 0o120_000;

/// The files and folders of a package.
pub(super) struct Table {
    /// Position in the zip, name, owner's exec bit.
    files: Vec<(usize, String, bool)>,
    folders: BTreeSet<String>,
}

impl Table {
    pub(super) fn read(archive: &mut Archive<'_>) -> Result<Self, Error> {
        if archive.len() > MAX_ENTRIES {
            return Err(Error::TooLarge(format!("{} entries, the limit is {MAX_ENTRIES}", archive.len())));
        }
        if archive.has_duplicate_names() {
            return Err(Error::Malformed("an entry is there twice".to_owned()));
        }
        let mut table = Self { files: Vec::new(), folders: BTreeSet::new() };
        for index in 0..archive.len() {
            table.add(index, &archive.by_index_raw(index).map_err(Error::malformed)?)?;
            table.check_size()?;
        }
        table.check_conflicts()?;
        archive.validate_header_consistency().map_err(Error::malformed)?;
        Ok(table)
    }

    /// Name and exec bit of every file.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, bool)> {
        self.files.iter().map(|(_, name, executable)| (name.as_str(), *executable))
    }

    /// The same with the position in the zip.
    pub(super) fn indexed_files(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        self.files.iter().map(|(index, name, executable)| (*index, name.as_str(), *executable))
    }

    /// Every folder of every file, outer ones first. `function` is always there: handlers run in it.
    pub(super) fn folders(&self) -> impl Iterator<Item = &str> {
        self.folders.iter().map(String::as_str)
    }

    fn add<R: std::io::Read>(&mut self, index: usize, file: &ZipFile<'_, R>) -> Result<(), Error> {
        let name = checked_name(file.name_raw())?;
        let refuse = |problem| Err(Error::Entry { name: name.to_owned(), problem });
        if file.encrypted() {
            return refuse("is encrypted");
        }
        if ![CompressionMethod::Deflated, CompressionMethod::Stored].contains(&file.compression()) {
            return refuse("is compressed with something else than deflate");
        }
        let mode = file.unix_mode().unwrap_or(0);
        match (mode & KIND, name.strip_suffix('/')) {
            (KIND_LINK, _) => refuse("is a link"),
            (0 | KIND_FOLDER, Some(folder)) => self.add_folder(folder),
            (0 | KIND_FILE, None) => {
                if let Some((folder, _)) = name.rsplit_once('/') {
                    self.add_folder(folder)?;
                }
                self.files.push((index, name.to_owned(), mode & 0o100 != 0));
                Ok(())
            }
            _ => refuse("is neither a file nor a folder"),
        }
    }

    fn add_folder(&mut self, folder: &str) -> Result<(), Error> {
        if folder == MANIFEST {
            return Err(Error::Entry { name: folder.to_owned(), problem: "is a folder" });
        }
        let ends = folder.match_indices('/').map(|(end, _)| end).chain([folder.len()]);
        for end in ends {
            let (part, _) = folder.split_at(end);
            if !self.folders.contains(part) {
                self.folders.insert(part.to_owned());
            }
        }
        Ok(())
    }

    /// One entry may name many folders.
    fn check_size(&self) -> Result<(), Error> {
        if self.files.len() + self.folders.len() > MAX_ENTRIES {
            return Err(Error::TooLarge(format!(
                "more than {MAX_ENTRIES} files and folders, which is the limit"
            )));
        }
        Ok(())
    }

    /// No name may be both a file and a folder.
    fn check_conflicts(&self) -> Result<(), Error> {
        let mut names = HashSet::new();
        for (name, _) in self.files() {
            if !names.insert(name) || self.folders.contains(name) {
                return Err(Error::Entry { name: name.to_owned(), problem: "is there twice" });
            }
        }
        Ok(())
    }
}

/// A relative path below `function/` or `deps/`, or the manifest; a folder's ends in `/`.
fn checked_name(raw: &[u8]) -> Result<&str, Error> {
    let shown = || String::from_utf8_lossy(raw).chars().take(200).collect();
    let refuse = |problem| Err(Error::Entry { name: shown(), problem });
    let Ok(name) = std::str::from_utf8(raw) else { return refuse("has a name that is not UTF-8") };
    if name.contains('\0') {
        return refuse("has a zero byte in its name");
    }
    if name.contains('\\') {
        return refuse("has a backslash in its name");
    }
    if name.starts_with('/') {
        return refuse("is an absolute path");
    }
    if name.len() > MAX_NAME_BYTES {
        return refuse("has too long a name");
    }
    let path = name.strip_suffix('/').unwrap_or(name);
    if path.split('/').count() > MAX_NAME_PARTS {
        return refuse("is in too many folders");
    }
    for part in path.split('/') {
        match part {
            ".." => return refuse("leaves the package's folder"),
            "" | "." => return refuse("has an empty part in its path"),
            _ if part.len() > MAX_PART_BYTES => return refuse("has too long a name"),
            _ => {}
        }
    }
    match name.split_once('/') {
        None if name == MANIFEST => Ok(name),
        Some((FUNCTION | DEPENDENCIES, _)) => Ok(name),
        _ => refuse("is outside function/, deps/ and faas.json"),
    }
}
