//! Looking up the records of many jobs by one request: what is asked while a request is under way goes with the next.
//!
//! Every append under a name of the caller's asks whether such a job ended already. One by one these questions cost the
//! server as much as the publications; together they cost little. Bounded: whoever finds the list full waits.

use std::collections::HashMap;

use futures_util::StreamExt as _;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::lying::Lying;
use super::names::{Stream, parse_job};
use super::records::Versioned;
use super::store::{PATIENCE, Refused, Store};
use crate::{CallId, Error};

/// Questions that wait, and that go together. The server answers about 1,024 at most.
const WAITING: usize = 1024;
const TOGETHER: usize = 512;

/// Asks on behalf of many.
#[derive(Debug, Clone)]
pub(super) struct Lookups(mpsc::Sender<Question>);

#[derive(Debug)]
struct Question {
    id: CallId,
    answer: oneshot::Sender<Option<Versioned>>,
}

impl Lookups {
    /// Asks until the last clone is gone.
    pub(super) fn start(store: Store) -> Self {
        let (sender, mut receiver) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            let mut questions = Vec::new();
            while receiver.recv_many(&mut questions, TOGETHER).await > 0 {
                answer(&store, std::mem::take(&mut questions)).await;
            }
        });
        Self(sender)
    }

    /// What is known of the job of that name, whatever its function.
    pub(super) async fn entry(&self, id: CallId) -> Result<Versioned, Error> {
        let unanswered = || Error::unavailable("read from NATS")(Refused::NotAnswered);
        let (answer, answered) = oneshot::channel();
        self.0.send(Question { id, answer }).await.map_err(|_| unanswered())?;
        answered.await.ok().flatten().ok_or_else(unanswered)
    }
}

async fn answer(store: &Store, questions: Vec<Question>) {
    let subject = |question: &Question| store.names.anyones(Stream::Records, &question.id);
    let subjects: Vec<String> = questions.iter().map(subject).collect();
    let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
    let lying = store.last_of(Stream::Records, &subjects).await.map(by_id);
    for Question { id, answer } in questions {
        let one = lying.as_ref().ok().map(|lying| Versioned::of(lying.get(&id).cloned()));
        let _ = answer.send(one);
    }
}

fn by_id(lying: HashMap<String, Lying>) -> HashMap<CallId, Lying> {
    lying.into_values().filter_map(|lying| Some((parse_job(&lying.subject)?.1, lying))).collect()
}

impl Store {
    /// The last messages on these subjects, by subject.
    pub(super) async fn last_of(
        &self,
        stream: Stream,
        subjects: &[&str],
    ) -> Result<HashMap<String, Lying>, Error> {
        let what = "read from NATS";
        self.connected(what).await?;
        let inbox = self.client.new_inbox();
        let mut replies = self.client.subscribe(inbox.clone()).await.map_err(Error::unavailable(what))?;
        let address = format!("$JS.API.DIRECT.GET.{}", self.names.stream(stream));
        let query = json!({ "multi_last": subjects }).to_string();
        let asked = self.client.publish_with_reply(address, inbox, query.into()).await;
        asked.map_err(Error::unavailable(what))?;
        let mut all = HashMap::new();
        loop {
            let reply = timeout(PATIENCE, replies.next()).await.map_err(Error::unavailable(what))?;
            let reply = reply.ok_or_else(|| Error::unavailable(what)(Refused::NotAnswered))?;
            match reply.status.map(|status| status.as_u16()) {
                None => {
                    let lying = Lying::of(reply.headers.unwrap_or_default(), reply.payload);
                    all.extend(lying.map(|lying| (lying.subject.clone(), lying)));
                }
                // The end of what there is, or nothing at all.
                Some(204 | 404) => return Ok(all),
                Some(code) => {
                    let text = reply.description.unwrap_or_default();
                    return Err(Error::unavailable(what)(Refused::Says { code: code.into(), text }));
                }
            }
        }
    }
}
