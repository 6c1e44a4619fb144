//! Setting a replica aside, and trying it until it takes a connection again. One that takes them and breaks them rests
//! first, longer each time until it has answered.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Upstream, connect};
use crate::table::Shared;

/// Between the first tries; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Upstream {
    /// No invocation is sent to it until it takes a connection, nor while it rests if it `broke` one; those that wait
    /// are woken then.
    pub(crate) fn set_aside(self: &Arc<Self>, shared: &Arc<Shared>, broke: bool) {
        if self.aside.swap(true, Ordering::AcqRel) {
            return;
        }
        tracing::debug!(replica = self.replica.name, "set aside: it refused a connection, or broke one");
        let rest = broke.then(|| rest_after(self.breaks.fetch_add(1, Ordering::Relaxed)));
        let (upstream, shared) = (Arc::downgrade(self), Arc::clone(shared));
        tokio::spawn(async move {
            if let Some(rest) = rest {
                tokio::time::sleep(rest).await;
            }
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

    /// It has answered: what it broke before counts no more.
    pub(crate) fn answered(&self) {
        if self.breaks.load(Ordering::Relaxed) > 0 {
            self.breaks.store(0, Ordering::Relaxed);
        }
    }
}

/// How long it rests that broke so many before.
fn rest_after(breaks: u32) -> Duration {
    let doubled = 1_u32.checked_shl(breaks).unwrap_or(u32::MAX);
    FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_double_and_end() {
        let rests = [0, 1, 4, 5, 31, 32, u32::MAX].map(|breaks| rest_after(breaks).as_millis());
        assert_eq!(rests, [50, 100, 800, 1000, 1000, 1000, 1000]);
    }
}
