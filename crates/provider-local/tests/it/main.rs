//! The local provider with real watchdogs, handlers and files.

mod conformance;
mod support;
