//! What a handler writes, held until it has ended: the status is known only then.
//!
//! Up to 1 MiB in memory, then in an unnamed file in the temp folder, up to 1 GiB; beyond that an error. Files are
//! written on the runtime's thread: the page cache takes them, and no second thread stays around for it.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::body::Body;

/// Grows by what is needed from here on; most answers are small.
const READ: usize = 8 * 1024;
const IN_MEMORY: usize = 1024 * 1024;
const LIMIT: u64 = 1024 * 1024 * 1024;

/// Why the output of a handler cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("output above 1 GiB")]
    TooLarge,
    #[error("failed to read the output")]
    Read(#[source] io::Error),
    #[error("failed to spool the output")]
    Spool(#[source] io::Error),
}

/// Output so far.
#[derive(Debug)]
pub(crate) struct Output {
    memory: BytesMut,
    file: Option<File>,
    length: u64,
    limit: u64,
    folder: PathBuf,
}

impl Output {
    /// Spools to `folder`.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { memory: BytesMut::new(), file: None, length: 0, limit: LIMIT, folder }
    }

    /// Reads until the last writer has gone. Cancel safe: what was read stays.
    pub(crate) async fn read_from(&mut self, pipe: &mut (impl AsyncRead + Unpin)) -> Result<(), Error> {
        loop {
            self.memory.reserve(READ);
            let read = pipe.read_buf(&mut self.memory).await.map_err(Error::Read)?;
            if read == 0 {
                return Ok(());
            }
            self.length += read as u64;
            if self.length > self.limit {
                return Err(Error::TooLarge);
            }
            if self.memory.len() > IN_MEMORY {
                self.spool().map_err(Error::Spool)?;
            }
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    /// What is in memory: all of it, or the end.
    pub(crate) fn memory(&self) -> &[u8] {
        &self.memory
    }

    /// The output as a body, after `before`.
    pub(crate) fn into_body(mut self, before: &str) -> io::Result<Body> {
        if self.file.is_none() {
            let whole = if before.is_empty() {
                self.memory.freeze()
            } else {
                Bytes::from([before.as_bytes(), &self.memory].concat())
            };
            return Ok(Body::whole(whole));
        }
        self.spool()?;
        let length = self.length;
        let Some(mut file) = self.file.take() else { return Ok(Body::empty()) };
        file.rewind()?;
        Ok(Body::file(before, file, length))
    }

    fn spool(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(tempfile::tempfile_in(&self.folder)?),
        };
        file.write_all(&self.memory)?;
        self.memory.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn through(bytes: &[u8], before: &str) -> (bool, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let mut output = Output::new(folder.path().to_owned());
        output.read_from(&mut &bytes[..]).await.unwrap();
        assert_eq!(output.len(), bytes.len() as u64);
        let spooled = output.file.is_some();
        let body = output.into_body(before).unwrap();
        (spooled, body.collect().await.unwrap().to_bytes().to_vec())
    }

    #[tokio::test]
    async fn small_output_stays_in_memory_and_large_output_is_spooled() {
        for (size, spooled) in
            [(0, false), (1, false), (IN_MEMORY, false), (IN_MEMORY + 1, true), (5_000_003, true)]
        {
            let bytes: Vec<u8> = (0_u8..251).cycle().take(size).collect();
            for before in ["", "exit status 1\n"] {
                let expect = [before.as_bytes(), &bytes].concat();
                assert!(through(&bytes, before).await == (spooled, expect), "{size} {before:?}");
            }
        }
    }

    #[tokio::test]
    async fn output_over_the_limit_is_refused() {
        for (size, fits) in [(99, true), (100, true), (101, false)] {
            let mut output = Output { limit: 100, ..Output::new("/nonexistent".into()) };
            let result = output.read_from(&mut &vec![0; size][..]).await;
            assert!(if fits { result.is_ok() } else { matches!(result, Err(Error::TooLarge)) }, "{size}");
        }
    }

    #[tokio::test]
    async fn a_folder_that_is_gone_is_an_error() {
        let mut output = Output::new("/nonexistent".into());
        let error = output.read_from(&mut &vec![0; IN_MEMORY * 2][..]).await.unwrap_err();
        assert!(matches!(error, Error::Spool(_)));
    }
}
