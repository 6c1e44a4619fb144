//! The real binary: sockets, signals, children, exit codes.

#![expect(clippy::unwrap_used, reason = "a test helper that cannot go on has failed its test")]

mod bodies;
mod confinement;
mod contract;
mod fork;
mod fork_server;
mod forking;
mod function;
mod harness;
mod http;
mod lifecycle;
mod node;
mod python;
mod startup;
mod supervised;
mod worker;
