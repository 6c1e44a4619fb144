//! Packages on disk: `packages/HEX/`, unpacked and verified, and the interpreters that run them.
//!
//! A package counts only once its digest stands in the store, which happens after its files are on disk: what an
//! interrupted upload or a power loss left is removed at start. An upload streams to `incoming/` and is bounded.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use faas_api::Digest;
use faas_package::{
    Host, Interpreter, MAX_PACKED_BYTES, Manifest, NotFound, Runtime, UnpackError, resolve, runtime_files,
    unpack,
};
use faas_provider::{Error, PackageBody};
use futures_util::TryStreamExt as _;
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;

use crate::launch::Unpacked;

/// The packages of one data directory.
pub(crate) struct Packages {
    data_dir: PathBuf,
    known: Mutex<HashMap<Digest, Manifest>>,
    interpreters: Interpreters,
    /// Held while a package is unpacked and recorded: two uploads of one package must not meet.
    installing: tokio::sync::Mutex<()>,
}

impl Packages {
    /// Opens what `known` names, removes all else, and writes the runtimes' files anew.
    pub(crate) fn open_all(
        data_dir: &Path,
        interpreters: Interpreters,
        known: Vec<Digest>,
    ) -> io::Result<Self> {
        let packages = Self {
            data_dir: data_dir.to_owned(),
            known: Mutex::default(),
            interpreters,
            installing: tokio::sync::Mutex::default(),
        };
        let _ = fs::remove_dir_all(packages.incoming());
        fs::create_dir_all(packages.incoming())?;
        fs::create_dir_all(data_dir.join("packages"))?;
        packages.remove_unknown(&known)?;
        packages.write_runtimes()?;
        for digest in known {
            // One that does not read is reported when a function needs it.
            if let Ok(manifest) = read_manifest(&packages.folder(&digest)) {
                packages.lock().insert(digest, manifest);
            }
        }
        Ok(packages)
    }

