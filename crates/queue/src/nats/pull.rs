//! What a function's consumer hands out.

use async_nats::Message;
use async_nats::jetstream::message::Message as Delivery;
use faas_api::FunctionId;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use serde_json::json;
use tokio::time::timeout;

use super::Engine;
use super::message::{Content, Malformed};
use super::names::{Names, Stream, parse_job};
use super::store::PATIENCE;
use crate::{CallId, Error};

/// Bytes of messages that come at once, unless one alone has more.
const MOST_BYTES: usize = 32 << 20;

/// A delivery, and what it is of.
pub(super) struct Delivered {
    pub(super) id: CallId,
    pub(super) reply: String,
    pub(super) message: Message,
    /// Of the message in its stream.
    pub(super) sequence: u64,
    /// Not the first time, as far as the server knows.
    pub(super) again: bool,
    /// Its subject names no job; `id` is made up.
    foreign: bool,
    time: Timestamp,
}

impl Engine {
    /// Asks the function's consumer, which is made if it is not there.
    pub(super) async fn pull(&self, function: &FunctionId, most: usize) -> Result<Vec<Message>, Error> {
        if most == 0 {
            return Ok(Vec::new());
        }
        // Once in each process, so that a consumer of old has the settings of now.
        if !self.consumers().contains(function) && self.make_consumer(function).await?.all() == 0 {
            return Ok(Vec::new());
        }
        if let Some(messages) = self.pull_once(function, most).await? {
            return Ok(messages);
        }
        self.consumers().remove(function);
        self.make_consumer(function).await?;
        Ok(self.pull_once(function, most).await?.unwrap_or_default())
    }

    /// `None` if there is no such consumer.
    async fn pull_once(&self, function: &FunctionId, most: usize) -> Result<Option<Vec<Message>>, Error> {
        let what = "take jobs from NATS";
        self.store.connected(what).await?;
        let client = &self.store.client;
        let inbox = client.new_inbox();
        let mut replies = client.subscribe(inbox.clone()).await.map_err(Error::unavailable(what))?;
        let stream = self.store.names.stream(Stream::Jobs);
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{}", Names::consumer(function));
        let max_bytes = MOST_BYTES.max(client.max_payload() * 2);
        let query = json!({ "batch": most, "no_wait": true, "max_bytes": max_bytes }).to_string();
        let asked = client.publish_with_reply(subject, inbox, query.into()).await;
        asked.map_err(Error::unavailable(what))?;
        let mut messages = Vec::new();
        while messages.len() < most {
            let next = timeout(PATIENCE, replies.next()).await;
            match next {
                Ok(Some(reply)) => match reply.status.map(|status| status.as_u16()) {
                    None => messages.push(reply),
                    Some(503) if messages.is_empty() => return Ok(None),
                    Some(_) => break,
                },
                // What came is ours, whatever happened then.
                Ok(None) | Err(_) if !messages.is_empty() => break,
                Ok(None) => return Ok(Some(messages)),
                Err(elapsed) => return Err(Error::unavailable(what)(elapsed)),
            }
        }
        Ok(Some(messages))
    }

    pub(super) fn read_delivery(&self, message: Message) -> Option<Delivered> {
        let reply = message.reply.as_ref()?.to_string();
        let named = parse_job(&message.subject).map(|(_, id)| id);
        let delivery = Delivery { message, context: self.store.context.clone() };
        let info = delivery.info().ok()?;
        let again = info.delivered > 1;
        let time = Timestamp::from_nanosecond(info.published.unix_timestamp_nanos()).ok()?;
        let foreign = named.is_none();
        let sequence = info.stream_sequence;
        let id = named.or_else(|| format!("foreign-{sequence}").parse().ok())?;
        Some(Delivered { id, reply, again, foreign, time, sequence, message: delivery.message })
    }
}

impl Delivered {
    pub(super) fn time(&self) -> Timestamp {
        self.time
    }

    pub(super) fn content(&self, function: &FunctionId) -> Result<Content, Malformed> {
        if self.foreign {
            return Err(Malformed::Subject);
        }
        let place = (function.clone(), self.id.clone());
        Content::decode(&self.message.payload, place, self.time)
    }
}
