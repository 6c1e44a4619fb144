//! A failed invocation: its status and body, and whose fault it was. Header, metric and log read the same value.

use std::borrow::Cow;

use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use faas_api::headers;

use crate::service::Content;

/// Who ended an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The caller asked for what cannot be.
    Client,
    /// The gateway's own limit.
    Gateway,
    /// What keeps asynchronous invocations.
    Queue,
    /// The replica's own limit.
    Watchdog,
    /// The user's code.
    Handler,
    /// What runs replicas.
    Platform,
}

impl Side {
    pub(crate) const ALL: [Self; 6] =
        [Self::Client, Self::Gateway, Self::Queue, Self::Watchdog, Self::Handler, Self::Platform];

    /// Of an answer that says so. Only failures do.
    pub(crate) fn of_answer<B>(response: &Response<B>) -> Option<Self> {
        if response.status().as_u16() < 400 {
            return None;
        }
        let name = response.headers().get(headers::FAULT)?.to_str().ok()?.split(';').next()?;
        Some(Self::ALL.into_iter().find(|side| side.name() == name).unwrap_or(Self::Platform))
    }

    /// As the header and the metric's label write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gateway => "gateway",
            Self::Queue => "queue",
            Self::Watchdog => "watchdog",
            Self::Handler => "handler",
            Self::Platform => "platform",
        }
    }
}

/// What the caller gets when no replica answered.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) side: Side,
    pub(crate) status: StatusCode,
    /// For the header and the log.
    pub(crate) reason: Cow<'static, str>,
    /// The peers' text.
    pub(crate) body: String,
    /// Seconds after which another try may succeed.
    pub(crate) retry_after: Option<u16>,
}

impl Fault {
    pub(crate) fn new(side: Side, status: StatusCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { side, status, reason: reason.into(), body: String::new(), retry_after: None }
    }

    pub(crate) fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u16) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The answer. A caller's own mistake carries no `X-OpenFaaS-Internal`, which would make queues retry it.
    pub(crate) fn into_response(self) -> Response<Content> {
        let fault = format!("{}; {}", self.side.name(), self.reason);
        let mut response = Response::new(Content::Text(self.body.into()));
        *response.status_mut() = self.status;
        let answer = response.headers_mut();
        answer.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if let Ok(value) = HeaderValue::from_str(&fault.replace(|c: char| !(' '..='~').contains(&c), "?")) {
            answer.insert(HeaderName::from_static(headers::FAULT), value);
        }
        if self.side != Side::Client {
            answer.insert(HeaderName::from_static(headers::INTERNAL), HeaderValue::from_static("proxy"));
        }
        if let Some(seconds) = self.retry_after {
            answer.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
