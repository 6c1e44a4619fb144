//! The language runtimes, driven as the watchdog drives them: real interpreters, real sockets.

mod node;
mod python;
mod replica;
