//! What the gateway asks: each change is written to the store first, then told to the supervisor.

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
use crate::store::{Database, OpenError, Record, Store, default_namespace, marked};
use crate::supervisor::{Supervisor, labelled_least};

/// A socket's path has 107 bytes, of which a replica's own part takes up to 35.
const DATA_DIR_BYTES: usize = 72;
/// More replicas of one function than a machine of this kind runs.
const MOST_REPLICAS: u32 = 1_000;
/// A package that no function runs is kept this long after its last use.
const KEEP_UNTAGGED: Duration = Duration::from_hours(1);
/// The same, while an image tag names it.
const KEEP_TAGGED: Duration = Duration::from_hours(168);
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
pub struct Local(Arc<Inner>);

struct Inner {
    info: ProviderInfo,
    namespace: Namespace,
    database: Database,
    packages: Arc<Packages>,
    logs: Arc<Logs>,
    supervisor: Supervisor,
    /// Held from the first look at what a change depends on until the supervisor knows of it, so that store and
    /// supervisor see changes in one order.
    changing: Mutex<()>,
}

impl Local {
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

    /// What a change to a namespace needs: that it exists.
    async fn check_namespace(&self, namespace: &Namespace) -> Result<(), Error> {
        let exists = self.list_namespaces().await?.iter().any(|known| known.name == namespace.as_str());
        exists.then_some(()).ok_or_else(|| Error::NamespaceNotFound(namespace.clone()))
    }

    async fn check_secrets(&self, namespace: &Namespace, names: &[String]) -> Result<(), Error> {
        if names.is_empty() {
            return Ok(());
        }
        let known = self.list_secrets(namespace).await?;
        match names.iter().find(|name| !known.contains(name)) {
            Some(missing) => Err(Error::Invalid(format!(
                "unable to fetch secrets: Required secret '{missing}' was not found in the cluster"
            ))),
            None => Ok(()),
        }
    }

    /// The package to run: the one named, else the one pushed under the image's name.
    async fn resolve(&self, namespace: &Namespace, deployment: &FunctionDeployment) -> Result<Digest, Error> {
        if let Some(digest) = &deployment.package {
            return Ok(digest.clone());
        }
        let (namespace, image) = (namespace.clone(), tagged(&deployment.image));
        let found =
            self.0.database.call("look up the image", move |store| store.image(&namespace, &image)).await?;
        found.ok_or_else(|| {
            Error::Invalid(format!(
                "image {} is not known here: push it with \"faas push\", or use a provider that runs images",
                deployment.image
            ))
        })
    }

    /// Checks a deployment against what is here, and makes the record to write.
    async fn record(
        &self,
        function: &FunctionId,
        mut deployment: FunctionDeployment,
    ) -> Result<Record, Error> {
        self.check_namespace(&function.namespace).await?;
        self.check_secrets(&function.namespace, &deployment.secrets).await?;
        let package = self.resolve(&function.namespace, &deployment).await?;
        let runtime = self.0.packages.open(&package)?.manifest.runtime;
        self.0.packages.interpreter(runtime)?;
        runtime.as_str().clone_into(&mut deployment.runtime);
        // Kept in one place only.
        deployment.package = None;
        Ok(Record {
            function: function.clone(),
            deployment,
            package,
            replicas: 1,
            revision: 1,
            created_at: Timestamp::now(),
        })
    }

    async fn write(&self, record: Record) -> Result<(), Error> {
        let written = record.clone();
        let write = move |store: &mut Store| {
            store.touch_package(&written.package, Timestamp::now())?;
            store.put_function(&written)
        };
        self.0.database.call("record the function", write).await?;
        self.0.supervisor.put(record);
        Ok(())
    }

    async fn touch_package(&self, digest: &Digest) -> Result<(), Error> {
        let digest = digest.clone();
        let touch = move |store: &mut Store| store.touch_package(&digest, Timestamp::now());
        self.0.database.call("record the package", touch).await
    }

