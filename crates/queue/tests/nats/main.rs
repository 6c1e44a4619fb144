//! The engine over NATS JetStream, against a real server.

#![expect(clippy::unwrap_used, reason = "a test helper that cannot go on has failed its test")]

mod basics;
mod bodies;
mod conformance;
mod crash;
mod idle;
mod late;
mod many;
mod opening;
mod random;
mod room;
mod steering;
mod support;
mod together;
