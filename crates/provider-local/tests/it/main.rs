//! The local provider with real watchdogs, handlers and files.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod conformance;
mod support;
