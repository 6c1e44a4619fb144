//! The worker's metrics, peers' names kept. Series of a function live as long as its lane. What waits is the gateway's
//! to say, which a queue has whether somebody works on it or not.

use faas_api::FunctionId;
use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::lane::Verdict;
use crate::Then;

/// All of them. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    queue_name: String,
    processed: IntCounter,
    running: IntGaugeVec,
    attempts: IntCounterVec,
    ends: IntCounterVec,
    callbacks: IntCounterVec,
}

impl Metrics {
    /// Of the worker of one queue.
    pub fn new(registry: &Registry, queue_name: &str) -> Result<Self, prometheus::Error> {
        let processed = counters(
            registry,
            "queue_worker_messages_processed_total",
            "Jobs that ended, callback included.",
            &["queue_name"],
        )?;
        let of_function = &["queue_name", "function_name"];
        Ok(Self {
            queue_name: queue_name.to_owned(),
            processed: processed.with_label_values(&[queue_name]),
            running: gauges(
                registry,
                "queue_worker_function_invocation_inflight",
                "Jobs in hand.",
                of_function,
            )?,
            attempts: counters(
                registry,
                "faas_queue_attempts_total",
                "Invocations of jobs: answered, failed, busy or unreached.",
                &["outcome"],
            )?,
            ends: counters(registry, "faas_queue_ended_total", "Jobs that ended: done or dead.", &["state"])?,
            callbacks: counters(
                registry,
                "faas_queue_callbacks_total",
                "Tries of callbacks: delivered or failed.",
                &["outcome"],
            )?,
        })
    }

    pub(super) fn record_running(&self, function: &FunctionId, running: usize) {
        let labels = [self.queue_name.as_str(), &function.to_string()];
        self.running.with_label_values(&labels).set(i64::try_from(running).unwrap_or(i64::MAX));
    }

    pub(super) fn forget(&self, function: &FunctionId) {
        // One that never had a job has none.
        let _ = self.running.remove_label_values(&[self.queue_name.as_str(), &function.to_string()]);
    }

    pub(super) fn record_attempt(&self, verdict: Verdict, failed: bool) {
        let outcome = match verdict {
            Verdict::Busy(_) => "busy",
            Verdict::Unreached => "unreached",
            Verdict::Answered(_) | Verdict::Silent if failed => "failed",
            Verdict::Answered(_) | Verdict::Silent => "answered",
        };
        self.attempts.with_label_values(&[outcome]).inc();
    }

    pub(super) fn record_end(&self, then: Then) {
        let state = match then {
            Then::Done => "done",
            Then::Dead => "dead",
            Then::Hold | Then::Later(_) => return,
        };
        self.ends.with_label_values(&[state]).inc();
        self.processed.inc();
    }

    pub(super) fn record_callback(&self, delivered: bool) {
        self.callbacks.with_label_values(&[if delivered { "delivered" } else { "failed" }]).inc();
    }
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
}

fn gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntGaugeVec, prometheus::Error> {
    register(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
