//! One process per request: the classic watchdog.
//!
//! The body streams to standard input while output is gathered. A handler may ignore its input, close it, or exit
//! early. Once it has exited, whoever still holds its pipes (a grandchild) has [`GRACE`] to let go (`outlet`); then its
//! group is killed and the answer sent. Over its time, over its output limit, or without a client any more, it is
//! killed at once: dropping the child does it.
//!
//! Bounded: output as `output` says; a body for `marshal_request` at [`WHOLE`], beyond that 413.

pub(super) mod exchange;
mod marshal;
pub(super) mod outlet;
mod source;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use faas_api::format_duration;
use hyper::body::Body as _;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};

use self::exchange::{Failure, Input, Running, within};
pub(crate) use self::source::Source;
use crate::answer::{self, Answer, Side, describe_exit};
use crate::config::{self, Config};
use crate::frame::Usage;
use crate::inbound::Inbound;
use crate::log;
use crate::output::Output;
use crate::{environ, server};

/// How long pipes may stay open after the handler itself has exited.
const GRACE: Duration = Duration::from_secs(1);
/// The largest body that is held as a whole.
pub(super) const WHOLE: usize = 64 * 1024 * 1024;

/// Forks handlers.
pub(crate) struct Fork {
    bounds: Bounds,
    settings: config::Fork,
    source: Source,
}

/// How a process ended, and what it wrote.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) output: Output,
    pub(super) usage: Option<Usage>,
}

/// What every call is bounded by, and where large output goes.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    pub(super) exec_timeout: Duration,
    pub(super) read_timeout: Duration,
    pub(super) temp: PathBuf,
}

impl From<&Config> for Bounds {
    fn from(config: &Config) -> Self {
        let Config { exec_timeout, read_timeout, .. } = *config;
        Self { exec_timeout, read_timeout, temp: config.temp.clone() }
    }
}

impl Fork {
    pub(crate) fn new(bounds: Bounds, settings: config::Fork, source: Source) -> Self {
        Self { bounds, settings, source }
    }

    pub(crate) async fn answer(&self, request: Request<Inbound>) -> Answer {
        if !server::is_classic_method(request.method()) {
            return answer::empty(StatusCode::METHOD_NOT_ALLOWED);
        }
        let start = Instant::now();
        let (head, body) = request.into_parts();
        self.log_request(&head);
        match self.run(&head, body).await {
            Ok(ended) => self.finish(&head, ended, start.elapsed()),
            Err(failure) => Self::refuse(failure, self.bounds.exec_timeout),
        }
    }

    /// Runs one process with this request, for as long as it may.
    async fn run(&self, head: &Parts, body: Inbound) -> Result<Ended, Failure> {
        let variables = if self.settings.cgi_headers {
            environ::variables(head, body.size_hint().exact())
        } else {
            Vec::new()
        };
        within(self.bounds.exec_timeout, self.exchange(variables, head, body)).await
    }

    async fn exchange(
        &self,
        variables: Vec<(OsString, OsString)>,
        head: &Parts,
        body: Inbound,
    ) -> Result<Ended, Failure> {
        let input = if self.settings.marshal_request {
            let body = exchange::whole(body, WHOLE, self.bounds.read_timeout).await?;
            Input::Whole(marshal::document(&head.headers, &body))
        } else {
            Input::of(body, self.bounds.read_timeout).await?
        };
        let errors = (!self.settings.combine_output).then(|| self.settings.logs.lines("stderr"));
        let mut output = Output::new(self.bounds.temp.clone());
        let running = Running::start(&self.source, variables, input, errors).await?;
        let (status, usage) = running.finish(&mut output).await?;
        Ok(Ended { status, output, usage })
    }

