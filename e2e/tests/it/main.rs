//! The whole platform, from outside: the real binaries, interpreters and sockets, ports chosen by the system.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests, and tests that say why they skip"
)]

mod behaviour;
mod errors;
mod isolation;
mod lifecycle;
mod queue;
mod scheduling;
mod session;
mod tidy;
mod wire;
