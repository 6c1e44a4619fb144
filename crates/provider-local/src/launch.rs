//! From a record to a running watchdog: folders, secrets, environment, confinement, command.
//!
//! A replica's folder is `replicas/ID/`: `w.sock` (the watchdog), `tmp/` (the only place its handler may write),
//! `secrets/`. Its own command line names what the handler may read; the data directory is never among it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use faas_api::{Digest, FunctionDeployment, Terms, format_duration, parse_bytes};
use faas_package::{HTTP_SOCKET_VARIABLE, Interpreter, Layout, Manifest, Mode, RunPlan, Signature, run_plan};
use faas_process::{Child, Spawner};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::logs::Logs;
use crate::memory::{Limit, Memory};
use crate::packages::Packages;
use crate::store::{Database, Record};

/// What any handler may read: the system, and of `/etc` what name look-ups and TLS need, not the accounts' hashes.
const READABLE: [&str; 28] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/opt",
    "/proc",
    "/sys/devices/system/cpu",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/run/systemd/resolve",
];
/// Devices that any program expects to open. Not `/dev/tty`: through the terminal of `faas serve` a handler could type
/// into its user's shell.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
/// Other names for what the platform sets, and stronger ones: the watchdog, which is not confined, would run or call what
/// they say in place of the package.
const REDIRECTING: [&str; 2] = ["function_process", "http_upstream_url"];
/// Where handlers find programs.
const HANDLER_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Starts replicas.
pub(crate) struct Launcher {
    pub(crate) config: Arc<crate::Config>,
    pub(crate) spawner: Spawner,
    pub(crate) packages: Arc<Packages>,
    pub(crate) database: Database,
    pub(crate) logs: Arc<Logs>,
    pub(crate) memory: Memory,
    pub(crate) counter: AtomicU64,
    /// One entry a replica; those whose replica has ended are dropped at the next look.
    pub(crate) running: Mutex<Vec<Weak<Record>>>,
}

/// A replica to be.
pub(crate) struct Launch {
    pub(crate) record: Arc<Record>,
    /// Its name, in logs: the function's and a number.
    pub(crate) instance: String,
    /// Cancelled when it should stop.
    pub(crate) stop: CancellationToken,
    folder: PathBuf,
}

/// A watchdog that runs, and may not be ready yet.
pub(crate) struct Started {
    pub(crate) child: Child,
    /// It says `ready` or `failed: …` here, and dies when this end is closed.
    pub(crate) control: UnixStream,
    pub(crate) socket: PathBuf,
    /// Done when all that the replica wrote is in its log.
    pub(crate) output: JoinHandle<()>,
}

impl Launcher {
    /// Names a replica; nothing is made yet.
    pub(crate) fn prepare(&self, record: Arc<Record>) -> Launch {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        self.running().push(Arc::downgrade(&record));
        Launch {
            instance: format!("{}-{number:x}", record.function.name),
            // Short, because a socket's whole path has 107 bytes.
            folder: self.config.data_dir.join("replicas").join(format!("{number:x}")),
            stop: CancellationToken::new(),
            record,
        }
    }

    /// Packages whose record a replica, or its function, still holds.
    pub(crate) fn packages_in_use(&self) -> Vec<Digest> {
        let mut running = self.running();
        running.retain(|record| record.strong_count() > 0);
        running.iter().filter_map(|record| Some(record.upgrade()?.package.clone())).collect()
    }

    fn running(&self) -> MutexGuard<'_, Vec<Weak<Record>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the function is invoked; its timeout, which everything about an invocation derives from, is always there.
    pub(crate) fn terms(&self, deployment: &FunctionDeployment) -> Terms {
        let terms = Terms::new(&deployment.timeout, &deployment.env_vars, &deployment.annotations);
        // Whatever was recorded before this was refused: our watchdog speaks HTTP/1.1.
        Terms { timeout: terms.timeout.or(Some(self.config.upstream_timeout)), h2c: false, ..terms }
    }

