//! What keeps asynchronous invocations, and its variables.

#[cfg(feature = "kubernetes")]
pub(crate) mod nats;
#[cfg(feature = "kubernetes")]
pub(crate) mod reconnects;
pub(crate) mod worker;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use faas_gateway::Limits;
use faas_queue::embedded::Embedded;
use faas_queue::{Queue, Settings};

use super::variables;
use crate::env::Env;

/// As metrics name it, and the stream that the peers' chart makes.
pub(crate) const NAME: &str = "faas-request";

/// Limits of every queue; the body's is the gateway's.
pub(crate) fn settings(env: &Env, limits: &Limits) -> Settings {
    let default = Settings::default();
    Settings {
        lease: variables::duration(env, "ack_wait", default.lease).max(Duration::from_secs(1)),
        keep_ended: variables::duration(env, "queue_retention", default.keep_ended),
        most_waiting: variables::number(env, "queue_depth_limit", default.most_waiting).max(1),
        most_body: limits.async_body_bytes,
    }
}

/// The queue in a data directory, where one machine keeps it.
pub(crate) fn embedded(folder: &Path, settings: Settings) -> anyhow::Result<Arc<dyn Queue>> {
    let queue =
        Embedded::open(folder, settings).context("cannot open the queue of asynchronous invocations")?;
    Ok(Arc::new(queue))
}
