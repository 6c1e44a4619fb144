//! A real `nats-server` with JetStream, in a folder of its own, on free ports.
//!
//! The folder is in memory where the system has such a place: what a killed server had written is there all the same, it
//! asks for as many syncs, and a disk that stalls for seconds makes no test late.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Port, wait_for};

/// A file system in memory, on Linux.
const MEMORY: &str = "/dev/shm";

/// A server that runs, or that was killed and may be started again with all it had.
#[derive(Debug)]
pub struct Nats {
    /// `nats://127.0.0.1:PORT`.
    pub url: String,
    /// `127.0.0.1:PORT` of its monitoring.
    pub monitor: String,
    program: String,
    folder: TempDir,
    configuration: String,
    /// Of clients and of monitoring.
    ports: [Port; 2],
    server: Child,
}

impl Nats {
    /// Starts one that syncs always. `None`, said aloud, where it cannot be built; with CI=true that is a failure.
    pub fn start() -> Option<Self> {
        Self::start_with("sync_interval: always")
    }

    /// Starts one with these lines in its `jetstream` block.
    pub fn start_with(jetstream: &str) -> Option<Self> {
        Self::start_configured(&self::jetstream(jetstream))
    }

    /// Starts one with this text in its configuration, beside ports.
    pub fn start_configured(configuration: &str) -> Option<Self> {
        let memory = PathBuf::from(MEMORY);
        let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
        Self::start_in(&place, configuration)
    }

    /// Starts one that syncs always, on the disk: what is measured of it is the disk's speed too.
    pub fn start_on_disk() -> Option<Self> {
        Self::start_in(&std::env::temp_dir(), &jetstream("sync_interval: always"))
    }

    fn start_in(place: &Path, configuration: &str) -> Option<Self> {
        let program = build()?;
        let folder = tempfile::tempdir_in(place).expect("a temporary folder can be made");
        let ports = [Port::reserve(), Port::reserve()];
        let server = spawn(&program, folder.path(), configuration, &ports);
        let [url, monitor] = ports.each_ref().map(|port| format!("127.0.0.1:{}", port.number));
        let (url, configuration) = (format!("nats://{url}"), configuration.to_owned());
        Some(Self { url, monitor, program, folder, configuration, ports, server })
    }

    /// Ends it as a power failure would, but for what the kernel still writes.
    pub fn kill(&mut self) {
        self.server.kill().expect("it is our child");
        self.server.wait().expect("it is our child");
    }

    /// Starts it again after [`Self::kill`], on the same ports.
    pub fn restart(&mut self) {
        self.server = spawn(&self.program, self.folder.path(), &self.configuration, &self.ports);
    }

    /// The same, from now on with these lines in its `jetstream` block.
    pub fn restart_with(&mut self, jetstream: &str) {
        self.configuration = self::jetstream(jetstream);
        self.restart();
    }

    /// The server's process.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// Where it keeps what it keeps.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn jetstream(lines: &str) -> String {
    format!("jetstream {{ {lines}\nstore_dir: jetstream, max_memory_store: 256MB, max_file_store: 8GB }}")
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn spawn(program: &str, folder: &Path, configuration: &str, [port, monitor]: &[Port; 2]) -> Child {
    let file = folder.join("nats.conf");
    let text = format!(
        "server_name: test, host: 127.0.0.1, port: {}, http: \"127.0.0.1:{}\", ports_file_dir: \"{}\"\n{}\n",
        port.number,
        monitor.number,
        folder.display(),
        configuration
    );
    fs::write(&file, text).expect("the folder is ours");
    let log = fs::File::create(folder.join("nats.log")).expect("the folder is ours");
    let mut command = Command::new(program);
    command.arg("-c").arg(&file).current_dir(folder).stdin(Stdio::null());
    let mut server = command.stdout(Stdio::null()).stderr(log).spawn().expect("the server can be started");
    let ports = ports_file(program, folder, server.id());
    wait_for("nats-server to listen", || {
        assert!(
            server.try_wait().expect("it is our child").is_none(),
            "nats-server ended: {}",
            read_log(folder)
        );
        serde_json::from_str::<Value>(&fs::read_to_string(&ports).ok()?).ok()
    });
    server
}

/// Called after the program and its process.
fn ports_file(program: &str, folder: &Path, id: u32) -> PathBuf {
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    folder.join(format!("{name}_{id}.ports"))
}

fn read_log(folder: &Path) -> String {
    fs::read_to_string(folder.join("nats.log")).unwrap_or_default()
}

/// The program, or nothing where it cannot be built: without Go, or at first without a network.
fn build() -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/tools/go-tool");
    let Output { status, stdout, stderr } =
        Command::new(script).arg("nats-server").output().expect("the script can be run");
    if status.success() {
        return Some(String::from_utf8_lossy(&stdout).trim().to_owned());
    }
    let reason = String::from_utf8_lossy(&stderr);
    assert!(!crate::is_ci(), "{reason}");
    skip(&reason);
    None
}

#[expect(clippy::print_stderr, reason = "a test that does nothing says so")]
fn skip(reason: &str) {
    eprintln!("skipped: nats-server cannot be built: {reason}");
}
