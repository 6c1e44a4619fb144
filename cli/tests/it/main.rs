//! The real executable against a small real HTTP server whose answers are canned and whose requests are recorded.

mod build;
mod deploy;
mod functions;
mod harness;
mod help;
mod invoke;
mod login;
mod queue;
mod secret;
