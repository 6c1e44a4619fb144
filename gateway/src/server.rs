//! Connections: accepted in one place, counted there, and handed to the worker that has the fewest; and the drain.
//!
//! One listener rather than one for each worker: the kernel would spread few connections unevenly over several, and a
//! second program could listen on the same port unnoticed.

mod admission;
mod connection;
mod io;
mod scheduling;
mod tls;
mod watch;
mod worker;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::{Gateway, router};
use admission::{Admission, Full};
use worker::Accepted;

pub(crate) use connection::{Caller, Client, end_stream_at, socket};
pub use tls::Error as TlsError;
pub(crate) use tls::Tls;
pub(crate) use watch::{Turn, Watch};
pub(crate) use worker::Worker;

/// A drain waits this long for connections that are at no invocation.
const IDLE_DRAIN: Duration = Duration::from_secs(1);
/// Between two looks of a drain.
const DRAIN_LOOK: Duration = Duration::from_millis(20);
/// Out of descriptors, mostly: those in use will be closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A worker and its ear.
struct Hands {
    worker: Arc<Worker>,
    sender: mpsc::UnboundedSender<Accepted>,
}

pub(crate) async fn run(listener: TcpListener, gateway: Gateway) -> std::io::Result<()> {
    let (config, shutdown, tasks) = (&gateway.0.config, &gateway.0.shutdown, TaskTracker::new());
    let following = gateway.0.tls.clone().zip(config.tls.clone()).map(|(tls, files)| tls.follow(files));
    let _following = following.map(|following| AbortOnDropHandle::new(tokio::spawn(following)));
    let api = router::build(gateway.clone());
    gateway.0.main.get_or_init(tokio::runtime::Handle::current);
    let start = |(index, scheduling)| {
        let worker = Worker::new(gateway.clone(), index, api.clone(), gateway.0.tls.clone(), tasks.clone());
        Ok(Hands { sender: worker.start(scheduling)?, worker })
    };
    let workers = scheduling::of_workers(config.workers).into_iter().enumerate();
    let hands = workers.map(start).collect::<std::io::Result<Vec<_>>>()?;
    let admission = Admission::new(config);
    let serving = async {
        let accepting = accept(&listener, &gateway, &admission, &hands);
        let mut accepting = std::pin::pin!(accepting);
        let drained = async {
            shutdown.drain.cancelled().await;
            // Whoever still sends connections here has this long to notice; answers tell their clients to come back.
            gateway.0.draining.store(true, Ordering::Relaxed);
            tokio::time::sleep(config.drain_notice).await;
        };
        tokio::select! {
            () = &mut accepting => {}
            () = drained => {}
        }
    };
    shutdown.abort.run_until_cancelled(serving).await;
    // Who waits in the listener's queue has sent its request, and would see it reset.
    while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
        hand_over(stream, peer, &gateway, &admission, &hands);
    }
    drop(listener);
    for hands in &hands {
        hands.worker.finish();
    }
    shutdown.abort.run_until_cancelled(drain(&gateway, &hands, &tasks)).await;
    Ok(())
}

async fn accept(listener: &TcpListener, gateway: &Gateway, admission: &Arc<Admission>, hands: &[Hands]) {
    let mut failures: u64 = 0;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                failures = 0;
                hand_over(stream, peer, gateway, admission, hands);
            }
            Err(error) => {
                failures += 1;
                if failures.is_power_of_two() {
                    tracing::warn!(%error, failures, "failed to accept a connection");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn hand_over(
    stream: TcpStream,
    peer: std::net::SocketAddr,
    gateway: &Gateway,
    admission: &Arc<Admission>,
    hands: &[Hands],
) {
    let admitted = match admission.admit(peer.ip()) {
        Ok(admitted) => admitted,
        Err(full) => return refuse(gateway, full, peer),
    };
    let (Some(hands), Ok(stream)) = (hands.iter().min_by_key(|hands| hands.worker.open()), stream.into_std())
    else {
        return;
    };
    // It fails only once the worker's thread has ended.
    let _ = hands.sender.send(Accepted { stream, peer, place: hands.worker.place(admitted) });
}

/// Tells of it now and then: a flood of refusals is no flood of lines.
fn refuse(gateway: &Gateway, full: Full, peer: std::net::SocketAddr) {
    let refused = gateway.0.metrics.record_refused(full.name());
    if refused.is_power_of_two() {
        let variable = full.variable();
        tracing::warn!(%peer, refused, variable, "refused a connection: there are as many as there may be");
    }
}

/// Waits for the last connection, or while any request is being answered or tunnel is open; each has its deadline. Who
/// sends half a head holds up nothing.
async fn drain(gateway: &Gateway, hands: &[Hands], tasks: &TaskTracker) {
    let mut quiet = Instant::now();
    loop {
        let open = hands.iter().any(|hands| hands.worker.open() > 0);
        if !open && tasks.is_empty() {
            return;
        }
        if gateway.0.table.in_flight() > 0 || hands.iter().any(|hands| hands.worker.is_busy()) {
            quiet = Instant::now();
        }
        if quiet.elapsed() >= IDLE_DRAIN {
            return;
        }
        tokio::time::sleep(DRAIN_LOOK).await;
    }
}
