//! What replicas wrote, read from their pods' logs, which the nodes keep.
//!
//! Lines that are there already come merged, oldest first, the last ones of a container that ended and was started
//! again among them. With `follow`, each pod's log is then followed, and that of new pods as they appear, until the
//! reader leaves; a stream that breaks is taken up again where it ended.
//!
//! Bounded: a line is cut at [`reader::LINE_BYTES`]; one line of each pod is held to merge, and with `tail` so many
//! lines, but at most [`merge::TAIL_BYTES`]; the newest [`MOST_PODS`] pods of a function are read; [`WAITING`] lines wait
//! for a slow reader, then nothing more is read.

mod follow;
mod merge;
mod position;
mod reader;

use std::sync::Arc;

use faas_api::{FunctionId, LogMessage};
use faas_k8s::labels;
use faas_provider::{Error, LogQuery};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::{self, BoxStream};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt as _;
use kube::api::ListParams;
use tokio::sync::mpsc;

use crate::Kube;
use crate::error::call;
use crate::state::PodName;
use follow::Follower;
use merge::Merge;
use position::Position;
use reader::{Line, Source, Start};

/// Pods whose logs are read at a time.
const MOST_PODS: usize = 100;
/// Lines that wait for a slow reader.
const WAITING: usize = 64;

/// Which log is read, and with what.
#[derive(Clone)]
struct Reading {
    kube: Kube,
    query: Arc<LogQuery>,
    lines: mpsc::Sender<LogMessage>,
}

impl Kube {
    pub(crate) async fn read_logs(&self, query: LogQuery) -> Result<BoxStream<'static, LogMessage>, Error> {
        self.read(&query.function).await?;
        let (lines, received) = mpsc::channel(WAITING);
        let reading = Reading { kube: self.clone(), query: Arc::new(query), lines };
        let sources = reading.open_all().await?;
        tokio::spawn(reading.run(sources));
        Ok(stream::unfold(received, next).boxed())
    }

    /// The function's pods, the newest last.
    async fn log_pods(&self, query: &LogQuery) -> Result<Vec<Pod>, Error> {
        let FunctionId { namespace, name } = &query.function;
        let params = ListParams::default().labels(&format!("{}={name}", labels::FUNCTION));
        let listed = call("list pods", self.namespaced::<Pod>(namespace).list(&params)).await?;
        let mut pods: Vec<Pod> =
            listed.items.into_iter().filter(|pod| wants(query, &pod.name_any())).collect();
        pods.sort_by_key(|pod| pod.creation_timestamp().map(|time| time.0));
        let too_many = pods.len().saturating_sub(MOST_PODS);
        pods.drain(..too_many);
        Ok(pods)
    }
}

impl Reading {
    /// What each pod has written; a pod that cannot be read has none, unless none can be.
    async fn open_all(&self) -> Result<Vec<Source>, Error> {
        let pods = self.kube.log_pods(&self.query).await?;
        let opened = join_all(pods.iter().map(|pod| self.open(pod))).await;
        let nothing_read = opened.iter().all(Result::is_err);
        let readable = opened.into_iter().filter_map(|result| match result {
            Err(error @ Error::Forbidden(_)) => Some(Err(error)),
            // A container that is only being made has no log, and that is an answer.
            Err(error @ (Error::Unavailable { .. } | Error::Internal { .. })) if nothing_read => {
                Some(Err(error))
            }
            result => result.ok().map(Ok),
        });
        readable.collect()
    }

    async fn open(&self, pod: &Pod) -> Result<Source, Error> {
        let name = PodName { uid: pod.uid().unwrap_or_default(), name: pod.name_any() };
        let tail = self.query.tail;
        let before = if was_restarted(pod, self.query.function.name.as_str()) {
            self.read_pod(&name.name, &Start { previous: true, tail, ..Start::default() }).await.ok()
        } else {
            None
        };
        let now = self.read_pod(&name.name, &Start { tail, ..Start::default() }).await;
        if let (Err(error), None) = (&now, &before) {
            tracing::debug!(pod = name.name, error = error as &dyn std::error::Error, "no log");
        }
        match (before, now) {
            (None, Err(error)) => Err(error),
            (before, now) => {
                let readers = before.into_iter().chain(now).collect();
                Ok(Source::new(name, readers, Position::since(self.query.since)))
            }
        }
    }

    async fn run(self, sources: Vec<Source>) {
        let lines = self.lines.clone();
        tokio::select! {
            () = self.send_all(sources) => {}
            () = lines.closed() => {}
        }
    }

    async fn send_all(self, sources: Vec<Source>) {
        let mut merge = Merge::new(sources).await;
        match self.query.tail {
            None => {
                while let Some(line) = merge.next().await {
                    self.send(line).await;
                }
            }
            Some(tail) => {
                for line in merge.last(tail).await {
                    self.send(line).await;
                }
            }
        }
        if self.query.follow {
            Follower::new(self, merge.into_positions()).run().await;
        }
    }

    /// Does nothing once the reader has left, when all of this ends.
    async fn send(&self, Line { instance, timestamp, text }: Line) {
        let FunctionId { namespace, name } = &self.query.function;
        let message = LogMessage {
            name: name.to_string(),
            namespace: namespace.to_string(),
            instance: instance.to_string(),
            timestamp,
            text,
        };
        let _ = self.lines.send(message).await;
    }
}

async fn next(mut received: mpsc::Receiver<LogMessage>) -> Option<(LogMessage, mpsc::Receiver<LogMessage>)> {
    Some((received.recv().await?, received))
}

fn wants(query: &LogQuery, pod: &str) -> bool {
    query.instance.as_ref().is_none_or(|instance| instance == pod)
}

/// Whether its container runs again after it ended: one that waits to be started again has the old log as its own.
fn was_restarted(pod: &Pod, container: &str) -> bool {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let status = statuses.into_iter().flatten().find(|status| status.name == container);
    let runs = |status: &&ContainerStatus| status.state.as_ref().is_some_and(|state| state.running.is_some());
    let ended = |status: &ContainerStatus| status.last_state.as_ref()?.terminated.as_ref().map(drop);
    status.filter(runs).and_then(ended).is_some()
}
