//! What a gateway is told at start.

use std::time::Duration;

use faas_api::{Namespace, Version};

use crate::Credentials;

/// Values only; mains read the environment.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where functions live whose caller named no namespace.
    pub namespace: Namespace,
    /// What `/system` asks for; `None` leaves it open.
    pub credentials: Option<Credentials>,
    /// Bounds an invocation of a function that has no timeout of its own.
    pub upstream_timeout: Duration,
    /// Invocations of one function that may wait for its first replica; the next get 503.
    pub most_waiting: usize,
    /// Whether an invocation wakes a function that stands at zero; else it gets 503.
    pub scale_from_zero: bool,
    /// What `/system/info` says of the gateway.
    pub version: Version,
}
