//! What was accepted: an invocation to be made later.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::str::FromStr;

use bytes::Bytes;
use faas_api::FunctionId;
use futures_util::Stream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One asynchronous invocation, all but its body.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Also what its function and its callback get as `X-Call-Id`.
    pub id: CallId,
    /// Whether `id` is new and random, so that no other job has it; else an engine has to look. Of whoever appends.
    #[serde(skip)]
    pub fresh: bool,
    /// Who is invoked.
    pub function: FunctionId,
    /// The caller's.
    pub method: String,
    /// What follows the function's name in the path, as the caller wrote it: empty, or with a slash in front.
    pub path: String,
    /// Without its question mark; empty if there is none.
    pub query: String,
    /// The caller's.
    pub host: String,
    /// The caller's, end to end ones only, in their order. A value that is not UTF-8 was read as Latin-1.
    pub headers: Vec<(String, String)>,
    /// Where the answer is sent.
    pub callback: Option<String>,
    /// The function's annotations that say how it is retried and called back.
    pub annotations: BTreeMap<String, String>,
    /// When.
    pub accepted_at: Timestamp,
}

/// Without headers and addresses, which may hold credentials.
impl fmt::Debug for Job {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut job = formatter.debug_struct("Job");
        job.field("id", &self.id).field("function", &self.function).finish_non_exhaustive()
    }
}

/// A job's body, or its answer's.
pub enum Body {
    /// In memory.
    Whole(Bytes),
    /// As it comes. What follows an error is nothing.
    Stream(BodyStream),
}

/// Bytes as they come.
pub type BodyStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(formatter, "Whole({} bytes)", bytes.len()),
            Self::Stream(_) => formatter.write_str("Stream"),
        }
    }
}

/// Names a job, everywhere: up to 128 letters, digits, dashes and underscores, so that it is a path segment, a file's
/// name and a subject's token as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallId(String);

/// Why a text names no job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no call id: 1 to 128 letters, digits, dashes and underscores")]
pub struct InvalidCallId(pub String);

const LONGEST: usize = 128;

impl CallId {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CallId {
    type Err = InvalidCallId;

    fn from_str(text: &str) -> Result<Self, InvalidCallId> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for CallId {
    type Error = InvalidCallId;

    fn try_from(text: String) -> Result<Self, InvalidCallId> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let valid = (1..=LONGEST).contains(&text.len()) && text.bytes().all(plain);
        if valid { Ok(Self(text)) } else { Err(InvalidCallId(text)) }
    }
}

impl From<CallId> for String {
    fn from(id: CallId) -> Self {
        id.0
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_ids_are_safe_in_paths_and_subjects() {
        for good in ["a", "6f1c2a44-7b8e-4b8e-9d59-0d9d3e3d9a11", "A_b-9", &"a".repeat(128)] {
            assert_eq!(good.parse::<CallId>().unwrap().as_str(), good);
        }
        for bad in ["", "a.b", "a/b", "..", "a b", "*", ">", "ä", &"a".repeat(129)] {
            assert!(bad.parse::<CallId>().is_err(), "{bad}");
        }
    }
}
