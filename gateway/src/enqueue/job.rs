//! From a request's head to a job: what the worker needs to make the same invocation later.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::header::{COOKIE, HOST, TRAILER};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use faas_api::{FunctionId, headers};
use faas_queue::{CallId, Job, annotation};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use super::{PREFIX, callback};
use crate::fault::Fault;
use crate::framing::Fields;
use crate::invoke::headers::{CALL_ID, CLAIMS, FORWARDED_FOR, FORWARDED_HOST, QUEUE, START_TIME};
use crate::invoke::path;
use crate::server::{Caller, Client};
use crate::table::Entry;
use crate::wake;

/// Everything of a job but its id.
pub(super) struct Draft<'a> {
    pub(super) function: FunctionId,
    /// What the gateway knows of the function, if anything.
    entry: Option<Arc<Entry>>,
    callback: Option<String>,
    parts: &'a Parts,
    fields: &'a Fields,
    caller: &'a Caller,
}

impl<'a> Draft<'a> {
    /// Refuses what is no function's name, what is no URL, and, where that is asked for, a function that is not there.
    pub(super) async fn new(client: &'a Client, parts: &'a Parts, fields: &'a Fields) -> Result<Self, Fault> {
        let gateway = &client.worker.gateway;
        let (name, _) = split(parts);
        let mut entry = gateway.0.table.written(name);
        let function = match &entry {
            Some(entry) => entry.function.clone(),
            None => path::parse(name, &gateway.0.config.namespace)?,
        };
        if entry.is_none() && gateway.0.config.async_check_function {
            entry = Some(Box::pin(wake::look_up(gateway, &function)).await?);
        }
        let callback = callback::parse(&parts.headers, &gateway.0.config.own_gateway)?;
        Ok(Self { function, entry, callback, parts, fields, caller: &client.caller })
    }

    /// The job by this name; nothing else has one that is fresh.
    pub(super) fn job(&self, id: CallId, fresh: bool) -> Job {
        let (parts, (_, path)) = (self.parts, split(self.parts));
        Job {
            id,
            fresh,
            function: self.function.clone(),
            method: parts.method.as_str().to_owned(),
            path: path.to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            host: self.host().unwrap_or_default(),
            headers: self.headers(),
            callback: self.callback.clone(),
            annotations: self.annotations(),
            accepted_at: Timestamp::now(),
        }
    }

    /// Whether the function sees the caller's method.
    pub(super) fn keeps_method(&self) -> bool {
        let terms = self.entry.as_ref().and_then(|entry| entry.route.terms.queue.as_deref());
        terms.and_then(|terms| terms.get(annotation::METHOD)).is_some_and(|method| method == "original")
    }

    /// It was accepted.
    pub(super) fn count(&self) {
        if let Some(entry) = &self.entry {
            entry.shared.accepted.get_or_init(Box::default).count();
        }
    }

    fn annotations(&self) -> BTreeMap<String, String> {
        let own = self.entry.as_ref().and_then(|entry| entry.route.terms.queue.as_deref());
        own.cloned().unwrap_or_default()
    }

    /// What the caller asked for; old clients name none.
    fn host(&self) -> Option<String> {
        let authority = self.parts.uri.authority().map(|authority| authority.as_str().to_owned());
        authority.or_else(|| self.fields.host.as_ref().map(text))
    }

    /// The caller's that are for the function. Its call id is the job's; when it began is when it is invoked.
    fn headers(&self) -> Vec<(String, String)> {
        let (given, fields) = (&self.parts.headers, self.fields);
        let named = fields.hop_by_hop.named(given);
        let mut headers = Vec::with_capacity(given.len() + 2);
        for (name, value) in given {
            if !OWN.contains(name) && !fields.hop_by_hop.covers(name, &named) && self.believes(name) {
                headers.push((name.as_str().to_owned(), text(value)));
            }
        }
        if fields.cookies > 1 {
            join_cookies(&mut headers);
        }
        if !(self.caller.trusted && fields.forwarded_for) {
            headers.push((headers::FORWARDED_FOR.to_owned(), text(&self.caller.address)));
        }
        if !(self.caller.trusted && fields.forwarded_host)
            && let Some(host) = self.host()
        {
            headers.push((headers::FORWARDED_HOST.to_owned(), host));
        }
        headers
    }

    /// Who is not believed does not choose what is said of it.
    fn believes(&self, name: &HeaderName) -> bool {
        self.caller.trusted || (name != FORWARDED_FOR && name != FORWARDED_HOST && !CLAIMS.contains(name))
    }
}

/// Of this request alone, or in the job's own fields. Trailers are not kept.
const OWN: [HeaderName; 5] = [HOST, CALL_ID, START_TIME, TRAILER, QUEUE];

/// The name as it was written, and what follows it, with its slash.
fn split(parts: &Parts) -> (&str, &str) {
    let path = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default();
    path.split_at(path.find('/').unwrap_or(path.len()))
}

/// As UTF-8, or else as Latin-1.
fn text(value: &HeaderValue) -> String {
    let bytes = value.as_bytes();
    let latin = || bytes.iter().copied().map(char::from).collect();
    std::str::from_utf8(bytes).map_or_else(|_| latin(), str::to_owned)
}

/// HTTP/2 may send a cookie in pieces; HTTP/1.1 has one line (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut Vec<(String, String)>) {
    let cookie = COOKIE.as_str();
    let pieces: Vec<_> = headers.extract_if(.., |(name, _)| name == cookie).map(|(_, piece)| piece).collect();
    headers.push((cookie.to_owned(), pieces.join("; ")));
}

/// The same for the same function and key. Nobody learns the key from it.
pub(super) fn derive_id(function: &FunctionId, key: &HeaderValue) -> Uuid {
    let hash =
        Sha256::new().chain_update(function.to_string()).chain_update([0]).chain_update(key.as_bytes());
    let hash = hash.finalize();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash).for_each(|(byte, hashed)| *byte = hashed);
    Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use faas_api::Namespace;

    use super::*;

    #[test]
    fn a_key_is_one_function_s() {
        let id = |function: &str, key: &str| {
            let function = FunctionId::parse(function, &Namespace::default()).unwrap();
            derive_id(&function, &HeaderValue::from_str(key).unwrap())
        };
        assert_eq!(id("f", "a"), id("f.openfaas-fn", "a"));
        assert_ne!(id("f", "a"), id("g", "a"));
        assert_ne!(id("f", "a"), id("f", "b"));
        assert_eq!(id("f", "a").get_version_num(), 8);
    }

    #[test]
    fn values_that_are_no_text_are_kept_as_they_can() {
        let text = |bytes: &[u8]| text(&HeaderValue::from_bytes(bytes).unwrap());
        assert_eq!(text("ä".as_bytes()), "ä");
        assert_eq!(text(b"\xe4"), "ä");
    }
}
