//! Every metric of the gateway: peers' names kept, labels bounded. Counters are made at a function's first call and
//! go with it; unknown names never make one.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::StatusCode;
use faas_api::FunctionId;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, core::Collector};

use crate::table::RouteTable;

/// All of them; `function_name` is always `NAME.NAMESPACE`.
pub(crate) struct Metrics {
    seconds: HistogramVec,
    ended: IntCounterVec,
    started: IntCounterVec,
    failures: IntCounterVec,
    in_flight: IntGaugeVec,
    wanted: IntGaugeVec,
    ready: IntGaugeVec,
    api_requests: IntCounterVec,
    api_seconds: HistogramVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let function = &["function_name"];
        Ok(Self {
            seconds: registered(
                registry,
                HistogramVec::new(
                    HistogramOpts::new("gateway_functions_seconds", "Seconds an invocation took."),
                    &["function_name", "code"],
                )?,
            )?,
            ended: counter(
                registry,
                "gateway_function_invocation_total",
                "Invocations ended.",
                &["function_name", "code"],
            )?,
            started: counter(
                registry,
                "gateway_function_invocation_started",
                "Invocations begun.",
                function,
            )?,
            failures: counter(
                registry,
                "faas_invocation_failures_total",
                "Invocations that failed, by whose fault it was.",
                &["function_name", "fault"],
            )?,
            in_flight: gauge(
                registry,
                "gateway_function_invocation_inflight",
                "Invocations begun and not ended.",
            )?,
            wanted: gauge(registry, "gateway_service_count", "Replicas wanted.")?,
            ready: gauge(registry, "gateway_service_ready_count", "Replicas ready.")?,
            api_requests: counter(registry, "http_requests_total", "Requests to the API.", &API_LABELS)?,
            api_seconds: registered(
                registry,
                HistogramVec::new(
                    HistogramOpts::new("http_request_duration_seconds", "Seconds a request to the API took."),
                    &API_LABELS,
                )?,
            )?,
        })
    }

    pub(crate) fn record_started(&self, function: &str) {
        self.started.with_label_values(&[function]).inc();
    }

    pub(crate) fn record_ended(&self, function: &str, status: StatusCode, elapsed: Duration) {
        let labels = [function, status.as_str()];
        self.ended.with_label_values(&labels).inc();
        self.seconds.with_label_values(&labels).observe(elapsed.as_secs_f64());
    }

    pub(crate) fn record_failure(&self, function: &str, fault: &str) {
        self.failures.with_label_values(&[function, fault]).inc();
    }

    pub(crate) fn record_api(&self, method: &str, path: &str, status: StatusCode, elapsed: Duration) {
        let labels = [method, path, status.as_str()];
        self.api_requests.with_label_values(&labels).inc();
        self.api_seconds.with_label_values(&labels).observe(elapsed.as_secs_f64());
    }

    /// Sets the gauges from the table, three for each function, and removes what a removed function left. One caller at a
    /// time.
    pub(crate) fn collect(&self, table: &RouteTable) {
        for function in table.take_removed().iter().filter(|function| table.get(function).is_none()) {
            self.forget(&function.to_string());
        }
        let (in_flight, wanted, ready) = (&self.in_flight, &self.wanted, &self.ready);
        for family in [in_flight, wanted, ready] {
            family.reset();
        }
        for (function, entry) in table.all().iter() {
            let name = function.to_string();
            set(wanted, &name, entry.route.wanted as usize);
            set(ready, &name, entry.upstreams.len());
            set(in_flight, &name, entry.shared.in_flight.load(Ordering::Relaxed));
        }
    }
}

impl Metrics {
    /// Removes the series of a function that is gone. Labels that made none are errors, and no matter.
    fn forget(&self, function: &str) {
        let _ = self.started.remove_label_values(&[function]);
        for side in ["client", "gateway", "queue", "watchdog", "handler", "platform"] {
            let _ = self.failures.remove_label_values(&[function, side]);
        }
        for code in 100..1000 {
            let labels = [function, &code.to_string()];
            let _ = self.ended.remove_label_values(&labels);
            let _ = self.seconds.remove_label_values(&labels);
        }
    }
}

const API_LABELS: [&str; 3] = ["method", "path", "status"];

/// Invocations of `function` that have ended, for lists.
pub(crate) fn invocation_count(table: &RouteTable, function: &FunctionId) -> f64 {
    let ended = table.get(function).map_or(0, |entry| entry.shared.ended.load(Ordering::Relaxed));
    #[expect(clippy::cast_precision_loss, reason = "a count past 2^53 may be off by one")]
    let count = ended as f64;
    count
}

fn set(gauge: &IntGaugeVec, function: &str, value: usize) {
    gauge.with_label_values(&[function]).set(i64::try_from(value).unwrap_or(i64::MAX));
}

fn counter(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    registered(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGaugeVec, prometheus::Error> {
    registered(registry, IntGaugeVec::new(Opts::new(name, help), &["function_name"])?)
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
