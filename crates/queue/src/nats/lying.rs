//! Reading what lies in a stream: by any replica, which may lag a little, or by the leader, which knows.
//!
//! What was found is so; that something is not there is certain only if the leader says so. Asking it is dearer, so it
//! is asked before such an answer decides anything, and not before.

use async_nats::client::Request;
use async_nats::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::names::Stream;
use super::store::{Refused, Store};
use crate::Error;

/// A message that lies in a stream.
#[derive(Debug, Clone)]
pub(super) struct Lying {
    pub(super) subject: String,
    pub(super) sequence: u64,
    pub(super) time: Timestamp,
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
}

/// Whom a question is put to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// Any replica. That something is not there may be news to it only.
    Anyone,
    /// The one that decides.
    Leader,
}

impl Ask {
    /// One after the other, until something is found.
    pub(super) const BOTH: [Self; 2] = [Self::Anyone, Self::Leader];
}

/// Of a stream: how many messages lie there, and the sequence that was given last. What comes or goes changes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) messages: u64,
    pub(super) last: u64,
}

impl Store {
    /// The last message on a subject, which may have wildcards. A replica may answer that lags a little.
    pub(super) async fn last(&self, stream: Stream, subject: &str) -> Result<Option<Lying>, Error> {
        let address = format!("$JS.API.DIRECT.GET.{}.{subject}", self.names.stream(stream));
        self.direct(address, Bytes::new()).await
    }

    /// The first message on a subject with wildcards from this sequence on.
    pub(super) async fn next(
        &self,
        stream: Stream,
        subject: &str,
        from: u64,
    ) -> Result<Option<Lying>, Error> {
        let address = format!("$JS.API.DIRECT.GET.{}", self.names.stream(stream));
        let query = json!({ "seq": from.max(1), "next_by_subj": subject }).to_string();
        self.direct(address, query.into()).await
    }

    async fn direct(&self, address: String, query: Bytes) -> Result<Option<Lying>, Error> {
        let what = "read from NATS";
        let message = self.request(what, address, Request::new().payload(query)).await?;
        match message.status {
            Some(StatusCode::NOT_FOUND) => Ok(None),
            Some(status) if status != StatusCode::OK => {
                let text = message.description.unwrap_or_default();
                Err(Error::unavailable(what)(Refused::Says { code: status.as_u16().into(), text }))
            }
            _ => {
                let lying = Lying::of(message.headers.unwrap_or_default(), message.payload);
                lying.map(Some).ok_or_else(|| Error::unavailable(what)(Refused::Unreadable))
            }
        }
    }

    /// The last message on a subject, as the replica that decides knows it.
    pub(super) async fn latest(&self, stream: Stream, subject: &str) -> Result<Option<Lying>, Error> {
        let what = "read from NATS";
        let api = format!("STREAM.MSG.GET.{}", self.names.stream(stream));
        let query = json!({ "last_by_subj": subject });
        let Some(answer) = self.api_or_404(what, api, &query).await? else { return Ok(None) };
        let lying = answer.get("message").and_then(Lying::of_json);
        lying.map(Some).ok_or_else(|| Error::unavailable(what)(Refused::Unreadable))
    }

    /// How much lies in the stream.
    pub(super) async fn state(&self, stream: Stream) -> Result<Extent, Error> {
        let what = "count what lies in NATS";
        let api = format!("STREAM.INFO.{}", self.names.stream(stream));
        let Some(info) = self.api_or_404(what, api, &json!({})).await? else { return Ok(Extent::default()) };
        let number = |name: &str| info.get("state")?.get(name)?.as_u64();
        let extent = || Some(Extent { messages: number("messages")?, last: number("last_seq")? });
        extent().ok_or_else(|| Error::unavailable(what)(Refused::Unreadable))
    }

    /// As one of the two above.
    pub(super) async fn ask(&self, whom: Ask, stream: Stream, subject: &str) -> Result<Option<Lying>, Error> {
        match whom {
            Ask::Anyone => self.last(stream, subject).await,
            Ask::Leader => self.latest(stream, subject).await,
        }
    }

    /// The last message on a subject; that there is none is certain.
    pub(super) async fn find_last(&self, stream: Stream, subject: &str) -> Result<Option<Lying>, Error> {
        match self.last(stream, subject).await? {
            Some(lying) => Ok(Some(lying)),
            None => self.latest(stream, subject).await,
        }
    }
}

impl Lying {
    pub(super) fn of(headers: HeaderMap, payload: Bytes) -> Option<Self> {
        let text = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
        Some(Self {
            subject: text("Nats-Subject")?,
            sequence: text("Nats-Sequence")?.parse().ok()?,
            time: text("Nats-Time-Stamp")?.parse().ok()?,
            payload,
            headers,
        })
    }

    fn of_json(json: &Value) -> Option<Self> {
        let data = json.get("data").and_then(Value::as_str).unwrap_or_default();
        Some(Self {
            subject: json.get("subject")?.as_str()?.to_owned(),
            sequence: json.get("seq")?.as_u64()?,
            time: json.get("time")?.as_str()?.parse().ok()?,
            headers: headers_of(json.get("hdrs").and_then(Value::as_str).unwrap_or_default()),
            payload: STANDARD.decode(data).ok()?.into(),
        })
    }
}

/// Headers as they lie in the stream, in base64; those that cannot be read are left out.
fn headers_of(encoded: &str) -> HeaderMap {
    let bytes = STANDARD.decode(encoded).unwrap_or_default();
    let mut headers = HeaderMap::new();
    for line in String::from_utf8_lossy(&bytes).lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.trim().parse::<HeaderValue>()) {
            headers.append(name, value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_as_they_were_written() {
        let encoded = STANDARD.encode("NATS/1.0\r\nOf-Chunks: 7\r\nOf-Nonce:a:b\r\n\r\n");
        let headers = headers_of(&encoded);
        let text = |name: &str| headers.get(name).map(HeaderValue::as_str);
        assert_eq!((text("Of-Chunks"), text("Of-Nonce"), text("Other")), (Some("7"), Some("a:b"), None));
        for foreign in ["", "%", "AAAA"] {
            assert!(headers_of(foreign).is_empty(), "{foreign}");
        }
    }
}
