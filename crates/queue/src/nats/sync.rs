//! Whether the server writes to disk before it answers.
//!
//! A client of JetStream is not told. It is told to the system account and by the monitoring address, so one of these
//! must be open to us:
//!
//! - `$SYS.REQ.SERVER.PING.JSZ` imported into our account: every server of the cluster answers;
//! - the monitoring addresses (`http_port`) of the servers, given to us.
//!
//! It is asked when the queue is opened, and says with it how much it takes; and again before a job is accepted on a
//! connection that was made anew. Not seen: a server of a cluster that is started anew with other settings while we are
//! connected to another one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::Client;
use futures_util::StreamExt as _;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::store::Store;
use crate::Error;

/// What is asked of the server's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Durability {
    /// Every server syncs always, or the queue is not opened.
    Checked {
        /// `host:port` of the servers' monitoring; may be empty if our account may ask them by itself.
        monitors: Vec<String>,
    },
    /// Whatever it does: what was accepted may be lost when a server's machine fails.
    Unchecked,
}

/// Why a server will not do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unsynced {
    /// It says so itself.
    #[error(
        "the NATS server {0:?} does not sync always: set `sync_interval: always` in its `jetstream` block, or allow \
         this queue to lose what was accepted when a machine fails"
    )]
    No(String),
    /// Nobody tells.
    #[error(
        "NATS does not say whether it syncs always: name its monitoring address (http_port), or import \
         $SYS.REQ.SERVER.PING.JSZ into our account, or allow this queue to lose what was accepted when a machine fails"
    )]
    Unknown,
}

/// How long servers have to answer, the first of them and each further one.
const FIRST: Duration = Duration::from_secs(2);
const FURTHER: Duration = Duration::from_millis(300);

/// How long a refusal is believed.
const FRESH: Duration = Duration::from_secs(1);

/// More than a monitoring page without details has.
const LONGEST_PAGE: u64 = 1 << 20;

/// What a server says of its JetStream.
#[derive(Debug, Deserialize)]
struct Jsz {
    #[serde(default)]
    server_id: String,
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    config: Config,
}

#[derive(Debug, Default, Deserialize)]
struct Config {
    #[serde(default)]
    sync_always: bool,
    /// Bytes that it takes.
    #[serde(default)]
    max_storage: i64,
}

/// What a server answers on `$SYS`.
#[derive(Debug, Deserialize)]
struct Envelope {
    data: Option<Jsz>,
}

/// Refuses servers that do not sync always, as far as it is asked. Says how many bytes the smallest of them takes, if
/// they say so.
pub(super) async fn check(client: &Client, durability: &Durability) -> Result<Option<i64>, Unsynced> {
    let mut answers = ask_system(client).await;
    let Durability::Checked { monitors } = durability else {
        warn!("not checked whether NATS syncs always: what was accepted may be lost when a machine fails");
        return Ok(room(&answers));
    };
    for monitor in monitors {
        answers.push(ask_monitor(monitor).await.ok_or(Unsynced::Unknown)?);
    }
    answers.retain(|answer| !answer.disabled);
    match answers.iter().find(|answer| !answer.config.sync_always) {
        Some(answer) => Err(Unsynced::No(answer.server_id.clone())),
        None if answers.is_empty() => Err(Unsynced::Unknown),
        None => Ok(room(&answers)),
    }
}

/// What is known of the server behind the connection, which may be another one each time it is made.
#[derive(Debug)]
pub(super) struct Synced {
    durability: Durability,
    /// The reconnection since which it was found to sync.
    since: AtomicU64,
    refused: Mutex<Option<(Instant, Unsynced)>>,
}

impl Synced {
    /// After the first [`check`].
    pub(super) fn new(durability: Durability, store: &Store) -> Self {
        Self { durability, since: AtomicU64::new(store.reconnects()), refused: Mutex::default() }
    }

    /// Refuses while the server does not sync always, or is not known to.
    pub(super) async fn ensure(&self, store: &Store) -> Result<(), Error> {
        let is_known = || self.since.load(Ordering::Relaxed) == store.reconnects();
        if self.durability == Durability::Unchecked || is_known() {
            return Ok(());
        }
        let what = "rely on NATS";
        let mut refused = self.refused.lock().await;
        match &*refused {
            _ if is_known() => return Ok(()),
            Some((at, unsynced)) if at.elapsed() < FRESH => {
                return Err(Error::unavailable(what)(unsynced.clone()));
            }
            _ => {}
        }
        store.connected(what).await?;
        let reconnects = store.reconnects();
        if let Err(unsynced) = check(&store.client, &self.durability).await {
            warn!(error = %unsynced, "no job is accepted");
            *refused = Some((Instant::now(), unsynced.clone()));
            return Err(Error::unavailable(what)(unsynced));
        }
        self.since.store(reconnects, Ordering::Relaxed);
        Ok(())
    }
}

fn room(answers: &[Jsz]) -> Option<i64> {
    answers.iter().map(|answer| answer.config.max_storage).filter(|bytes| *bytes > 0).min()
}

/// Every server's answer; none where we may not ask.
async fn ask_system(client: &Client) -> Vec<Jsz> {
    let mut answers = Vec::new();
    let inbox = client.new_inbox();
    let Ok(mut replies) = client.subscribe(inbox.clone()).await else { return answers };
    let asked = client.publish_with_reply("$SYS.REQ.SERVER.PING.JSZ", inbox, "".into()).await;
    let mut wait = FIRST;
    while asked.is_ok()
        && let Ok(Some(reply)) = timeout(wait, replies.next()).await
        // Nobody there to answer is a status.
        && reply.status.is_none()
    {
        answers.extend(serde_json::from_slice::<Envelope>(&reply.payload).ok().and_then(|reply| reply.data));
        wait = FURTHER;
    }
    answers
}

async fn ask_monitor(address: &str) -> Option<Jsz> {
    let page = timeout(FIRST, fetch(address)).await.ok()?.ok()?;
    let (head, body) = page.split_once("\r\n\r\n")?;
    let fine = head.split(' ').nth(1) == Some("200");
    fine.then(|| serde_json::from_str(body).ok()).flatten()
}

/// HTTP/1.0, so that the answer is whole and ends with the connection.
async fn fetch(address: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(address).await?;
    connection.write_all(format!("GET /jsz HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut page = String::new();
    connection.take(LONGEST_PAGE).read_to_string(&mut page).await?;
    Ok(page)
}
