//! How often a role has lost its connection to NATS and made it anew, by the peers' names of that.

use faas_queue::nats::Jetstream;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, Registry};

/// Asks the queue whenever it is scraped.
struct Reconnects {
    queue: Jetstream,
    counter: IntCounter,
}

/// Registers the counter by this name.
pub(crate) fn register(registry: &Registry, name: &str, queue: &Jetstream) -> anyhow::Result<()> {
    let counter = IntCounter::new(name, "Times that the connection to NATS was made anew.")?;
    registry.register(Box::new(Reconnects { queue: queue.clone(), counter }))?;
    Ok(())
}

impl Collector for Reconnects {
    fn desc(&self) -> Vec<&Desc> {
        self.counter.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.counter.inc_by(self.queue.reconnects().saturating_sub(self.counter.get()));
        self.counter.collect()
    }
}