    fn remove_unknown(&self, known: &[Digest]) -> io::Result<()> {
        let known: HashSet<&str> = known.iter().map(Digest::hex).collect();
        for entry in fs::read_dir(self.data_dir.join("packages"))? {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(|name| known.contains(name)) {
                faas_package::remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Anew: what another version wrote is not to be found.
    fn write_runtimes(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.runtimes()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for (name, text) in runtime_files() {
            let path = self.runtimes().join(name);
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            fs::write(path, text)?;
        }
        Ok(())
    }

    /// Where the language side of packages lies.
    pub(crate) fn runtimes(&self) -> PathBuf {
        self.data_dir.join("runtimes")
    }

    fn incoming(&self) -> PathBuf {
        self.data_dir.join("incoming")
    }

    fn folder(&self, digest: &Digest) -> PathBuf {
        self.data_dir.join("packages").join(digest.hex())
    }

    pub(crate) fn has(&self, digest: &Digest) -> bool {
        self.lock().contains_key(digest)
    }

    /// A package that is here.
    pub(crate) fn open(&self, digest: &Digest) -> Result<Unpacked, Error> {
        let manifest = self.lock().get(digest).cloned();
        let manifest = manifest.ok_or_else(|| Error::Invalid(format!("package {digest} not found")))?;
        Ok(Unpacked { folder: self.folder(digest), manifest })
    }

    /// What runs packages of this runtime; `None` for those that need nothing.
    pub(crate) fn interpreter(&self, runtime: Runtime) -> Result<Option<&Interpreter>, Error> {
        match self.interpreters.0.iter().find(|(known, _)| *known == runtime) {
            Some((_, Ok(found))) => Ok(found.as_ref()),
            Some((_, Err(absent))) => {
                Err(Error::Invalid(format!("{absent}; after installing it, start faas again")))
            }
            None => Ok(None),
        }
    }

    fn host(&self) -> Host {
        let version = |runtime| self.interpreter(runtime).ok().flatten().map(|found| found.version.clone());
        Host::new(version(Runtime::Python3), version(Runtime::Node))
    }

    /// Writes an upload to a file, which is deleted when the value is dropped.
    pub(crate) async fn receive(&self, body: PackageBody) -> Result<NamedTempFile, Error> {
        let upload = NamedTempFile::new_in(self.incoming()).map_err(Error::internal("write the package"))?;
        write(body, upload.as_file()).await?;
        Ok(upload)
    }

    /// Takes an upload in; `record` makes it known durably, once its files are on disk.
    pub(crate) async fn install(
        &self,
        digest: &Digest,
        upload: NamedTempFile,
        record: impl Future<Output = Result<(), Error>>,
    ) -> Result<(), Error> {
        let _installing = self.installing.lock().await;
        if self.has(digest) {
            return record.await;
        }
        let (name, folder, host) = (digest.clone(), self.folder(digest), self.host());
        let manifest = tokio::task::spawn_blocking(move || install(upload.path(), &name, &folder, &host))
            .await
            .map_err(Error::internal("unpack the package"))??;
        record.await?;
        self.lock().insert(digest.clone(), manifest);
        Ok(())
    }

    /// Forgets a package and deletes it, out of the way of one that is just being uploaded again.
    pub(crate) async fn remove(&self, digest: &Digest) {
        let _installing = self.installing.lock().await;
        self.lock().remove(digest);
        let folder = self.folder(digest);
        let removed = tokio::task::spawn_blocking(move || faas_package::remove(&folder)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(package = %digest, %error, "failed to remove an unused package");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Manifest>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What runs packages on this machine, found at start: looking for one may run it, which a process with a
/// [`Spawner`](faas_process::Spawner) must not do by itself.
pub struct Interpreters(Vec<(Runtime, Result<Option<Interpreter>, NotFound>)>);

impl Interpreters {
    /// Looks for all of them in `search_path`, as `PATH` writes it, at once; a version manager's shim takes 0.2 s to say
    /// what it stands for.
    pub fn find(search_path: &OsStr) -> Self {
        let runtimes = [Runtime::Python3, Runtime::Node, Runtime::Bash];
        Self(std::thread::scope(|scope| {
            let searches =
                runtimes.map(|runtime| scope.spawn(move || (runtime, resolve(runtime, search_path))));
            searches.into_iter().filter_map(|search| search.join().ok()).collect()
        }))
    }
}

async fn write(mut body: PackageBody, upload: &fs::File) -> Result<(), Error> {
    let failed = || Error::internal("write the package");
    let mut file = tokio::fs::File::from_std(upload.try_clone().map_err(failed())?);
    let mut written: u64 = 0;
    let cut_short = |error: io::Error| Error::Invalid(format!("the package's upload was cut short: {error}"));
    while let Some(bytes) = body.try_next().await.map_err(cut_short)? {
        written += bytes.len() as u64;
        if written > MAX_PACKED_BYTES {
            return Err(Error::TooLarge { what: "the package", limit_bytes: MAX_PACKED_BYTES });
        }
        file.write_all(&bytes).await.map_err(failed())?;
    }
    file.flush().await.map_err(failed())
}

/// Unpacks and waits until all of it is on disk.
fn install(upload: &Path, digest: &Digest, folder: &Path, host: &Host) -> Result<Manifest, Error> {
    // An earlier upload may have been interrupted between these files and their record.
    if folder.exists() {
        faas_package::remove(folder).map_err(Error::internal("remove what an earlier upload left"))?;
    }
    let refuse = |error: UnpackError| {
        if error.is_senders_fault() {
            Error::Invalid(error.to_string())
        } else {
            Error::internal("unpack the package")(error)
        }
    };
    let manifest = unpack(upload, digest, folder, host).map_err(refuse)?;
    let synced = fs::File::open(folder).and_then(|file| Ok(rustix::fs::syncfs(file)?));
    synced.map_err(Error::internal("sync the package to disk"))?;
    Ok(manifest)
}

fn read_manifest(folder: &Path) -> io::Result<Manifest> {
    Manifest::parse(&fs::read(folder.join("faas.json"))?).map_err(io::Error::other)
}
