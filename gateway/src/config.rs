//! What a gateway is told at start.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use faas_api::{Namespace, Version};
use faas_queue::OwnGateway;

use crate::{Credentials, IpRange};

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
    /// Threads that serve connections, each with its own runtime and its own connections to replicas. As many as there are
    /// cores keep to one each.
    pub workers: NonZeroUsize,
    /// The names of the platform's own gateway, of which callbacks may invoke functions and nothing else.
    pub own_gateway: OwnGateway,
    /// Whether an asynchronous invocation of an unknown function gets 404; else it gets 202, as with the peers, and its
    /// job comes to nothing.
    pub async_check_function: bool,
    /// What a client may take.
    pub limits: Limits,
    /// Clients whose `X-Forwarded-For` and `X-Forwarded-Host` are believed; those of all others are replaced. `None`
    /// believes everyone, as the peers do.
    pub trusted_proxies: Option<Vec<IpRange>>,
    /// HTTPS instead of HTTP.
    pub tls: Option<TlsFiles>,
    /// One log line for each invocation.
    pub access_log: bool,
    /// How long a drain goes on accepting connections, telling every client to come back on a new one.
    pub drain_notice: Duration,
}

/// What a user gets who configures nothing, of a version that says nothing.
impl Default for Config {
    fn default() -> Self {
        Self {
            namespace: Namespace::default(),
            credentials: None,
            upstream_timeout: Duration::from_mins(1),
            most_waiting: 1024,
            scale_from_zero: true,
            version: Version::default(),
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            own_gateway: OwnGateway::default(),
            async_check_function: false,
            limits: Limits::default(),
            trusted_proxies: None,
            tls: None,
            access_log: false,
            drain_notice: Duration::ZERO,
        }
    }
}

/// What a client may take before it is refused or cut off.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections of all clients; the next are closed at once.
    pub connections: usize,
    /// Connections of one address, unless it is a trusted proxy; the next are closed at once.
    pub connections_per_client: usize,
    /// Bytes of a request's head; 431 past it.
    pub head_bytes: usize,
    /// Bytes of a request's target; 414 past it.
    pub uri_bytes: usize,
    /// From a head's first byte to its last; then the connection is closed. With HTTP/2 it is the time for a request to
    /// come that holds.
    pub head_timeout: Duration,
    /// How long a connection may wait for its next request.
    pub idle_timeout: Duration,
    /// How long a request's body may be silent before its answer begins, and how long a client may take nothing of what is
    /// written to it.
    pub body_timeout: Duration,
    /// Requests at a time on one HTTP/2 connection.
    pub streams: u32,
    /// Bytes of an asynchronous invocation's body; 413 past it.
    pub async_body_bytes: u64,
    /// Bytes that bodies of asynchronous invocations take in memory until they are on disk, all of them together; 503
    /// past it.
    pub async_memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_client: 1_000,
            head_bytes: 1 << 20,
            uri_bytes: 16 << 10,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(1),
            body_timeout: Duration::from_mins(1),
            streams: 128,
            async_body_bytes: 256 << 20,
            async_memory_bytes: 64 << 20,
        }
    }
}

/// A certificate chain and its key, as PEM; read again when they change.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The server's certificate first.
    pub certificates: PathBuf,
    /// PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}
