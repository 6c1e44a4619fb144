//! The gateway's data path over raw sockets: a real gateway in this process, real upstreams on loopback.
//!
//! Everything listens on a port of its own and waits on conditions, within [`fixture::LIMIT`].

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test helper that cannot go on has failed its test")]

mod balance;
mod bulk;
mod drain;
mod fixture;
mod forwarded;
mod framing;
mod fuzzing;
mod h2spec;
mod limits;
mod metrics;
mod paths;
mod protocols;
mod queue;
mod tls;