    fn finish(&self, head: &Parts, ended: Ended, elapsed: Duration) -> Answer {
        let Ended { status, output, usage } = ended;
        self.log_result(&output, elapsed);
        let (code, before) = if status.success() {
            (StatusCode::OK, String::new())
        } else {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{}\n", describe_exit(status)))
        };
        let body = match output.into_body(&before) {
            Ok(body) => body,
            Err(error) => {
                return Self::refuse(
                    Failure::Output(crate::output::Error::Spool(error)),
                    self.bounds.exec_timeout,
                );
            }
        };
        let mut answer = answer::with_body(code, body);
        if !status.success() {
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            answer::stamp_usage(&mut answer, elapsed, usage);
            return answer::blame(answer, Side::Handler, &describe_exit(status));
        }
        if let Some(kind) = self.content_type(head) {
            answer.headers_mut().insert(CONTENT_TYPE, kind);
        }
        answer::stamp_duration(&mut answer, elapsed);
        answer::stamp_usage(&mut answer, elapsed, usage);
        answer
    }

    fn content_type(&self, head: &Parts) -> Option<HeaderValue> {
        match &self.settings.content_type {
            Some(kind) => HeaderValue::from_str(kind).ok(),
            None => head.headers.get(CONTENT_TYPE).cloned(),
        }
    }

    /// The answer to a request that got no exit status; `limit` is for the reason.
    pub(super) fn refuse(failure: Failure, limit: Duration) -> Answer {
        use StatusCode as Code;
        let (status, body, side, reason) = match failure {
            Failure::Timeout => {
                let reason = format!("no answer within {}", format_duration(limit));
                log::line(format_args!("Killed process: {reason}"));
                (Code::REQUEST_TIMEOUT, "Killed process.".to_owned(), Side::Handler, reason)
            }
            Failure::Body(reason) => (Code::BAD_REQUEST, reason.clone(), Side::Client, reason),
            Failure::BodyTooLarge => {
                let reason = "request body above 64 MiB".to_owned();
                (Code::PAYLOAD_TOO_LARGE, reason.clone(), Side::Client, reason)
            }
            Failure::Output(crate::output::Error::TooLarge) => {
                let reason = "output above 1 GiB".to_owned();
                (Code::INTERNAL_SERVER_ERROR, format!("{reason}\n"), Side::Handler, reason)
            }
            Failure::Output(error) => internal(&error),
            Failure::Spawn(error) if is_too_large(&error) => {
                let reason = "headers too large for a process".to_owned();
                (Code::REQUEST_HEADER_FIELDS_TOO_LARGE, format!("{reason}\n"), Side::Client, reason)
            }
            Failure::Unavailable(reason) => {
                (Code::SERVICE_UNAVAILABLE, format!("{reason}\n"), Side::Handler, reason)
            }
            Failure::Spawn(error) => internal(&Chain("failed to start the handler", error)),
            Failure::Wait(error) => {
                let reason = error.to_string();
                (Code::BAD_GATEWAY, format!("{reason}\n"), Side::Handler, reason)
            }
        };
        answer::blame(answer::text(status, body), side, &reason)
    }

    fn log_request(&self, head: &Parts) {
        log::later(format_args!("Forking fprocess."));
        if self.settings.debug_headers {
            for (name, value) in &head.headers {
                let name = environ::canonical(name.as_str());
                log::line(format_args!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
            }
        }
    }

    fn log_result(&self, output: &Output, elapsed: Duration) {
        let mut text = format!("Wrote {} Bytes - Duration: {:.6}s", output.len(), elapsed.as_secs_f64());
        if self.settings.write_debug {
            let seconds = elapsed.as_secs_f64();
            let shown = String::from_utf8_lossy(output.memory());
            let _ = write!(text, "\n{}\nDuration: {seconds:.6}s", shown.trim_end_matches('\n'));
        }
        log::later(format_args!("{text}"));
    }
}

/// Headers are variables, and Linux takes so much of them: 128 KiB each, and a quarter of the stack in all.
fn is_too_large(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::ArgumentListTooLong
}

/// A plain fact with the system's reason behind it.
#[derive(Debug)]
struct Chain(&'static str, std::io::Error);

impl std::fmt::Display for Chain {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.0)
    }
}

impl std::error::Error for Chain {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.1)
    }
}

fn internal(error: &dyn std::error::Error) -> (StatusCode, String, Side, String) {
    let reason = match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    log::line(format_args!("{reason}"));
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{reason}\n"), Side::Watchdog, reason)
}
