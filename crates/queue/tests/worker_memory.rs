//! Bodies pass through the worker without being held by it. In a process of its own, since memory is the process's.

#![expect(clippy::unwrap_used, reason = "a test helper that cannot go on has failed its test")]

#[path = "worker/world.rs"]
#[expect(dead_code, reason = "shared with the tests in worker/")]
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use faas_queue::{Body, Queue, State};
use http_body_util::{BodyExt, StreamBody};
use world::{Server, World, calling_back};

const SIZE: u64 = 200 << 20;
const PIECE: usize = 64 << 10;

fn pieces() -> impl futures_util::Stream<Item = std::io::Result<Bytes>> + Send {
    let piece = Bytes::from(vec![b'a'; PIECE]);
    futures_util::stream::iter((0..SIZE / PIECE as u64).map(move |_| Ok(piece.clone())))
}

/// The most that this process has ever held, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// A server that counts what it gets, and answers with as much if it is to.
async fn counting(answers: bool) -> (Server, Arc<AtomicU64>) {
    let got = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&got);
    let handler: world::Handler = Arc::new(move |request| {
        let got = Arc::clone(&counted);
        Box::pin(async move {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                got.fetch_add(frame.unwrap().into_data().unwrap().len() as u64, Ordering::SeqCst);
            }
            let frames = futures_util::StreamExt::map(pieces(), |piece| piece.map(http_body::Frame::data));
            if answers {
                http::Response::new(StreamBody::new(frames).boxed_unsync())
            } else {
                world::answer(200, &[], "")
            }
        })
    });
    (Server::serve("127.0.0.1:0".parse().unwrap(), Arc::default(), handler).await, got)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_200_mib_pass_both_ways_and_to_the_callback_in_little_memory() {
    let ((gateway, invoked), (target, called_back)) = (counting(true).await, counting(false).await);
    let world = World::new(&gateway);
    let job = calling_back("f", "1", target.url("/"));
    let before = peak();
    world.queue.append(job.clone(), Body::Stream(Box::pin(pieces()))).await.unwrap();
    let worker = world.worker();
    let found = world.ended(&job).await;
    worker.stop().await;
    let answer = found.record.answer.unwrap();
    assert_eq!((found.state, answer.size, answer.status), (State::Done, SIZE, 200));
    assert_eq!((invoked.load(Ordering::SeqCst), called_back.load(Ordering::SeqCst)), (SIZE, SIZE));
    let grown = peak() - before;
    assert!(grown < 48 << 20, "{} MiB more for three times 200 MiB", grown >> 20);
}
