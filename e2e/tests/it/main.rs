//! The whole platform, from outside: the real binaries, interpreters and sockets, ports chosen by the system.

mod behaviour;
mod errors;
mod isolation;
mod lifecycle;
mod session;
mod wire;