    async fn put_secret(&self, namespace: &Namespace, name: &str, value: Vec<u8>) -> Result<(), Error> {
        let (namespace, name) = (namespace.clone(), name.to_owned());
        let write = move |store: &mut Store| store.put_secret(&namespace, &name, &value);
        self.0.database.call("record the secret", write).await
    }

    async fn has_secret(&self, namespace: &Namespace, name: &str) -> Result<bool, Error> {
        Ok(self.list_secrets(namespace).await?.iter().any(|known| known == name))
    }

    async fn put_namespace(&self, namespace: FunctionNamespace) -> Result<(), Error> {
        let write = move |store: &mut Store| store.put_namespace(&marked(namespace));
        self.0.database.call("record the namespace", write).await
    }

    async fn remove_unused_packages(&self) -> Result<(), Error> {
        let _changing = self.0.changing.lock().await;
        let forget =
            |store: &mut Store| store.forget_unused_packages(Timestamp::now(), KEEP_UNTAGGED, KEEP_TAGGED);
        for digest in self.0.database.call("forget unused packages", forget).await? {
            tracing::info!(package = %digest, "unused package removed");
            self.0.packages.remove(&digest);
        }
        Ok(())
    }
}

async fn collect_packages(local: Local) {
    loop {
        if let Err(error) = local.remove_unused_packages().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "failed to collect unused packages");
        }
        tokio::time::sleep(COLLECT_EVERY).await;
    }
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
        let _changing = self.0.changing.lock().await;
        if self.0.supervisor.record(function).is_some() {
            return Err(Error::FunctionExists(function.clone()));
        }
        let mut record = self.record(function, deployment).await?;
        record.replicas = labelled_least(&record).unwrap_or(1);
        check_replicas(record.replicas)?;
        self.write(record).await
    }

    async fn update(&self, function: &FunctionId, deployment: FunctionDeployment) -> Result<(), Error> {
        let _changing = self.0.changing.lock().await;
        let absent = || Error::FunctionNotFound(function.clone());
        let before = self.0.supervisor.record(function).ok_or_else(absent)?;
        let wanted = self.0.supervisor.wanted(function).ok_or_else(absent)?;
        let mut record = self.record(function, deployment).await?;
        record.replicas = labelled_least(&record).unwrap_or(wanted);
        check_replicas(record.replicas)?;
        record.revision = before.revision + 1;
        record.created_at = before.created_at;
        self.write(record).await
    }

    async fn delete(&self, function: &FunctionId) -> Result<(), Error> {
        let _changing = self.0.changing.lock().await;
        let absent = || Error::FunctionNotFound(function.clone());
        let package = self.0.supervisor.record(function).ok_or_else(absent)?.package.clone();
        let name = function.clone();
        let delete = move |store: &mut Store| {
            store.touch_package(&package, Timestamp::now())?;
            store.delete_function(&name)
        };
        self.0.database.call("delete the function", delete).await?;
        self.0.supervisor.remove(function);
        self.0.logs.remove(function);
        Ok(())
    }

    async fn scale(&self, function: &FunctionId, replicas: u32) -> Result<(), Error> {
        check_replicas(replicas)?;
        let _changing = self.0.changing.lock().await;
        let name = function.clone();
        self.0.database.call("record the scale", move |store| store.set_replicas(&name, replicas)).await?;
        let found = self.0.supervisor.scale(function, replicas);
        found.then_some(()).ok_or_else(|| Error::FunctionNotFound(function.clone()))
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
        let _changing = self.0.changing.lock().await;
        if self.has_secret(namespace, name).await? {
            return Err(Error::SecretExists(name.to_owned()));
        }
        self.put_secret(namespace, name, value).await
    }

    async fn update_secret(&self, namespace: &Namespace, name: &str, value: Vec<u8>) -> Result<(), Error> {
        let _changing = self.0.changing.lock().await;
        if !self.has_secret(namespace, name).await? {
            return Err(Error::SecretNotFound(name.to_owned()));
        }
        self.put_secret(namespace, name, value).await
    }

    async fn delete_secret(&self, namespace: &Namespace, name: &str) -> Result<(), Error> {
        let _changing = self.0.changing.lock().await;
        self.check_namespace(namespace).await?;
        let (inside, secret) = (namespace.clone(), name.to_owned());
        let delete = move |store: &mut Store| store.delete_secret(&inside, &secret);
        let removed = self.0.database.call("delete the secret", delete).await?;
        removed.then_some(()).ok_or_else(|| Error::SecretNotFound(name.to_owned()))
    }

    async fn list_namespaces(&self) -> Result<Vec<FunctionNamespace>, Error> {
        self.0.database.call("list namespaces", |store| store.namespaces()).await
    }

    async fn create_namespace(&self, namespace: FunctionNamespace) -> Result<(), Error> {
        let _changing = self.0.changing.lock().await;
        let name: Namespace = parse(&namespace.name)?;
        match self.check_namespace(&name).await {
            Ok(()) => Err(Error::NamespaceExists(name)),
            Err(Error::NamespaceNotFound(_)) => self.put_namespace(namespace).await,
            Err(error) => Err(error),
        }
    }

    async fn update_namespace(&self, namespace: FunctionNamespace) -> Result<(), Error> {
        let _changing = self.0.changing.lock().await;
        self.check_namespace(&parse(&namespace.name)?).await?;
        self.put_namespace(namespace).await
    }

    async fn delete_namespace(&self, namespace: &Namespace) -> Result<(), Error> {
        if *namespace == self.0.namespace {
            return Err(Error::Invalid(format!(
                "namespace {namespace} is the default one and cannot be removed"
            )));
        }
        let _changing = self.0.changing.lock().await;
        self.check_namespace(namespace).await?;
        let name = namespace.clone();
        self.0.database.call("delete the namespace", move |store| store.delete_namespace(&name)).await?;
        for function in self.0.supervisor.list(namespace) {
            if let Ok(name) = function.name.parse() {
                self.0.supervisor.remove(&FunctionId::new(name, namespace.clone()));
            }
        }
        self.0.logs.remove_namespace(namespace);
        Ok(())
    }

    async fn logs(&self, query: LogQuery) -> Result<BoxStream<'static, LogMessage>, Error> {
        if self.0.supervisor.record(&query.function).is_none() {
            return Err(Error::FunctionNotFound(query.function));
        }
        self.0.logs.read(query).await
    }

    /// Who asks is about to use it: that counts, or it might be collected in between.
    async fn has_package(&self, digest: &Digest) -> Result<bool, Error> {
        let _changing = self.0.changing.lock().await;
        let here = self.0.packages.has(digest);
        if here {
            self.touch_package(digest).await?;
        }
        Ok(here)
    }

    async fn put_package(&self, digest: &Digest, body: PackageBody) -> Result<(), Error> {
        self.0.packages.put(digest, body, self.touch_package(digest)).await
    }

    async fn tag_package(&self, namespace: &Namespace, image: &str, digest: &Digest) -> Result<(), Error> {
        let _changing = self.0.changing.lock().await;
        self.check_namespace(namespace).await?;
        self.0.packages.open(digest)?;
        let (namespace, image, digest) = (namespace.clone(), tagged(image), digest.clone());
        let write = move |store: &mut Store| {
            store.touch_package(&digest, Timestamp::now())?;
            store.put_image(&namespace, &image, &digest)
        };
        self.0.database.call("record the image's name", write).await
    }
}

fn parse(name: &str) -> Result<Namespace, Error> {
    name.parse().map_err(|error: faas_api::InvalidName| Error::Invalid(error.to_string()))
}

fn check_replicas(replicas: u32) -> Result<(), Error> {
    let text = || format!("replicas: {replicas} is over the most that one machine runs, {MOST_REPLICAS}");
    (replicas <= MOST_REPLICAS).then_some(()).ok_or_else(|| Error::Invalid(text()))
}

/// A reference without a tag means `latest`, as everywhere.
fn tagged(image: &str) -> String {
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
