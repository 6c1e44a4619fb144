//! The variables of of-watchdog's modes without a server in the handler.

use std::path::PathBuf;

use hyper::header::HeaderValue;

use super::{Logs, Reader};

/// One process per request, in `serializing` and `streaming`.
#[derive(Debug, Clone)]
pub(crate) struct Forking {
    /// Of every answer that the handler makes.
    pub(crate) content_type: HeaderValue,
    pub(crate) cgi_headers: bool,
    pub(crate) logs: Logs,
}

impl Reader<'_> {
    pub(super) fn forking(&mut self) -> Option<Forking> {
        self.ones = true;
        let (cgi_headers, logs) = (self.switch("cgi_headers", true), self.logs());
        Some(Forking { content_type: self.content_type()?, cgi_headers, logs })
    }

    fn content_type(&mut self) -> Option<HeaderValue> {
        let Some(text) = self.text("content_type") else {
            return Some(HeaderValue::from_static("application/octet-stream"));
        };
        let unfit = |_| self.problems.push(format!("content_type: {text:?} cannot stand in a header"));
        HeaderValue::from_str(&text).map_err(unfit).ok()
    }

    pub(super) fn static_path(&mut self) -> PathBuf {
        self.ones = true;
        self.text("static_path").unwrap_or_else(|| "/home/app/public".to_owned()).into()
    }
}
