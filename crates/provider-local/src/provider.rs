//! What the gateway asks: reads are answered here, changes are in `changes` and run to their end once begun.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use async_trait::async_trait;
use faas_api::{
    Digest, FunctionDeployment, FunctionId, FunctionNamespace, FunctionStatus, LogMessage, Namespace,
    ProviderInfo,
};
use faas_process::Spawner;
use faas_provider::{Error, LogQuery, PackageBody, Provider, RouteSink};
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Mutex;

use crate::Config;
use crate::launch::Launcher;
use crate::logs::Logs;
use crate::memory::Memory;
use crate::packages::{Interpreters, Packages};
use crate::store::{Database, OpenError, Store, default_namespace};
use crate::supervisor::Supervisor;

/// A socket's path has 107 bytes, of which a replica's own part takes up to 35.
const DATA_DIR_BYTES: usize = 72;
/// Between two looks for unused packages.
const COLLECT_EVERY: Duration = Duration::from_mins(10);

/// Why the provider did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Sockets inside would have no valid address.
    #[error(
        "the data directory's path {0:?} has over {DATA_DIR_BYTES} bytes, too long for the sockets in it: choose a shorter one with --data-dir or FAAS_DATA_DIR"
    )]
    PathTooLong(std::path::PathBuf),
    /// The watchdog did not run.
    #[error("failed to run the watchdog {path:?}: it is built with faas and lies beside it")]
    Watchdog {
        /// Where it was looked for.
        path: std::path::PathBuf,
        /// Why it did not run.
        source: io::Error,
    },
    /// A file or folder of the data directory.
    #[error("failed to {what} in the data directory")]
    Io {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The database.
    #[error("failed to read faas.db in the data directory")]
    Store(#[from] OpenError),
}

impl From<rusqlite::Error> for StartError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The local provider. Cheap to clone.
#[derive(Clone)]
pub struct Local(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    info: ProviderInfo,
    pub(crate) namespace: Namespace,
    pub(crate) database: Database,
    pub(crate) packages: Arc<Packages>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) supervisor: Supervisor,
    /// Held from the first look at what a change depends on until the supervisor knows of it, so that store and
    /// supervisor see changes in one order.
    pub(crate) changing: Mutex<()>,
}

impl Local {
    /// A secret that the function is given; `None` if there is none of that name, or it is not the function's.
    pub async fn secret_of(&self, function: &FunctionId, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let status = self.get(function, false).await?;
        if !status.secrets.iter().any(|secret| secret == name) {
            return Ok(None);
        }
        let (namespace, name) = (function.namespace.clone(), name.to_owned());
        self.0.database.call("read a secret", move |store| store.secret(&namespace, &name)).await
    }

    /// Opens the data directory and starts every function in it. Its lock is the caller's. The spawner is the process's
    /// only one and kills orphans; the interpreters were found before it was started.
    pub async fn start(
        config: Config,
        interpreters: Interpreters,
        spawner: Spawner,
    ) -> Result<Self, StartError> {
        let io = |what| move |source| StartError::Io { what, source };
        if config.data_dir.as_os_str().len() > DATA_DIR_BYTES {
            return Err(StartError::PathTooLong(config.data_dir));
        }
        let isolation = isolation(&spawner, &config.watchdog)
            .await
            .map_err(|source| StartError::Watchdog { path: config.watchdog.clone(), source })?;
        make_private(&config.data_dir).map_err(io("make a folder"))?;
        empty(&config.data_dir.join("replicas")).map_err(io("remove what earlier replicas left"))?;
        let store = Store::open(&config.data_dir.join("faas.db"))?;
        if store.namespaces()?.is_empty() {
            store.put_namespace(&default_namespace(&config.namespace))?;
        }
        let (records, known) = (store.functions()?, store.packages()?);
        let packages =
            Packages::open_all(&config.data_dir, interpreters, known).map_err(io("open the packages"))?;
        let local = Self::assemble(config, isolation, Database::new(store), packages, spawner);
        for record in records {
            local.0.supervisor.put(record);
        }
        tokio::spawn(collect_packages(local.clone()));
        Ok(local)
    }

    fn assemble(
        config: Config,
        isolation: String,
        database: Database,
        packages: Packages,
        spawner: Spawner,
    ) -> Self {
        let info = ProviderInfo {
            name: "faas-local".into(),
            version: config.version.clone(),
            orchestration: "local".into(),
            accepts: vec!["package".into()],
            isolation,
        };
        let (packages, logs) = (Arc::new(packages), Arc::new(Logs::new(&config.data_dir)));
        let namespace = config.namespace.clone();
        let launcher = Launcher {
            memory: Memory::detect(&cgroup_name(&config.data_dir)),
            config: Arc::new(config),
            spawner,
            packages: Arc::clone(&packages),
            database: database.clone(),
            logs: Arc::clone(&logs),
            counter: AtomicU64::new(first_number()),
            running: std::sync::Mutex::default(),
        };
        let supervisor = Supervisor::new(launcher);
        Self(Arc::new(Inner {
            info,
            namespace,
            database,
            packages,
            logs,
            supervisor,
            changing: Mutex::default(),
        }))
    }

    /// Stops every replica and waits for them, for a bounded time. Invocations have been drained before.
    pub async fn stop(&self) {
        self.0.supervisor.stop().await;
    }
}

async fn collect_packages(local: Local) {
    loop {
        if let Err(error) = local.clone().remove_unused_packages().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "failed to collect unused packages");
        }
        tokio::time::sleep(COLLECT_EVERY).await;
    }
}

/// Carries a change through although its caller may leave: the store and the supervisor must both know of it.
async fn finish<T: Send + 'static>(
    change: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(change).await.map_err(Error::internal("finish the change"))?
}

