//! Accepting a job: its body apart if it is large, then one message.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::TryFutureExt as _;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::warn;
use uuid::Uuid;

use super::bodies::{Put, gather};
use super::message::{Content, OVERHEAD, Stored};
use super::names::{Place, Stream};
use super::store::{Fault, PATIENCE, Publish, refused};
use super::{Engine, batches};
use crate::{Body, Error, Job};

/// Carries a message's nonce where the message itself need not be read.
const NONCE: &str = "Of-Nonce";

impl Engine {
    /// What fits a message as base64, beside headers and names.
    pub(super) fn inline_limit(&self) -> usize {
        self.max_message().saturating_sub(OVERHEAD) / 4 * 3
    }

    fn max_message(&self) -> usize {
        // A few headers of ours go with it.
        self.store.client.max_payload().saturating_sub(1024)
    }

    pub(super) async fn append(&self, job: Job, body: Body) -> Result<(), Error> {
        self.synced.ensure(&self.store).await?;
        self.admit(&job.function).await?;
        let nonce = Uuid::new_v4().simple().to_string();
        let limit_bytes = self.settings.most_body;
        let inline = self.inline_limit().min(usize::try_from(limit_bytes).unwrap_or(usize::MAX));
        let (content, payload) = match gather(body, inline).await? {
            Ok(bytes) => self.build(job, bytes, nonce).await?,
            Err(body) => self.build_apart(job, body, nonce).await?,
        };
        let accepted = self.accept(&content, payload).await;
        // One that nobody answered about may have been accepted: the sweeper finds out.
        if let (Stored::Apart(object), Err(Error::Exists(_))) = (&content.body, &accepted) {
            self.remove_apart(place(&content.job), &object.part).await;
        }
        accepted?;
        self.count_one(&content.job.function);
        // The connection may have been made anew on the way.
        self.synced.ensure(&self.store).await
    }

    async fn build(&self, job: Job, bytes: Bytes, nonce: String) -> Result<(Content, Bytes), Error> {
        let content = Content { job, body: Stored::Inline(bytes.clone()), nonce };
        let payload = self.encode(&content)?;
        if payload.len() <= self.max_message() {
            return Ok((content, payload));
        }
        self.build_apart(content.job, Body::Whole(bytes), content.nonce).await
    }

    async fn build_apart(&self, job: Job, body: Body, nonce: String) -> Result<(Content, Bytes), Error> {
        let most_bytes = self.settings.most_body;
        let put = Put { stream: Stream::Bodies, place: place(&job), part: &nonce, most_bytes, keep: None };
        let object = self.store.put_body(&put, body).await?;
        let content = Content { job, body: Stored::Apart(object), nonce };
        let payload = self.encode(&content)?;
        if payload.len() > self.max_message() {
            self.remove_apart(place(&content.job), &content.nonce).await;
            return Err(Error::HeadTooLarge { limit_bytes: self.max_message() as u64 });
        }
        Ok((content, payload))
    }

    fn encode(&self, content: &Content) -> Result<Bytes, Error> {
        content.encode(self.store.names.queue()).map_err(Error::unavailable("write a job as JSON"))
    }

    /// Publishes it, unless one of that name is or was there.
    async fn accept(&self, content: &Content, payload: Bytes) -> Result<(), Error> {
        let id = &content.job.id;
        if content.job.fresh {
            return self.publish_surely(content, payload).await.map(|_| ());
        }
        let publish = self.publish_surely(content, payload);
        let known = self.lookups.entry(id.clone()).map_ok(|known| known.entry);
        let (published, known) = tokio::join!(publish, known);
        let sequence = published?;
        // It was published, perhaps only when a server was back that did not answer the other question.
        let known = match known {
            Ok(known) => known,
            Err(_) => self.store.anyones_entry_now(id).await?.entry,
        };
        // A worker may have had it by now: then the record is of this very job. One that has not ended though no job
        // lay there is what is left of a job that was purged.
        if known.is_none_or(|known| known.nonce == content.nonce || !known.ended()) {
            return Ok(());
        }
        // Should this fail, whoever takes it finds the record that says it ended.
        self.store.delete(Stream::Jobs, sequence).await?;
        Err(Error::Exists(id.clone()))
    }

    /// Repeats a publication of which it is not known whether it arrived, for a while. Its sequence; 0 of one that went
    /// with others.
    async fn publish_surely(&self, content: &Content, payload: Bytes) -> Result<u64, Error> {
        let job = &content.job;
        let subject = self.store.names.job(Stream::Jobs, place(job));
        let mut headers = HeaderMap::new();
        headers.insert(NONCE, content.nonce.as_str());
        let deadline = Instant::now() + PATIENCE * 2;
        let mut repeated = false;
        loop {
            let publish = Publish {
                payload: payload.clone(),
                after: Some(0),
                // No two functions have one of the same name. The server looks through all functions for it.
                among: (!job.fresh).then(|| self.store.names.anyones(Stream::Jobs, &job.id)),
                headers: headers.clone(),
                keep: None,
            };
            let together = job.fresh && !repeated && batches::fits(&payload);
            let published = if together {
                let publishing = self.batches.publish(subject.clone(), publish);
                // A part that nobody waits for any more is not sent.
                timeout_at(deadline, publishing).await.unwrap_or_else(|_| Err(batches::unknown())).map(|()| 0)
            } else {
                self.store.publish(subject.clone(), publish).await
            };
            match published {
                Ok(sequence) => return Ok(sequence),
                Err(Fault::Conflict) if repeated => return self.ours(content).await,
                Err(Fault::Conflict) => return Err(Error::Exists(job.id.clone())),
                Err(Fault::Away(error)) if Instant::now() >= deadline || refused(&error) => {
                    return Err(error);
                }
                Err(Fault::Away(_)) => {
                    repeated = true;
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// After a repetition: whether what is there is what we sent.
    async fn ours(&self, content: &Content) -> Result<u64, Error> {
        let id = &content.job.id;
        let exists = || Error::Exists(id.clone());
        let subject = self.store.names.anyones(Stream::Jobs, id);
        // No replica that lags: what is not ours is taken for another's, and our body removed.
        let lying = self.store.latest(Stream::Jobs, &subject).await?;
        if let Some(lying) = lying {
            let nonce = lying.headers.get(NONCE).map(async_nats::HeaderValue::as_str);
            return (nonce == Some(&content.nonce)).then_some(lying.sequence).ok_or_else(exists);
        }
        // Gone already: then it ran, and its record says whose it was.
        let known = self.store.anyones_entry_now(id).await?.entry;
        known.filter(|known| known.nonce == content.nonce).map(|_| 0).ok_or_else(exists)
    }

    pub(super) async fn remove_apart(&self, place: Place<'_>, part: &str) {
        if let Err(error) = self.store.remove_body(Stream::Bodies, place, part).await {
            warn!(call_id = %place.1, %error, "a body is left to the sweeper");
        }
    }
}

fn place(job: &Job) -> Place<'_> {
    (&job.function, &job.id)
}
