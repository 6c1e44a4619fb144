//! Setting a replica aside, and trying it until it takes a connection again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Upstream, connect};
use crate::table::Shared;

/// Between the first tries; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Upstream {
    /// No invocation is sent to it until it takes a connection; those that wait are woken then.
    pub(crate) fn set_aside(self: &Arc<Self>, shared: &Arc<Shared>) {
        if self.aside.swap(true, Ordering::AcqRel) {
            return;
        }
        tracing::debug!(replica = self.replica.name, "set aside: it refused a connection, or broke one");
        let (upstream, shared) = (Arc::downgrade(self), Arc::clone(shared));
        tokio::spawn(async move {
            let (mut pause, mut told) = (FIRST_PAUSE, false);
            // A replica that left the table is nobody's any more.
            while let Some(upstream) = upstream.upgrade() {
                if connect::is_open(&upstream.replica.address).await {
                    upstream.aside.store(false, Ordering::Release);
                    if told {
                        tracing::info!(replica = upstream.replica.name, "takes connections again");
                    }
                    shared.changed.notify_waiters();
                    return;
                }
                if !std::mem::replace(&mut told, true) {
                    tracing::info!(
                        replica = upstream.replica.name,
                        "takes no connection; set aside until it does"
                    );
                }
                drop(upstream);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }
}