#[async_trait]
impl Provider for Local {
    fn info(&self) -> ProviderInfo {
        self.0.info.clone()
    }

    fn subscribe(&self, sink: Arc<dyn RouteSink>) {
        self.0.supervisor.subscribe(sink);
    }

    async fn list(&self, namespace: &Namespace) -> Result<Vec<FunctionStatus>, Error> {
        self.check_namespace(namespace).await?;
        Ok(self.0.supervisor.list(namespace))
    }

    async fn get(&self, function: &FunctionId, _usage: bool) -> Result<FunctionStatus, Error> {
        self.0.supervisor.status(function).ok_or_else(|| Error::FunctionNotFound(function.clone()))
    }

    async fn deploy(&self, function: &FunctionId, deployment: FunctionDeployment) -> Result<(), Error> {
        finish(self.clone().deploy_now(function.clone(), deployment)).await
    }

    async fn update(&self, function: &FunctionId, deployment: FunctionDeployment) -> Result<(), Error> {
        finish(self.clone().update_now(function.clone(), deployment)).await
    }

    async fn delete(&self, function: &FunctionId) -> Result<(), Error> {
        finish(self.clone().delete_now(function.clone())).await
    }

    async fn scale(&self, function: &FunctionId, replicas: u32) -> Result<(), Error> {
        finish(self.clone().scale_now(function.clone(), replicas)).await
    }

    /// Not recorded: after a restart the next invocation wakes it again.
    async fn wake(&self, function: &FunctionId) -> Result<(), Error> {
        let found = self.0.supervisor.wake(function);
        found.then_some(()).ok_or_else(|| Error::FunctionNotFound(function.clone()))
    }

    async fn list_secrets(&self, namespace: &Namespace) -> Result<Vec<String>, Error> {
        self.check_namespace(namespace).await?;
        let namespace = namespace.clone();
        self.0.database.call("list secrets", move |store| store.secret_names(&namespace)).await
    }

    async fn create_secret(&self, namespace: &Namespace, name: &str, value: Vec<u8>) -> Result<(), Error> {
        finish(self.clone().create_secret_now(namespace.clone(), name.to_owned(), value)).await
    }

    async fn update_secret(&self, namespace: &Namespace, name: &str, value: Vec<u8>) -> Result<(), Error> {
        finish(self.clone().update_secret_now(namespace.clone(), name.to_owned(), value)).await
    }

    async fn delete_secret(&self, namespace: &Namespace, name: &str) -> Result<(), Error> {
        finish(self.clone().delete_secret_now(namespace.clone(), name.to_owned())).await
    }

    async fn list_namespaces(&self) -> Result<Vec<FunctionNamespace>, Error> {
        self.0.database.call("list namespaces", |store| store.namespaces()).await
    }

    async fn create_namespace(&self, namespace: FunctionNamespace) -> Result<(), Error> {
        finish(self.clone().create_namespace_now(namespace)).await
    }

    async fn update_namespace(&self, namespace: FunctionNamespace) -> Result<(), Error> {
        finish(self.clone().update_namespace_now(namespace)).await
    }

    async fn delete_namespace(&self, namespace: &Namespace) -> Result<(), Error> {
        finish(self.clone().delete_namespace_now(namespace.clone())).await
    }

    async fn logs(&self, query: LogQuery) -> Result<BoxStream<'static, LogMessage>, Error> {
        if self.0.supervisor.record(&query.function).is_none() {
            return Err(Error::FunctionNotFound(query.function));
        }
        self.0.logs.read(query).await
    }

    async fn has_package(&self, digest: &Digest) -> Result<bool, Error> {
        Ok(self.0.packages.has(digest))
    }

    async fn put_package(&self, digest: &Digest, body: PackageBody) -> Result<(), Error> {
        let upload = self.0.packages.receive(body).await?;
        finish(self.clone().install_now(digest.clone(), upload)).await
    }

    async fn tag_package(&self, namespace: &Namespace, image: &str, digest: &Digest) -> Result<(), Error> {
        finish(self.clone().tag_now(namespace.clone(), tagged(image), digest.clone())).await
    }
}

/// A reference without a tag means `latest`, as everywhere.
pub(crate) fn tagged(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    if name.contains(':') { image.to_owned() } else { format!("{image}:latest") }
}

/// What keeps handlers apart here, in the watchdog's words.
async fn isolation(spawner: &Spawner, watchdog: &Path) -> io::Result<String> {
    let (output, input) = io::pipe()?;
    let mut command = Command::new(watchdog);
    command.arg("--isolation").stdin(Stdio::null()).stdout(input);
    let child = spawner.spawn(command).await?;
    let mut text = String::new();
    tokio::net::unix::pipe::Receiver::from_owned_fd(output.into())?.read_to_string(&mut text).await?;
    child.wait().await?;
    Ok(text.trim().to_owned())
}

/// One data directory, one name.
fn cgroup_name(data_dir: &Path) -> String {
    use sha2::Digest as _;
    let hash: [u8; 32] = sha2::Sha256::digest(data_dir.as_os_str().as_encoded_bytes()).into();
    format!("faas-{}", &Digest::from_bytes(&hash).hex()[..12])
}

fn make_private(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn empty(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        result => result?,
    }
    make_private(folder)
}

/// Replicas are numbered from here, so that names differ from those of an earlier run, in logs.
fn first_number() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or_default().wrapping_mul(64) & 0xff_ffff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_without_a_tag_are_latest() {
        for (image, full) in [
            ("f", "f:latest"),
            ("f:1", "f:1"),
            ("host:5000/f", "host:5000/f:latest"),
            ("host:5000/f:2", "host:5000/f:2"),
        ] {
            assert_eq!(tagged(image), full);
        }
    }
}
