//! A job as JSON in the stream: the contract's queue message in Go's spelling, and what we need besides.
//!
//! A message of somebody else, without our fields, is a job as well, as far as it says enough. Names in `Header` are
//! spelled as Go looks them up; where that, or grouping by name, loses something, `Headers` has them as they were.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use faas_api::{FunctionId, Namespace};
use jiff::Timestamp;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bodies::Object;
use super::url::GoUrl;
use crate::{CallId, Job};

/// What lies in the stream.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wire {
    #[serde(default)]
    header: Header,
    #[serde(default)]
    host: String,
    #[serde(default)]
    body: Option<String>,
    method: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    query_string: String,
    function: String,
    #[serde(default)]
    queue_name: String,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    callback_url: Option<GoUrl>,
    /// Ours, from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    callback: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    headers: Option<Vec<(String, String)>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accepted_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    object: Option<Object>,
    #[serde(default)]
    nonce: String,
}

/// A message's content.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) job: Job,
    pub(super) body: Stored,
    /// Tells this acceptance from another one under the same name.
    pub(super) nonce: String,
}

/// Where a body is.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Stored {
    Inline(Bytes),
    Apart(Object),
}

impl fmt::Debug for Stored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(bytes) => write!(formatter, "Inline({} bytes)", bytes.len()),
            Self::Apart(object) => formatter.debug_tuple("Apart").field(object).finish(),
        }
    }
}

/// Why a message is no job.
#[derive(Debug, thiserror::Error)]
pub(super) enum Malformed {
    #[error("failed to read it as JSON")]
    Json(#[from] serde_json::Error),
    #[error("its body is not base64")]
    Body(#[from] base64::DecodeError),
    #[error("its subject names no job")]
    Subject,
}

/// Bytes that a message needs beside headers and body: names, addresses, annotations.
pub(super) const OVERHEAD: usize = 96 << 10;

impl Content {
    pub(super) fn encode(&self, queue: &str) -> Result<Bytes, serde_json::Error> {
        let header = Header::of(&self.job.headers);
        let same = header.list() == self.job.headers;
        let (body, object) = match &self.body {
            Stored::Inline(bytes) => (Some(STANDARD.encode(bytes)), None),
            Stored::Apart(object) => (None, Some(object.clone())),
        };
        let job = &self.job;
        let wire = Wire {
            header,
            host: job.host.clone(),
            body,
            method: job.method.clone(),
            path: job.path.clone(),
            query_string: job.query.clone(),
            function: job.function.to_string(),
            queue_name: queue.to_owned(),
            annotations: Some(job.annotations.clone()),
            callback_url: job.callback.as_deref().map(GoUrl::parse),
            callback: job.callback.clone(),
            headers: (!same).then(|| job.headers.clone()),
            accepted_at: Some(job.accepted_at),
            object,
            nonce: self.nonce.clone(),
        };
        serde_json::to_vec(&wire).map(Bytes::from)
    }

    /// Reads the message that lies at a function's and job's place, since `stored_at`.
    pub(super) fn decode(
        payload: &[u8],
        (function, id): (FunctionId, CallId),
        stored_at: Timestamp,
    ) -> Result<Self, Malformed> {
        let wire: Wire = serde_json::from_slice(payload)?;
        let named = FunctionId::parse(&wire.function, &Namespace::default()).ok();
        if named.is_some_and(|named| named != function) {
            return Err(Malformed::Subject);
        }
        let body = match wire.object {
            Some(object) => Stored::Apart(object),
            None => Stored::Inline(STANDARD.decode(wire.body.unwrap_or_default())?.into()),
        };
        let job = Job {
            id,
            fresh: false,
            function,
            method: wire.method,
            path: wire.path,
            query: wire.query_string,
            host: wire.host,
            headers: wire.headers.unwrap_or_else(|| wire.header.list()),
            callback: wire.callback.or_else(|| wire.callback_url.map(|url| url.text())),
            annotations: wire.annotations.unwrap_or_default(),
            accepted_at: wire.accepted_at.unwrap_or(stored_at),
        };
        Ok(Self { job, body, nonce: wire.nonce })
    }
}

/// Go's `http.Header`, in the order that the names first had.
#[derive(Debug, Default, PartialEq, Eq)]
struct Header(Vec<(String, Vec<String>)>);

impl Header {
    fn of(headers: &[(String, String)]) -> Self {
        let mut grouped: Vec<(String, Vec<String>)> = Vec::new();
        for (name, value) in headers {
            let name = canonical(name);
            match grouped.iter_mut().find(|(other, _)| *other == name) {
                Some((_, values)) => values.push(value.clone()),
                None => grouped.push((name, vec![value.clone()])),
            }
        }
        Self(grouped)
    }

    /// Names small, as everywhere inside.
    fn list(&self) -> Vec<(String, String)> {
        let one = |(name, values): &(String, Vec<String>)| {
            let name = name.to_ascii_lowercase();
            values.iter().map(|value| (name.clone(), value.clone())).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(one).collect()
    }
}

/// `x-call-id` as `X-Call-Id`.
fn canonical(name: &str) -> String {
    let mut upper = true;
    let letter = |letter: char| {
        let now = if upper { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
        upper = letter == '-';
        now
    };
    name.chars().map(letter).collect()
}

impl Serialize for Header {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, values) in &self.0 {
            map.serialize_entry(name, values)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Header;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("names with lists of values")
    }

    fn visit_unit<E>(self) -> Result<Header, E> {
        Ok(Header::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = map.next_entry()? {
            list.push(entry);
        }
        Ok(Header(list))
    }
}

#[cfg(test)]
mod tests;
