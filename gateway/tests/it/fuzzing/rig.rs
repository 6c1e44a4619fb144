//! A gateway that lives on from input to input, and what each input is sent with.

use std::future::Future;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use faas_api::{Namespace, Terms};
use faas_daemon::Shutdown;
use faas_gateway::{Config, Credentials, Gateway, Limits};
use faas_provider::Address;
use faas_testing::Routes;
use prometheus::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::Conversation;
use super::recorder::Recorder;

/// Far beyond what anything here takes.
const LIMIT: Duration = Duration::from_secs(5);
/// Ends the connection if the bytes before it leave it open, and is no function's.
const LAST: &[u8] = b"GET /function/none HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
const VICTIM: &[u8] = b"GET /function/f/victim HTTP/1.1\r\nHost: victim\r\n\r\n";

/// All in one thread, but for the gateway's only worker.
pub(super) struct Rig {
    runtime: Runtime,
    address: SocketAddr,
    recorder: Recorder,
    /// Somebody else's connection to the same worker, so that its requests use the same connections to the function.
    victim: Mutex<TcpStream>,
}

/// Nobody is believed, and nobody has the password.
fn config() -> Config {
    Config {
        namespace: Namespace::default(),
        credentials: Some(Credentials::new("admin", "secret")),
        upstream_timeout: Duration::from_mins(1),
        most_waiting: 16,
        scale_from_zero: false,
        version: faas_api::Version::default(),
        workers: NonZeroUsize::MIN,
        own_gateway: faas_gateway::OwnGateway::default(),
        async_check_function: false,
        limits: Limits::default(),
        trusted_proxies: Some(Vec::new()),
        tls: None,
        access_log: false,
        drain_notice: Duration::ZERO,
    }
}

impl Rig {
    pub(super) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let recorder = Recorder::default();
        let (address, victim) = runtime.block_on(async {
            let (listener, function) = (listen().await, listen().await);
            let (address, routes) = (listener.local_addr().unwrap(), Routes::default());
            routes.set("f", &[Address::Tcp(function.local_addr().unwrap())], Terms::default());
            let gateway =
                Gateway::new(config(), Arc::new(routes), None, &Registry::new(), Shutdown::default())
                    .unwrap();
            tokio::spawn(recorder.clone().run(function));
            tokio::spawn(gateway.run(listener));
            (address, Mutex::new(TcpStream::connect(address).await.unwrap()))
        });
        Self { runtime, address, recorder, victim }
    }

    /// One connection of these bytes, to its end, and then the victim's request.
    pub(super) fn feed(&self, bytes: &[u8]) -> Conversation {
        let sent = [bytes, LAST].concat();
        self.runtime.block_on(async {
            let client = within("the connection's end", converse(self.address, &sent)).await;
            let status = within("the victim's answer", call(&mut *self.victim.lock().await)).await;
            // Until every byte is read that is there.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            let mut seen = self.recorder.take();
            let victim = seen.requests.pop().map(|request| request.summary());
            if victim.as_deref() != Some("GET /victim ") || !status.starts_with("HTTP/1.1 200 ") {
                let fault = format!("the next request was answered {status:?} and arrived as {victim:?}");
                seen.fault.get_or_insert(fault);
            }
            Conversation { sent, client, seen: seen.requests, fault: seen.fault }
        })
    }
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Sends all and reads all; the client's address.
async fn converse(address: SocketAddr, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let client = stream.local_addr().unwrap().to_string();
    let (mut reader, mut writer) = stream.split();
    let mut answers = Vec::new();
    // Either may fail: the gateway may close before it has read everything.
    let _ = tokio::join!(
        async {
            let _ = writer.write_all(sent).await;
            let _ = writer.shutdown().await;
        },
        reader.read_to_end(&mut answers),
    );
    client
}

/// The victim's request; the head of its answer.
async fn call(victim: &mut TcpStream) -> String {
    victim.write_all(VICTIM).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") && victim.read_buf(&mut answer).await.unwrap() > 0 {}
    String::from_utf8_lossy(&answer).into_owned()
}
