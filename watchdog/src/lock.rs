//! The lock file: `$TMPDIR/.lock`, there while this replica takes requests. Probes look for it.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::Source;

/// Where handlers and we put what is temporary.
pub(crate) fn temp_folder(source: &dyn Source) -> PathBuf {
    source.variable("TMPDIR").filter(|path| !path.is_empty()).unwrap_or_else(|| "/tmp".to_owned()).into()
}

/// Where the lock file is.
pub(crate) fn path(source: &dyn Source) -> PathBuf {
    temp_folder(source).join(".lock")
}

/// Writes it.
pub(crate) fn create(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o660).open(path).map(drop)
}

/// Takes it away. One that is gone is fine.
pub(crate) fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}
