//! What the operator counts.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, IntGauge, Opts, Registry, histogram_opts};

/// Bounded: the outcomes are few.
pub(crate) struct Metrics {
    /// 1 while this copy leads.
    pub(crate) leader: IntGauge,
    reconciles: IntCounterVec,
    seconds: HistogramVec,
    writes: IntCounterVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            leader: IntGauge::new("faas_operator_leader", "1 while this copy leads")?,
            reconciles: IntCounterVec::new(
                Opts::new("faas_operator_reconciles_total", "reconciliations by outcome"),
                &["outcome"],
            )?,
            seconds: HistogramVec::new(
                histogram_opts!("faas_operator_reconcile_seconds", "duration of a reconciliation"),
                &["outcome"],
            )?,
            writes: IntCounterVec::new(
                Opts::new("faas_operator_writes_total", "requests that write, by kind of object"),
                &["kind"],
            )?,
        };
        registry.register(Box::new(metrics.leader.clone()))?;
        registry.register(Box::new(metrics.reconciles.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.writes.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn record_reconcile(&self, outcome: &str, elapsed: Duration) {
        self.reconciles.with_label_values(&[outcome]).inc();
        self.seconds.with_label_values(&[outcome]).observe(elapsed.as_secs_f64());
    }

    pub(crate) fn record_write(&self, kind: &str) {
        self.writes.with_label_values(&[kind]).inc();
    }
}
