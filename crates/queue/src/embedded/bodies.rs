//! Bodies: small ones in memory on their way to a row, large ones as files in `bodies/`.
//!
//! A file is written, synced, and so is its folder, before the row that names it is committed; it goes when the row has
//! gone, or when nobody wants it any more. What a killed process left is removed at the next start. A body in memory is
//! at most as long as the inline limit, and one that comes as a stream is never held whole.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use tokio::task::spawn_blocking;

use crate::{Body, BodyStream, Error};

/// The longest body that becomes part of a row.
pub(super) const INLINE_LIMIT: usize = 700 << 10;
/// What is written or read at a time.
const PIECE: usize = 256 << 10;

const WHAT: &str = "keep the body";

pub(super) struct Bodies {
    folder: PathBuf,
    /// Tells this process's files from those that an earlier one left.
    run: String,
    next: AtomicU64,
    limit_bytes: u64,
    sync: bool,
}

/// A body that is ready to be named by a row.
#[derive(Clone)]
pub(super) enum Kept {
    Inline(Bytes),
    File(Arc<Named>),
}

impl Kept {
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::File(file) => file.size,
        }
    }
}

/// A file that goes when it is dropped, unless a row names it.
pub(super) struct Named {
    path: PathBuf,
    pub(super) name: String,
    size: u64,
    /// Whether a row names it.
    wanted: AtomicBool,
}

impl Named {
    pub(super) fn keep(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        if !self.wanted.load(Ordering::Relaxed) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Bodies {
    /// Makes the folder if it is not there.
    pub(super) fn open(folder: PathBuf, run: i64, limit_bytes: u64, sync: bool) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(Self { folder, run: format!("{run:016x}"), next: AtomicU64::new(0), limit_bytes, sync })
    }

    /// Makes a body ready to be named by a row.
    pub(super) async fn keep(&self, body: Body) -> Result<Kept, Error> {
        let too_large = Error::TooLarge { limit_bytes: self.limit_bytes };
        match body {
            Body::Whole(bytes) if bytes.len() as u64 > self.limit_bytes => Err(too_large),
            Body::Whole(bytes) if bytes.len() <= INLINE_LIMIT => Ok(Kept::Inline(bytes)),
            Body::Whole(bytes) => self.keep_stream(stream::iter([Ok(bytes)]).boxed()).await,
            Body::Stream(stream) => self.keep_stream(stream).await,
        }
    }

    async fn keep_stream(&self, mut stream: BodyStream) -> Result<Kept, Error> {
        let (mut held, mut file, mut size) = (BytesMut::new(), None, 0);
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.map_err(Error::Body)?;
            size += bytes.len() as u64;
            if size > self.limit_bytes {
                return Err(Error::TooLarge { limit_bytes: self.limit_bytes });
            }
            held.extend_from_slice(&bytes);
            let most = if file.is_some() { PIECE } else { INLINE_LIMIT };
            if held.len() > most {
                file = Some(self.write(file, held.split().freeze()).await?);
            }
        }
        match file {
            None => Ok(Kept::Inline(held.freeze())),
            Some(file) => self.finish(file, held.freeze(), size).await,
        }
    }

    async fn write(&self, spool: Option<Spool>, bytes: Bytes) -> Result<Spool, Error> {
        let spool = match spool {
            Some(spool) => spool,
            None => self.create().await?,
        };
        blocking(move || (&spool.file).write_all(&bytes).map(|()| spool)).await
    }

    async fn create(&self) -> Result<Spool, Error> {
        let name = format!("{}-{:x}", self.run, self.next.fetch_add(1, Ordering::Relaxed));
        let path = self.folder.join(&name);
        blocking(move || {
            let file = File::create_new(&path)?;
            Ok(Spool { file, named: Named { path, name, size: 0, wanted: AtomicBool::new(false) } })
        })
        .await
    }

    async fn finish(&self, mut spool: Spool, rest: Bytes, size: u64) -> Result<Kept, Error> {
        let (sync, folder) = (self.sync, self.folder.clone());
        blocking(move || {
            spool.file.write_all(&rest)?;
            if sync {
                spool.file.sync_all()?;
                File::open(folder)?.sync_all()?;
            }
            spool.named.size = size;
            Ok(Kept::File(Arc::new(spool.named)))
        })
        .await
    }

    /// Opens a file that a row names; its bytes can be read even when it is removed meanwhile. Blocks.
    pub(super) fn open_file(&self, name: &str, size: u64) -> io::Result<File> {
        let file = File::open(self.folder.join(name))?;
        let found = file.metadata()?.len();
        if found == size {
            return Ok(file);
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{found} bytes of {size} are left of the body"),
        ))
    }

    /// Removes files that no row names any more. Blocks.
    pub(super) fn remove(&self, names: &[String]) {
        for name in names {
            let _ = fs::remove_file(self.folder.join(name));
        }
    }

    /// Removes what an earlier process left and no row names; says how many. Blocks.
    pub(super) fn remove_orphans<E: From<io::Error>>(
        &self,
        named: impl Fn(&str) -> Result<bool, E>,
    ) -> Result<u64, E> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let named = name.to_str().map_or(Ok(false), &named)?;
            if !named && fs::remove_file(entry.path()).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }
}

struct Spool {
    file: File,
    named: Named,
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    spawn_blocking(work).await.map_err(Error::unavailable(WHAT))?.map_err(Error::unavailable(WHAT))
}

/// The bytes of a file, read as they are wanted.
pub(super) fn stream_file(file: File) -> BodyStream {
    let pieces = stream::try_unfold(file, async |file| {
        let read = spawn_blocking(move || read_piece(file)).await.map_err(io::Error::other)?;
        let (bytes, file) = read?;
        Ok((!bytes.is_empty()).then_some((bytes, file)))
    });
    pieces.boxed()
}

fn read_piece(mut file: File) -> io::Result<(Bytes, File)> {
    let mut piece = Vec::with_capacity(PIECE);
    (&mut file).take(PIECE as u64).read_to_end(&mut piece)?;
    Ok((piece.into(), file))
}

/// Creates the folder of a queue, for its owner alone.
pub(super) fn create_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
