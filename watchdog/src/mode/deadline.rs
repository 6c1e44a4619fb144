//! How long one call may take.

use std::time::Duration;

use faas_api::headers::TIMEOUT;
use faas_api::parse_duration;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, UPGRADE};

/// What the caller asks for, at most what is configured (zero: nothing is). Streams may last, as the peers have it.
pub(super) fn deadline(headers: &HeaderMap, exec_timeout: Duration) -> Option<Duration> {
    if wants_stream(headers) { None } else { limit(headers, exec_timeout) }
}

/// The same for whatever the caller accepts: a process that is held is not for callers to keep.
pub(super) fn limit(headers: &HeaderMap, exec_timeout: Duration) -> Option<Duration> {
    let own = (!exec_timeout.is_zero()).then_some(exec_timeout);
    let asked = headers.get(TIMEOUT).and_then(|value| value.to_str().ok());
    let asked = asked.and_then(|text| parse_duration(text).ok()).filter(|asked| !asked.is_zero());
    asked.into_iter().chain(own).min()
}

pub(super) fn wants_websocket(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Whether the caller takes an answer that may last longer than `exec_timeout`.
pub(super) fn wants_stream(headers: &HeaderMap) -> bool {
    wants_websocket(headers) || headers.get_all(ACCEPT).iter().any(names_stream)
}

/// Whether an answer is such a one.
pub(super) fn is_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(names_stream)
}

fn names_stream(value: &HeaderValue) -> bool {
    let text = value.to_str().unwrap_or_default();
    text.contains("text/event-stream") || text.contains("application/x-ndjson")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_of_what_is_asked_and_what_is_configured_holds() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (name, value, configured, expect) in [
            ("x-none", "", 30, seconds(30)),
            ("x-none", "", 0, None),
            ("x-timeout", "5s", 30, seconds(5)),
            ("x-timeout", "5s", 0, seconds(5)),
            ("x-timeout", "1m", 30, seconds(30)),
            ("x-timeout", "0s", 30, seconds(30)),
            ("x-timeout", "soon", 30, seconds(30)),
            ("accept", "text/html, text/event-stream", 30, None),
            ("accept", "application/x-ndjson", 30, None),
            ("accept", "*/*", 30, seconds(30)),
            ("upgrade", "WebSocket", 30, None),
            ("upgrade", "h2c", 30, seconds(30)),
        ] {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
            assert_eq!(deadline(&headers, Duration::from_secs(configured)), expect, "{name}: {value}");
        }
    }
}
