//! Answers that this watchdog makes itself, and whose fault a failed one was.
//!
//! Bodies and statuses are the peers'; header `X-Faas-Fault` is ours, and never comes from a handler.

use std::process::ExitStatus;
use std::time::Duration;

use bytes::Bytes;
use faas_api::headers;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};

use crate::body::Body;
use crate::frame::Usage;

/// What goes back to the caller.
pub(crate) type Answer = Response<Body>;

/// Who ended a failed invocation, of those that are visible from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Watchdog,
    Handler,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Watchdog => "watchdog",
            Self::Handler => "handler",
        }
    }
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Answer {
    with_body(status, Body::empty())
}

/// An answer in plain text.
pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = with_body(status, Body::whole(text.into()));
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, plain);
    answer
}

/// An answer with any body.
pub(crate) fn with_body(status: StatusCode, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
}

/// Says who ended the invocation, and why.
pub(crate) fn blame(mut answer: Answer, side: Side, reason: &str) -> Answer {
    // Control characters would split or void the header; the reason is for people.
    let reason: String =
        reason.chars().map(|c| if c.is_ascii_control() || !c.is_ascii() { '?' } else { c }).collect();
    if let Ok(value) = HeaderValue::from_str(&format!("{}; {reason}", side.name())) {
        answer.headers_mut().insert(headers::FAULT, value);
    }
    answer
}

/// Marks an answer as made by `part` of the platform, as the peers do.
pub(crate) fn mark_internal(answer: &mut Answer, part: &'static str) {
    answer.headers_mut().insert(headers::INTERNAL, HeaderValue::from_static(part));
}

/// Says how long the handler took, six digits after the point.
pub(crate) fn stamp_duration(answer: &mut Answer, elapsed: Duration) {
    if let Ok(value) = HeaderValue::from_str(&format!("{:.6}", elapsed.as_secs_f64())) {
        answer.headers_mut().insert(headers::DURATION_SECONDS, value);
    }
}

/// Says what the invocation took, to the gateway, which keeps it to itself: seconds, seconds of processor time, bytes at
/// the peak.
pub(crate) fn stamp_usage(answer: &mut Answer, wall: Duration, usage: Option<Usage>) {
    let Some(Usage { cpu_micros, memory_bytes }) = usage else { return };
    let (wall, cpu) = (wall.as_secs_f64(), Duration::from_micros(cpu_micros).as_secs_f64());
    if let Ok(value) = HeaderValue::from_str(&format!("wall={wall:.6}, cpu={cpu:.6}, memory={memory_bytes}"))
    {
        answer.headers_mut().insert(headers::USAGE, value);
    }
}

/// Takes out what only the platform may say.
pub(crate) fn strip_platform_headers(headers: &mut HeaderMap) {
    headers.remove(headers::FAULT);
    headers.remove(headers::USAGE);
}

/// An exit in a sentence: `handler exited with status 1`.
pub(crate) fn handler_exit(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("handler exited with status {code}"),
        (None, signal) => format!("handler was killed by signal {}", signal.unwrap_or_default()),
    }
}

/// An exit as Go words it: `exit status 1`, `signal: killed`.
pub(crate) fn describe_exit(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => {
            let core = if status.core_dumped() { " (core dumped)" } else { "" };
            format!("signal: {}{core}", signal_name(signal))
        }
        (None, None) => status.to_string(),
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        11 => "segmentation fault",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        24 => "CPU time limit exceeded",
        25 => "file size limit exceeded",
        31 => "bad system call",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn exits_read_as_go_words_them() {
        for (raw, text) in [
            (0, "exit status 0"),
            (1 << 8, "exit status 1"),
            (255 << 8, "exit status 255"),
            (9, "signal: killed"),
            (15, "signal: terminated"),
            (0x0b | 0x80, "signal: segmentation fault (core dumped)"),
            (40, "signal: signal 40"),
        ] {
            assert_eq!(describe_exit(ExitStatus::from_raw(raw)), text);
        }
    }

    #[test]
    fn blame_names_side_and_reason() {
        for (side, reason, header) in [
            (Side::Handler, "exit status 1", "handler; exit status 1"),
            (Side::Watchdog, "a\r\nb", "watchdog; a??b"),
            (Side::Client, "naïve", "client; na?ve"),
        ] {
            let answer = blame(empty(StatusCode::BAD_REQUEST), side, reason);
            assert_eq!(answer.headers()["x-faas-fault"], header);
        }
    }

    #[test]
    fn durations_have_six_digits() {
        let mut answer = empty(StatusCode::OK);
        stamp_duration(&mut answer, Duration::from_micros(1_234_567));
        assert_eq!(answer.headers()["x-duration-seconds"], "1.234567");
    }
}
