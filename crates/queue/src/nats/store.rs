//! What the engine asks of the server, one request each: publish, purge, confirm; reading is in `lying`.
//!
//! Every request ends within [`PATIENCE`], as does waiting for a connection that broke; all of them fail with
//! [`Error::Unavailable`] then. `async-nats` reconnects by itself, for ever.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::client::Request;
use async_nats::connection::State;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{Client, HeaderMap, RequestErrorKind};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::names::{Names, Stream};
use crate::Error;

/// How long one request may take, and how long a lost connection is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

const WRITE: &str = "write to NATS";

/// The server's number for "wrong last sequence": somebody was faster.
const WRONG_LAST: [u64; 2] = [10_071, 10_164];

/// Its numbers for having no room: of the account, of the server, and, among other things, of the stream.
const NO_ROOM: [u64; 3] = [10_002, 10_023, 10_047];
const STORE_FAILED: u64 = 10_077;

/// A connection and the names of one queue on it.
#[derive(Debug, Clone)]
pub(super) struct Store {
    pub(super) client: Client,
    pub(super) context: Context,
    pub(super) names: Names,
}

/// What is to be published.
#[derive(Debug, Clone, Default)]
pub(super) struct Publish {
    pub(super) payload: Bytes,
    /// The last message on the subject must be this one; zero for none.
    pub(super) after: Option<u64>,
    /// On this subject instead, which may have wildcards.
    pub(super) among: Option<String>,
    pub(super) keep: Option<Duration>,
    pub(super) headers: HeaderMap,
}

/// Why the server did not take it.
#[derive(Debug)]
pub(super) enum Fault {
    /// The last message on the subject is another one.
    Conflict,
    /// Not reached, or it cannot. It may have taken it.
    Away(Error),
}

/// An error of the server's own.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("not connected to NATS")]
    NotConnected,
    #[error("NATS says {code}: {text:?}")]
    Says { code: u64, text: String },
    #[error("NATS answered what cannot be read")]
    Unreadable,
    #[error("NATS did not answer")]
    NotAnswered,
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Conflict => {
                Self::unavailable("write")(Refused::Says { code: 10_071, text: "changed".into() })
            }
            Fault::Away(error) => error,
        }
    }
}

/// What a server answers to a publication.
#[derive(Debug, Deserialize)]
struct Acknowledged {
    #[serde(default)]
    seq: u64,
    /// Of a batch, the messages that were written.
    count: Option<usize>,
    error: Option<ServerError>,
}

