//! A gateway over NATS with one function in it, as a process of its own: this program, run again. `faas gateway` wants a
//! cluster, and what is proven here is not about one.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use faas_api::Terms;
use faas_daemon::Shutdown;
use faas_gateway::{Config, Gateway};
use faas_provider::Address;
use faas_queue::Settings;
use faas_queue::nats::{Credentials, Durability, Jetstream, Options};
use faas_testing::{Nats, Routes};
use prometheus::Registry;

use super::parts::LEASE;

/// Where to listen, where the function is, NATS and its monitoring.
const VARIABLE: &str = "FAAS_CRASH_GATEWAY";

pub(crate) fn spawn(port: u16, function: SocketAddr, nats: &Nats, log: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "nats::gateway::serving", "--ignored", "--nocapture"]);
    command.env(VARIABLE, format!("{port} {function} {} {}", nats.url, nats.monitor));
    let log = File::options().create(true).append(true).open(log).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

#[test]
#[ignore = "run by another test, as a process to kill"]
#[expect(clippy::disallowed_methods, reason = "how a test tells a process of its own")]
fn serving() {
    let told = std::env::var(VARIABLE).unwrap();
    let told: Vec<_> = told.split(' ').collect();
    let [port, function, nats, monitor] = told[..] else { panic!("{told:?}") };
    faas_daemon::init_logging("warn", false).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let routes = Routes::default();
        routes.set("record", &[Address::Tcp(function.parse().unwrap())], Terms::default());
        let queue = Arc::new(Jetstream::start(options(nats, monitor)));
        let shutdown = Shutdown::default();
        let gateway =
            Gateway::new(Config::default(), Arc::new(routes), Some(queue), &Registry::new(), shutdown);
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port.parse().unwrap())).await.unwrap();
        gateway.unwrap().run(listener).await.unwrap();
    });
}

fn options(nats: &str, monitor: &str) -> Options {
    Options {
        servers: vec![nats.to_owned()],
        credentials: Credentials::None,
        queue: "faas-request".parse().unwrap(),
        replicas: 1,
        durability: Durability::Checked { monitors: vec![monitor.to_owned()] },
        settings: Settings { lease: LEASE, ..Settings::default() },
    }
}