    /// Starts the watchdog; the text of an error is for the function's user.
    pub(crate) async fn start(&self, launch: &Launch) -> Result<Started, String> {
        let package = self.packages.open(&launch.record.package).map_err(|error| error.to_string())?;
        let interpreter =
            self.packages.interpreter(package.manifest.runtime).map_err(|error| error.to_string())?;
        let failed = |what: &'static str| move |error: io::Error| format!("failed to {what}: {error}");
        let folders = Folders::of(&launch.folder);
        self.make(&folders, &launch.record).await.map_err(failed("prepare the replica's folder"))?;
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(failed("make a socket pair"))?;
        ours.set_nonblocking(true).map_err(failed("set up the control connection"))?;
        let (output, input) = io::pipe().map_err(failed("make a pipe"))?;
        let plan = Plan { launcher: self, launch, folders: &folders, package: &package, interpreter };
        let mut command = plan.command();
        command
            .stdin(OwnedFd::from(theirs))
            .stdout(input.try_clone().map_err(failed("share a pipe"))?)
            .stderr(Stdio::from(input));
        let child = self.spawner.spawn(command).await.map_err(failed("start the watchdog"))?;
        let output = self
            .logs
            .collect(&launch.record.function, &launch.instance, output.into())
            .map_err(failed("read the replica's output"))?;
        let control = UnixStream::from_std(ours).map_err(failed("watch the control connection"))?;
        Ok(Started { child, control, socket: folders.socket, output })
    }

    async fn make(&self, folders: &Folders, record: &Record) -> io::Result<()> {
        let secrets = self.secrets(record).await.map_err(io::Error::other)?;
        make_folder(&folders.temporary)?;
        make_folder(&folders.secrets)?;
        for (name, value) in secrets {
            write_secret(&folders.secrets.join(name), &value)?;
        }
        Ok(())
    }

    /// Values of the function's secrets; one that was removed since is left out.
    async fn secrets(&self, record: &Record) -> Result<Vec<(String, Vec<u8>)>, faas_provider::Error> {
        if record.deployment.secrets.is_empty() {
            return Ok(Vec::new());
        }
        let namespace = record.function.namespace.clone();
        // A name that stands there twice is one file.
        let names: BTreeSet<String> = record.deployment.secrets.iter().cloned().collect();
        let read = move |store: &mut crate::store::Store| {
            let value = |name: String| Ok(store.secret(&namespace, &name)?.map(|value| (name, value)));
            names.into_iter().filter_map(|name| value(name).transpose()).collect()
        };
        self.database.call("read the function's secrets", read).await
    }

    /// Removes what the replica left.
    pub(crate) async fn clean(&self, launch: &Launch) {
        self.memory.remove(&launch.instance);
        let folder = launch.folder.clone();
        let removed = tokio::task::spawn_blocking(move || match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        });
        if let Ok(Err(error)) = removed.await {
            tracing::warn!(replica = launch.instance, %error, "failed to remove the replica's folder");
        }
    }
}

struct Folders {
    socket: PathBuf,
    temporary: PathBuf,
    secrets: PathBuf,
}

impl Folders {
    fn of(folder: &Path) -> Self {
        Self { socket: folder.join("w.sock"), temporary: folder.join("tmp"), secrets: folder.join("secrets") }
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn write_secret(path: &Path, value: &[u8]) -> io::Result<()> {
    use io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o400).open(path)?.write_all(value)
}

/// A package that is here.
pub(crate) struct Unpacked {
    pub(crate) folder: PathBuf,
    pub(crate) manifest: Manifest,
}

/// All that decides a watchdog's command line and environment.
struct Plan<'a> {
    launcher: &'a Launcher,
    launch: &'a Launch,
    folders: &'a Folders,
    package: &'a Unpacked,
    interpreter: Option<&'a Interpreter>,
}

