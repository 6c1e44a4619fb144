//! Headers that change between caller and function, both ways.

use std::net::SocketAddr;

use axum::http::header::{
    CONNECTION, CONTENT_TYPE, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use faas_api::headers;
use jiff::Timestamp;
use uuid::Uuid;

const CALL_ID: HeaderName = HeaderName::from_static(headers::CALL_ID);
const USAGE: HeaderName = HeaderName::from_static(headers::USAGE);
const START_TIME: HeaderName = HeaderName::from_static(headers::START_TIME);
const FORWARDED_HOST: HeaderName = HeaderName::from_static(headers::FORWARDED_HOST);
const FORWARDED_FOR: HeaderName = HeaderName::from_static(headers::FORWARDED_FOR);

/// Meant for the next hop only (RFC 9110, 7.6.1, and the peers' list); the body's framing is each hop's own.
const HOP_BY_HOP: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    // The gateway has answered it itself by the time the function reads the body.
    EXPECT,
];

/// When the gateway took the invocation, as a header.
pub(crate) struct Started(HeaderValue);

impl Started {
    pub(crate) fn now() -> Self {
        let nanoseconds = Timestamp::now().as_nanosecond();
        Self(HeaderValue::try_from(nanoseconds.to_string()).unwrap_or(HeaderValue::from_static("0")))
    }
}

/// The caller's call id, or a new one.
pub(crate) fn call_id(request: &HeaderMap) -> HeaderValue {
    request.get(CALL_ID).cloned().unwrap_or_else(|| {
        let mut buffer = Uuid::encode_buffer();
        let text = Uuid::new_v4().hyphenated().encode_lower(&mut buffer);
        HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("-"))
    })
}

/// What the function gets: the caller's headers less the hop-by-hop ones, and ours.
pub(crate) fn to_function(
    headers: &mut HeaderMap,
    call_id: &HeaderValue,
    started: &Started,
    peer: SocketAddr,
) {
    remove_hop_by_hop(headers);
    headers.insert(CALL_ID, call_id.clone());
    headers.insert(START_TIME, started.0.clone());
    if !headers.contains_key(FORWARDED_HOST)
        && let Some(host) = headers.get(HOST).cloned()
    {
        headers.insert(FORWARDED_HOST, host);
    }
    if !headers.contains_key(FORWARDED_FOR)
        && let Ok(address) = HeaderValue::try_from(peer.to_string())
    {
        headers.insert(FORWARDED_FOR, address);
    }
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(crate::SERVED_BY));
}

/// What the caller gets besides the function's own; an answer that says nothing of its type is taken to have the
/// request's.
pub(crate) fn to_caller(
    headers: &mut HeaderMap,
    call_id: HeaderValue,
    started: Started,
    content_type: Option<HeaderValue>,
) {
    remove_hop_by_hop(headers);
    // For us alone.
    headers.remove(USAGE);
    headers.insert(CALL_ID, call_id);
    headers.insert(START_TIME, started.0);
    headers
        .entry(CONTENT_TYPE)
        .or_insert_with(|| content_type.unwrap_or(HeaderValue::from_static("text/plain")));
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(given: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let call_id = call_id(&headers);
        to_function(&mut headers, &call_id, &Started::now(), "10.0.0.1:99".parse().unwrap());
        headers
    }

    #[test]
    fn hop_by_hop_headers_and_those_that_connection_names_are_dropped() {
        let headers = forwarded(&[
            ("connection", "close, X-Secret-Hop"),
            ("x-secret-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("authorization", "Basic abc"),
            ("cookie", "a=b"),
        ]);
        for gone in ["connection", "x-secret-hop", "transfer-encoding", "te"] {
            assert!(!headers.contains_key(gone), "{gone}");
        }
        assert!(headers.contains_key("authorization") && headers.contains_key("cookie"));
    }

    #[test]
    fn what_the_caller_set_is_kept() {
        let headers = forwarded(&[
            ("host", "a.example"),
            ("x-call-id", "mine"),
            ("x-forwarded-for", "1.2.3.4"),
            ("user-agent", "curl"),
        ]);
        assert_eq!(headers["x-call-id"], "mine");
        assert_eq!(headers["x-forwarded-for"], "1.2.3.4");
        assert_eq!(headers["x-forwarded-host"], "a.example");
        assert_eq!(headers["user-agent"], "curl");
    }

    #[test]
    fn what_the_caller_left_out_is_added() {
        let headers = forwarded(&[]);
        assert_eq!(headers["x-call-id"].len(), 36);
        assert_eq!(headers["x-forwarded-for"], "10.0.0.1:99");
        assert_eq!(headers["user-agent"], crate::SERVED_BY);
        assert!(headers["x-start-time"].to_str().unwrap().parse::<u64>().unwrap() > 0);
    }

    #[test]
    fn callers_do_not_see_what_an_invocation_took() {
        let mut answer = HeaderMap::from_iter([(USAGE, HeaderValue::from_static("wall=1, cpu=1, memory=1"))]);
        to_caller(&mut answer, HeaderValue::from_static("id"), Started::now(), None);
        assert!(!answer.contains_key(USAGE) && answer.contains_key(CALL_ID));
    }
}
