//! What of-watchdog's modes with one process per request have in common: `serializing` and `streaming`.

use std::ffi::OsString;

use hyper::http::request::Parts;

use super::fork::{Bounds, Source};
use super::lines::Lines;
use crate::config;
use crate::environ;

/// Forks handlers.
pub(crate) struct Forking {
    pub(super) settings: config::Forking,
    pub(super) source: Source,
    pub(super) bounds: Bounds,
}

impl Forking {
    /// The request, for the handler's environment.
    pub(super) fn variables(&self, head: &Parts) -> Vec<(OsString, OsString)> {
        if self.settings.cgi_headers { environ::of_watchdog_variables(head) } else { Vec::new() }
    }

    /// How its standard error is logged.
    pub(super) fn errors(&self) -> Lines {
        self.settings.logs.lines("stderr")
    }
}
