//! The line that is logged for each request, as of-watchdog writes it.

use std::time::Instant;

use hyper::header::USER_AGENT;
use hyper::{Method, Request, StatusCode, Uri};

use crate::inbound::Inbound;
use crate::log;

/// Logged when dropped, which is when the answer was sent or given up.
#[derive(Debug)]
pub(crate) struct AccessLog {
    method: Method,
    uri: Uri,
    start: Instant,
    /// The call's id, where it is asked for.
    call_id: Option<String>,
    /// Status and length, once known.
    answer: Option<(StatusCode, Option<u64>)>,
}

impl AccessLog {
    /// None for probes, which would fill the log.
    pub(super) fn of(request: &Request<Inbound>, start: Instant, with_call_id: bool) -> Option<Self> {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        if header(USER_AGENT.as_str()).is_some_and(|agent| agent.starts_with("kube-probe")) {
            return None;
        }
        let call_id = with_call_id.then(|| header(faas_api::headers::CALL_ID).unwrap_or("none").to_owned());
        let (method, uri) = (request.method().clone(), request.uri().clone());
        Some(Self { method, uri, start, call_id, answer: None })
    }

    pub(super) fn answered(mut self, status: StatusCode, length: Option<u64>) -> Self {
        self.answer = Some((status, length));
        self
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        let Some((status, length)) = self.answer else { return };
        let Self { method, uri, start, call_id, .. } = self;
        let (size, seconds) = (human_size(length), start.elapsed().as_secs_f64());
        let call_id = call_id.as_ref().map(|id| format!(" [{id}]")).unwrap_or_default();
        log::later(format_args!(
            "{method} {uri} - {status} - ContentLength: {size} ({seconds:.4}s){call_id}"
        ));
    }
}

/// `39B`, `1.234kB`, `20MB`: four digits, thousands. An unknown length is `-1B`, as the peers print it.
fn human_size(bytes: Option<u64>) -> String {
    let Some(bytes) = bytes else { return "-1B".to_owned() };
    let mut unit = 1_u64;
    let mut names = ["B", "kB", "MB", "GB", "TB", "PB"].into_iter();
    let mut name = names.next().unwrap_or_default();
    while let Some(next) = names.next().filter(|_| bytes / unit >= 1000) {
        (unit, name) = (unit * 1000, next);
    }
    let (whole, rest) = (bytes / unit, bytes % unit);
    let digits = 3_u32.saturating_sub(whole.max(1).ilog10());
    let fraction = u128::from(rest) * 10_u128.pow(digits) / u128::from(unit);
    let text = format!("{whole}.{fraction:0width$}", width = digits as usize);
    format!("{}{name}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_four_digits() {
        for (bytes, text) in [
            (0, "0B"),
            (39, "39B"),
            (999, "999B"),
            (1000, "1kB"),
            (1234, "1.234kB"),
            (12_345, "12.34kB"),
            (999_999, "999.9kB"),
            (20_000_000, "20MB"),
            (u64::MAX, "18446PB"),
        ] {
            assert_eq!(human_size(Some(bytes)), text);
        }
        assert_eq!(human_size(None), "-1B");
    }
}