impl Plan<'_> {
    fn command(&self) -> Command {
        let run = run_plan(
            &self.package.manifest,
            self.interpreter,
            &Layout {
                package: &self.package.folder,
                runtimes: &self.launcher.packages.runtimes(),
                scratch: Some(&self.folders.temporary),
            },
        );
        let mut command = Command::new(&self.launcher.config.watchdog);
        command.arg("--supervised");
        command.arg("--socket").arg(&self.folders.socket);
        command.arg("--directory").arg(&run.working_directory);
        self.limit_memory(&mut command);
        for path in self.readable() {
            command.arg("--read").arg(path);
        }
        for path in DEVICES.iter().map(Path::new).chain([self.folders.temporary.as_path()]) {
            command.arg("--write").arg(path);
        }
        command.env_clear().envs(self.environment(&run));
        command
    }

    fn readable(&self) -> impl Iterator<Item = PathBuf> {
        let interpreter = self.interpreter.iter();
        let interpreter =
            interpreter.flat_map(|found| found.readable.iter().cloned().chain([found.program.clone()]));
        let own =
            [self.package.folder.clone(), self.folders.secrets.clone(), self.launcher.packages.runtimes()];
        // An interpreter's folder that holds the data directory would hold every function's secrets.
        let data_dir = &self.launcher.config.data_dir;
        READABLE
            .iter()
            .map(PathBuf::from)
            .chain(interpreter)
            .filter(move |path| !data_dir.starts_with(path))
            .chain(own)
    }

    fn limit_memory(&self, command: &mut Command) {
        let limits = self.launch.record.deployment.limits.as_ref();
        let Some(bytes) = limits.and_then(|limits| parse_bytes(&limits.memory).ok()) else { return };
        match self.launcher.memory.limit(&self.launch.instance, bytes) {
            Limit::Cgroup(processes) => command.arg("--cgroup").arg(processes),
            Limit::Data => command.arg("--data-limit").arg(bytes.to_string()),
        };
    }

    /// The function's own variables, then what it must not change.
    fn environment(&self, run: &RunPlan) -> Vec<(OsString, OsString)> {
        let deployment = &self.launch.record.deployment;
        let function = &self.launch.record.function;
        let timeout = format_duration(self.launcher.terms(deployment).timeout.unwrap_or_default());
        let fprocess = self.fprocess(run);
        let text = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
        let path = |name: &str, value: &Path| (OsString::from(name), value.as_os_str().to_owned());
        let mut environment = vec![text("PATH", HANDLER_PATH), text("LANG", "C.UTF-8")];
        environment.extend(run.defaults.iter().map(|(name, value)| text(name, value)));
        let own = deployment.env_vars.iter().filter(|(name, _)| !REDIRECTING.contains(&name.as_str()));
        environment.extend(own.map(|(name, value)| text(name, value)));
        environment.extend(run.environment.iter().cloned());
        environment.extend([
            ("fprocess".into(), fprocess),
            text("OPENFAAS_NAME", function.name.as_str()),
            text("OPENFAAS_NAMESPACE", function.namespace.as_str()),
            path("HOME", &self.folders.temporary),
            path("TMPDIR", &self.folders.temporary),
            path("FAAS_SECRETS_DIR", &self.folders.secrets),
            text("mode", run.mode.as_str()),
            text("exec_timeout", &timeout),
            text("read_timeout", &timeout),
            text("write_timeout", &timeout),
            // The gateway has stopped sending before the watchdog is told to stop.
            text("healthcheck_interval", "0s"),
            text("metrics_port", "0"),
        ]);
        if run.mode == Mode::Http {
            let socket = self.folders.temporary.join("h.sock");
            let mut upstream = OsString::from("unix:");
            upstream.push(&socket);
            environment.extend([path(HTTP_SOCKET_VARIABLE, &socket), ("upstream_url".into(), upstream)]);
        }
        environment
    }

    /// The user's command replaces that of a package whose contract is stdin and stdout; entry points of the others
    /// stand in their manifests.
    fn fprocess(&self, run: &RunPlan) -> OsString {
        let deployment = &self.launch.record.deployment;
        let asked = [Some(&deployment.env_process), deployment.env_vars.get("fprocess")];
        let asked = asked.into_iter().flatten().find(|command| !command.is_empty());
        match asked.filter(|_| self.package.manifest.signature == Signature::Stdin) {
            Some(command) => command.into(),
            None => run.fprocess(),
        }
    }
}
