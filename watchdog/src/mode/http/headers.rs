//! Which headers go to the handler's server, and which come back.
//!
//! What belongs to one connection stays on it. Framing is hyper's: a length that is known is told, anything else is
//! chunked; a request that names both is read as chunked and passed on so.

use faas_api::headers::START_TIME;
use hyper::Version;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::{request, response};

use crate::answer;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

pub(super) fn prepare_request(head: &mut request::Parts, host: &HeaderValue, websocket: bool) {
    head.version = Version::HTTP_11;
    strip_connection(&mut head.headers);
    if websocket {
        head.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        head.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    if head.headers.contains_key(TRANSFER_ENCODING) {
        head.headers.remove(CONTENT_LENGTH);
        head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if !head.headers.contains_key(HOST) {
        head.headers.insert(HOST, host.clone());
    }
}

/// For a body that was chunked and is now whole.
pub(super) fn set_length(headers: &mut HeaderMap, length: usize) {
    if headers.remove(TRANSFER_ENCODING).is_some() {
        headers.insert(CONTENT_LENGTH, length.into());
    }
}

pub(super) fn prepare_response(head: &mut response::Parts) {
    head.version = Version::HTTP_11;
    let upgrade =
        (head.status == hyper::StatusCode::SWITCHING_PROTOCOLS).then(|| head.headers.get(UPGRADE).cloned());
    strip_connection(&mut head.headers);
    head.headers.remove(TRANSFER_ENCODING);
    answer::strip_platform_headers(&mut head.headers);
    if let Some(Some(protocol)) = upgrade {
        head.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        head.headers.insert(UPGRADE, protocol);
    }
}

/// Takes out what is about one connection, and what `Connection` names besides.
pub(crate) fn strip_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // Not even its sender may have these dropped: they frame and address the request.
        .filter(|name| ![CONTENT_LENGTH, TRANSFER_ENCODING, HOST].contains(name) && name != START_TIME)
        .collect();
    for name in named.iter().chain(&[CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, UPGRADE]) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use hyper::{Request, Response};

    use super::*;

    fn prepared(headers: &[(&str, &str)], websocket: bool) -> Vec<String> {
        let mut request = Request::post("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut head = request.body(()).unwrap().into_parts().0;
        prepare_request(&mut head, &HeaderValue::from_static("up"), websocket);
        let show =
            |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        let mut lines: Vec<String> = head.headers.iter().map(show).collect();
        lines.sort();
        lines
    }

    #[test]
    fn what_belongs_to_the_connection_stays_on_it() {
        let sent =
            [("connection", "x-a, close, content-length"), ("x-a", "1"), ("x-b", "2"), ("te", "trailers")];
        let sent = [&sent[..], &[("keep-alive", "5"), ("content-length", "3"), ("host", "h")]].concat();
        assert_eq!(prepared(&sent, false), ["content-length: 3", "host: h", "x-b: 2"]);
    }

    #[test]
    fn framing_is_unambiguous_and_a_host_is_there() {
        let sent = [("content-length", "3"), ("transfer-encoding", "gzip, chunked")];
        assert_eq!(prepared(&sent, false), ["host: up", "transfer-encoding: chunked"]);
    }

    #[test]
    fn a_websocket_keeps_its_upgrade() {
        let sent = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket"), ("host", "h")];
        assert_eq!(prepared(&sent, true), ["connection: Upgrade", "host: h", "upgrade: websocket"]);
    }

    #[test]
    fn a_handler_cannot_say_whose_fault_it_was() {
        let response =
            Response::builder().header("x-faas-fault", "gateway; no").header("x-a", "1").body(()).unwrap();
        let mut head = response.into_parts().0;
        prepare_response(&mut head);
        assert_eq!(head.headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-a"]);
    }
}
