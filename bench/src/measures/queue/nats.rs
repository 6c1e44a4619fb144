//! How many asynchronous invocations a gateway accepts in a second with NATS, syncing always, beside what bare
//! publications of equal messages to the same server reach, in turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use async_nats::HeaderMap;
use async_nats::jetstream::{self, stream};
use bytes::Bytes;
use faas_testing::{Http, Nats, wait_for};
use tokio::runtime::Runtime;

use super::{CLIENTS, posting};
use crate::args::Args;
use crate::gateway::Gateway;
use crate::load::Wrk;
use crate::report::{Report, Row};
use crate::runs::warm_up;
use crate::samples::median;

/// Short turns, and many: a disk that stalls for seconds is neither side's.
const TURN: Duration = Duration::from_secs(1);

/// Of the bare publications.
const LEAST_SHARE: f64 = 0.8;

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let Some(wrk) = Wrk::find(CLIENTS, TURN) else {
        report.skip("all", "wrk is absent: apt-get install wrk");
        return Ok(());
    };
    let Some(nats) = Nats::start_on_disk() else {
        report.skip("all", "nats-server cannot be built: see deploy/devcluster/devcluster tools");
        return Ok(());
    };
    let gateway = Gateway::start_with(&[], Some(&nats))?;
    let url = format!("http://{}/async-function/none", gateway.addresses.gateway);
    let folder = tempfile::tempdir()?;
    let wrk = posting(&wrk, folder.path())?;
    let runtime = Runtime::new()?;
    let bare = runtime.block_on(Bare::open(&nats, &gateway))?;
    warm_up(&wrk, &url)?;
    let (mut accepted, mut published) = (Vec::new(), Vec::new());
    for turn in 0..turns(args) {
        published.push(runtime.block_on(bare.rate(turn, wrk.duration))?);
        accepted.push(wrk.run(&url)?.per_second);
    }
    let (accepted, published) = (median(accepted), median(published));
    let share = accepted / published;
    let row = Row::new("accepted per second, in NATS", format!("{accepted:.0}"));
    let beside = format!(
        "{CLIENTS} clients, 100 bytes; {published:.0} bare publications of {} bytes, {CLIENTS} at a time: {share:.2} x",
        bare.message.len()
    );
    report.add(&row.beside(beside).gate(format!("≥ {LEAST_SHARE} x"), share >= LEAST_SHARE));
    Ok(())
}

fn turns(args: &Args) -> usize {
    if args.quick { 3 } else { 15 }
}

/// Publications without a queue around them.
struct Bare {
    context: jetstream::Context,
    message: Bytes,
}

impl Bare {
    /// Once the gateway has accepted a job, of which the message is taken.
    async fn open(nats: &Nats, gateway: &Gateway) -> anyhow::Result<Self> {
        let http = Http::new(&format!("http://{}", gateway.addresses.gateway));
        let body = "x".repeat(100);
        wait_for("the gateway to have found NATS", || {
            (http.post("/async-function/none", body.as_bytes()).status == 202).then_some(())
        });
        let context = jetstream::new(async_nats::connect(&nats.url).await?);
        let jobs = context.get_stream("OF_faas-request").await?;
        let message = jobs.direct_get_next_for_subject("faas-request.>", Some(1)).await?.payload;
        let config = stream::Config {
            name: "BARE".into(),
            subjects: vec!["bare.>".into()],
            retention: stream::RetentionPolicy::WorkQueue,
            ..stream::Config::default()
        };
        context.create_stream(config).await?;
        Ok(Self { context, message })
    }

    /// Acknowledged in a second, so many at a time.
    async fn rate(&self, turn: usize, duration: Duration) -> anyhow::Result<f64> {
        let (began, count) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let publishers: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (context, message, count) =
                    (self.context.clone(), self.message.clone(), Arc::clone(&count));
                tokio::spawn(async move {
                    while began.elapsed() < duration {
                        let number = count.fetch_add(1, Ordering::Relaxed);
                        publish(&context, &message, &format!("bare.{turn}.{number}")).await?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for publisher in publishers {
            publisher.await.context("a publisher failed")??;
        }
        let count = count.load(Ordering::Relaxed);
        ensure!(count > 0, "nothing was published");
        Ok(f64::from(u32::try_from(count)?) / began.elapsed().as_secs_f64())
    }
}

/// With a header, as jobs have.
async fn publish(context: &jetstream::Context, message: &Bytes, subject: &str) -> anyhow::Result<()> {
    let mut headers = HeaderMap::new();
    headers.insert("Of-Nonce", "00000000000000000000000000000000");
    context.publish_with_headers(subject.to_owned(), headers, message.clone()).await?.await?;
    Ok(())
}
