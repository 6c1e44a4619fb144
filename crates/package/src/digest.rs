//! The sha256 of a file's bytes, read in pieces.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use faas_api::Digest;
use sha2::{Digest as _, Sha256};

/// Bytes a read: large enough that the system call does not show, small enough for any memory limit.
pub(crate) const CHUNK: usize = 64 << 10;

/// The digest of the file's bytes.
pub fn digest_of_file(path: &Path) -> io::Result<Digest> {
    digest_of(&mut File::open(path)?)
}

/// The digest of everything in `file`, which is left at its start.
pub(crate) fn digest_of(file: &mut File) -> io::Result<Digest> {
    file.rewind()?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = fill(file, &mut chunk)?;
        let (read, _) = chunk.split_at(count);
        hasher.update(read);
        if count < CHUNK {
            break;
        }
    }
    file.rewind()?;
    Ok(Digest::from_bytes(&hasher.finalize().into()))
}

/// Reads until `chunk` is full or the input ends, so that pieces do not depend on how the system cuts reads.
pub(crate) fn fill(input: &mut impl Read, chunk: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = chunk.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