#[derive(Debug, Deserialize)]
struct ServerError {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

impl Publish {
    fn into_parts(self) -> (Bytes, HeaderMap) {
        let mut headers = self.headers;
        if let Some(after) = self.after {
            headers.insert("Nats-Expected-Last-Subject-Sequence", after.to_string());
        }
        if let Some(among) = self.among {
            headers.insert("Nats-Expected-Last-Subject-Sequence-Subject", among);
        }
        if let Some(keep) = self.keep {
            headers.insert("Nats-TTL", seconds(keep).to_string());
        }
        (self.payload, headers)
    }
}

/// The sequence of what was written: one message, or a batch of so many.
fn acknowledged(answer: &[u8], batch: Option<usize>) -> Result<u64, Fault> {
    let away = |refused| Err(Fault::Away(Error::unavailable(WRITE)(refused)));
    let answer: Acknowledged =
        serde_json::from_slice(answer).map_err(|source| Fault::Away(Error::unavailable(WRITE)(source)))?;
    match answer.error {
        None if answer.seq > 0 && answer.count == batch => Ok(answer.seq),
        None => away(Refused::Unreadable),
        Some(error) if WRONG_LAST.contains(&error.err_code) => Err(Fault::Conflict),
        Some(ServerError { err_code: code, description: text }) => away(Refused::Says { code, text }),
    }
}

impl Store {
    /// How often the connection was made anew.
    pub(super) fn reconnects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed).saturating_sub(1)
    }

    /// Writes one message. It is on the server's disk when this returns.
    pub(super) async fn publish(&self, subject: String, publish: Publish) -> Result<u64, Fault> {
        let (payload, headers) = publish.into_parts();
        let request = Request::new().payload(payload).headers(headers);
        let answer = self.request(WRITE, subject, request).await.map_err(Fault::Away)?;
        acknowledged(&answer.payload, None)
    }

    /// Writes all of these to one stream that allows it, or none. They are on the server's disk when this returns.
    pub(super) async fn publish_together(&self, messages: Vec<(String, Publish)>) -> Result<(), Fault> {
        self.connected(WRITE).await.map_err(Fault::Away)?;
        let (batch, last) = (Uuid::new_v4().simple().to_string(), messages.len());
        for (number, (subject, publish)) in (1..).zip(messages) {
            let (payload, mut headers) = publish.into_parts();
            headers.insert("Nats-Batch-Id", batch.as_str());
            headers.insert("Nats-Batch-Sequence", number.to_string());
            if number == last {
                headers.insert("Nats-Batch-Commit", "1");
                let request = Request::new().payload(payload).headers(headers);
                let answer = self.request(WRITE, subject, request).await.map_err(Fault::Away)?;
                return acknowledged(&answer.payload, Some(last)).map(drop);
            }
            let sent = self.client.publish_with_headers(subject, headers, payload).await;
            sent.map_err(|error| Fault::Away(Error::unavailable(WRITE)(error)))?;
        }
        Ok(())
    }

    /// Removes everything on a subject, which may have wildcards. Says how many.
    pub(super) async fn purge(&self, stream: Stream, subject: &str) -> Result<u64, Error> {
        let api = format!("STREAM.PURGE.{}", self.names.stream(stream));
        let answer = self.api_or_404("remove from NATS", api, &json!({ "filter": subject })).await?;
        Ok(answer.and_then(|answer| answer.get("purged")?.as_u64()).unwrap_or_default())
    }

    /// Removes one message. False if it was not there.
    pub(super) async fn delete(&self, stream: Stream, sequence: u64) -> Result<bool, Error> {
        let api = format!("STREAM.MSG.DELETE.{}", self.names.stream(stream));
        let answer = self.api_or_404("remove from NATS", api, &json!({ "seq": sequence })).await?;
        Ok(answer.is_some_and(|answer| answer.get("success").and_then(Value::as_bool).unwrap_or_default()))
    }

    /// The subjects on which something lies, below one with wildcards, in no order.
    pub(super) async fn subjects(&self, stream: Stream, filter: &str) -> Result<Vec<String>, Error> {
        let what = "list what lies in NATS";
        self.connected(what).await?;
        let handle = self.context.get_stream_no_info(self.names.stream(stream)).await;
        let handle = handle.map_err(Error::unavailable(what))?;
        let pages = handle.info_with_subjects(filter).await.map_err(Error::unavailable(what))?;
        let subjects = pages.map_ok(|(subject, _)| subject).try_collect();
        subjects.await.map_err(Error::unavailable(what))
    }

    /// Tells the server something about a delivery, and waits until it has heard. False if nobody minds it any more.
    pub(super) async fn confirm(&self, reply: &str, payload: String) -> Result<bool, Error> {
        let what = "acknowledge to NATS";
        self.connected(what).await?;
        let request = Request::new().payload(payload.into()).timeout(Some(PATIENCE));
        match self.client.send_request(reply.to_owned(), request).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == RequestErrorKind::NoResponders => Ok(false),
            Err(error) => Err(Error::unavailable(what)(error)),
        }
    }

    /// A request to the JetStream API; `None` if what it is about is not there.
    pub(super) async fn api_or_404(
        &self,
        what: &'static str,
        api: String,
        query: &Value,
    ) -> Result<Option<Value>, Error> {
        self.connected(what).await?;
        let answer = self.context.request(api, query).await.map_err(Error::unavailable(what))?;
        match answer {
            Response::Ok(value) => Ok(Some(value)),
            Response::Err { error } if is_absent(&error) => Ok(None),
            Response::Err { error } => Err(Error::unavailable(what)(error)),
        }
    }

    pub(super) async fn request(
        &self,
        what: &'static str,
        subject: String,
        request: Request,
    ) -> Result<async_nats::Message, Error> {
        self.connected(what).await?;
        let request = request.timeout(Some(PATIENCE));
        self.client.send_request(subject, request).await.map_err(Error::unavailable(what))
    }

    /// Waits a moment for the connection, since most that break are back at once.
    pub(super) async fn connected(&self, what: &'static str) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        while self.client.connection_state() != State::Connected {
            if Instant::now() >= deadline {
                return Err(Error::unavailable(what)(Refused::NotConnected));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// Whether what was asked about is not there. A message before the first that lies there has no number of its own for
/// that, but is one of all that could not be removed, with the cause as its text.
fn is_absent(error: &jetstream::Error) -> bool {
    match error.error_code() {
        ErrorCode::SEQUENCE_NOT_FOUND => true,
        ErrorCode::STREAM_MESSAGE_DELETE_FAILED => error.to_string().contains("no message found"),
        _ => error.code() == 404,
    }
}

/// Whether the server answered, and said no: nothing was written.
pub(super) fn refused(error: &Error) -> bool {
    match error {
        Error::Unavailable { source, .. } => matches!(source.downcast_ref(), Some(Refused::Says { .. })),
        _ => false,
    }
}

/// Whether it refused for want of room.
pub(super) fn full(error: &Error) -> bool {
    let Error::Unavailable { source, .. } = error else { return false };
    match source.downcast_ref() {
        Some(Refused::Says { code, text }) => {
            NO_ROOM.contains(code) || (*code == STORE_FAILED && text == "maximum bytes exceeded")
        }
        _ => false,
    }
}

/// At least one, rounded up: the server counts in seconds.
fn seconds(keep: Duration) -> u64 {
    keep.as_secs() + u64::from(keep.subsec_nanos() > 0).max(u64::from(keep.as_secs() == 0))
}
