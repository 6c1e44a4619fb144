//! The processes of the installation: a gateway, `faas queue-worker` and nats-server, each at the address and with the
//! files that it had before it was killed.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use faas_api::QueueDepth;
use faas_testing::{Faas, Http, Nats, Port, wait_for};
use tempfile::TempDir;

use super::{MOST_RUNNING, gateway};
use crate::recorder::Recorder;

/// Short, since what a killed worker had waits for its end.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// What can be killed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Gateway,
    Worker,
    Nats,
}

impl Part {
    pub(crate) const ALL: [Self; 3] = [Self::Gateway, Self::Worker, Self::Nats];
}

/// All of them, killed when dropped.
pub(crate) struct Parts {
    folder: TempDir,
    port: Port,
    function: SocketAddr,
    nats: Nats,
    gateway: Child,
    worker: Child,
}

impl Parts {
    /// With the recorder as the one function. `None`, said aloud, where nats-server cannot be built.
    pub(crate) fn start(recorder: &Recorder) -> Option<Self> {
        let (nats, port) = (Nats::start()?, Port::reserve());
        let (folder, function) = (tempfile::tempdir().unwrap(), recorder.address);
        let gateway = gateway::spawn(port.number, function, &nats, &folder.path().join("gateway.log"));
        let worker = spawn_worker(&folder, port.number, &nats);
        Some(Self { folder, port, function, nats, gateway, worker })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number)
    }

    pub(crate) fn kill(&mut self, part: Part) {
        match part {
            Part::Gateway => end(&mut self.gateway, &self.folder.path().join("gateway.log")),
            Part::Worker => end(&mut self.worker, &self.folder.path().join("worker.log")),
            Part::Nats => self.nats.kill(),
        }
    }

    /// After [`Self::kill`].
    pub(crate) fn restart(&mut self, part: Part) {
        let log = self.folder.path().join("gateway.log");
        match part {
            Part::Gateway => {
                self.gateway = gateway::spawn(self.port.number, self.function, &self.nats, &log);
            }
            Part::Worker => self.worker = spawn_worker(&self.folder, self.port.number, &self.nats),
            Part::Nats => self.nats.restart(),
        }
    }

    /// Takes away all that NATS has, while it is dead.
    pub(crate) fn wipe(&self) {
        fs::remove_dir_all(self.nats.folder().join("jetstream")).unwrap();
    }

    /// Waits until no job waits or runs; none may have become a dead letter.
    pub(crate) fn wait_until_empty(&self) {
        let http = Http::new(&self.url());
        wait_for("all jobs to have ended", || {
            let answer = http.try_send("GET", "/system/queue", &[], b"").ok()?;
            let depths: Vec<QueueDepth> = serde_json::from_slice(&answer.body).ok()?;
            assert!(depths.iter().all(|depth| depth.dead == 0), "dead letters: {}", answer.text());
            depths.iter().all(|depth| depth.waiting + depth.running == 0).then_some(())
        });
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        for child in [&mut self.gateway, &mut self.worker] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn end(child: &mut Child, log: &Path) {
    let ended = child.try_wait().unwrap();
    assert!(ended.is_none(), "it ended by itself: {}", fs::read_to_string(log).unwrap_or_default());
    child.kill().unwrap();
    child.wait().unwrap();
}

fn spawn_worker(folder: &TempDir, gateway: u16, nats: &Nats) -> Child {
    let faas = Faas::new(folder.path())
        .with("nats_url", &nats.url)
        .with("nats_monitor", &nats.monitor)
        .with("gateway_url", &format!("http://127.0.0.1:{gateway}"))
        .with("ack_wait", &format!("{}s", LEASE.as_secs()))
        .with("max_inflight_per_function", &MOST_RUNNING.to_string())
        // A gateway that is killed is no reason to wait long, or to give a job up.
        .with("initial_retry_wait", "100ms")
        .with("max_retry_wait", "1s")
        .with("max_retry_attempts", "1000")
        .with("FAAS_LOG", "warn");
    let log = File::options().create(true).append(true).open(folder.path().join("worker.log")).unwrap();
    let mut command = faas.command(&["queue-worker", "--admin", "127.0.0.1:0"]);
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}
