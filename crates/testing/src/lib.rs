//! Fixtures for tests: a whole platform from the real binaries, in a folder of its own, on ports of its own.
//!
//! Everything it starts ends with it. It does not become: a mock of anything. Failures panic, saying what was seen.
#![expect(clippy::panic, clippy::missing_panics_doc, reason = "a fixture that fails is a failed test")]

mod cluster;
mod command;
mod http;
mod nats;
mod platform;
mod port;
mod routes;
pub mod strace;

pub use cluster::{Cluster, Installation, TEST_IMAGE};
pub use command::{Faas, Output};
pub use http::{Answer, Http};
pub use nats::Nats;
pub use platform::{Options, Platform, binary};
pub use port::Port;
pub use routes::Routes;

use std::time::{Duration, Instant};

/// Waits until `condition` gives something, looking every few milliseconds; panics after a minute.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited a minute for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether what a test needs has to be there.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
pub fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|ci| ci == "true")
}
