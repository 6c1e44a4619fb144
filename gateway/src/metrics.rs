//! Every metric of the gateway: peers' names kept, labels bounded. Counters are made at a function's first call and
//! go with it; unknown names never make one.

mod gauges;
mod queue;
mod series;

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::StatusCode;
use faas_api::FunctionId;
use faas_queue::Depth;
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

use crate::table::{Entry, RouteTable};

pub(crate) use series::Series;

/// Within one machine or cluster a connection takes microseconds to milliseconds.
const CONNECT_BUCKETS: [f64; 9] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.025, 0.1, 0.5];
/// From a warm handler that does nothing to one that takes its time.
const FIRST_BYTE_BUCKETS: [f64; 12] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// All of them; `function_name` is always `NAME.NAMESPACE`.
pub(crate) struct Metrics {
    seconds: HistogramVec,
    ended: IntCounterVec,
    started: IntCounterVec,
    failures: IntCounterVec,
    connect: Histogram,
    first_byte: Histogram,
    connections: IntGauge,
    refused: IntCounterVec,
    ingest: queue::Ingest,
    api_requests: IntCounterVec,
    api_seconds: HistogramVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let (function, code) = (&["function_name"], &["function_name", "code"]);
        let new = Register(registry);
        Ok(Self {
            seconds: new.histograms("gateway_functions_seconds", "Seconds an invocation took.", code)?,
            ended: new.counters("gateway_function_invocation_total", "Invocations ended.", code)?,
            started: new.counters("gateway_function_invocation_started", "Invocations begun.", function)?,
            failures: new.counters(
                "faas_invocation_failures_total",
                "Invocations that failed, by whose fault it was.",
                &["function_name", "fault"],
            )?,
            connect: new.histogram(
                "faas_upstream_connect_seconds",
                "Seconds a new connection to a replica took.",
                &CONNECT_BUCKETS,
            )?,
            first_byte: new.histogram(
                "faas_upstream_first_byte_seconds",
                "Seconds from an invocation's begin to the head of its answer.",
                &FIRST_BYTE_BUCKETS,
            )?,
            connections: new
                .register(IntGauge::new("faas_gateway_connections", "Clients' connections open now.")?)?,
            refused: new.counters(
                "faas_gateway_connections_refused_total",
                "Clients' connections refused, by the limit that was reached.",
                &["limit"],
            )?,
            ingest: queue::Ingest::new(&new)?,
            api_requests: new.counters("http_requests_total", "Requests to the API.", &API_LABELS)?,
            api_seconds: new.histograms(
                "http_request_duration_seconds",
                "Seconds a request to the API took.",
                &API_LABELS,
            )?,
        })
    }

    /// A function's own series, made when they are first asked for.
    pub(crate) fn series<'a>(&self, entry: &'a Entry) -> &'a Series {
        let new = || Box::new(Series::new(self, entry.function.to_string()));
        entry.shared.series.get_or_init(new)
    }

    pub(crate) fn record_connect(&self, elapsed: Duration) {
        self.connect.observe(elapsed.as_secs_f64());
    }

    pub(crate) fn record_first_byte(&self, elapsed: Duration) {
        self.first_byte.observe(elapsed.as_secs_f64());
    }

    pub(crate) fn record_connection(&self, change: i64) {
        self.connections.add(change);
    }

    /// How many there were with this one.
    pub(crate) fn record_refused(&self, limit: &str) -> u64 {
        let refused = self.refused.with_label_values(&[limit]);
        refused.inc();
        refused.get()
    }

    pub(crate) fn record_api(&self, method: &str, path: &str, status: StatusCode, elapsed: Duration) {
        let labels = [method, path, status.as_str()];
        self.api_requests.with_label_values(&labels).inc();
        self.api_seconds.with_label_values(&labels).observe(elapsed.as_secs_f64());
    }

    /// Gauges of all functions as text, and an end to what removed functions left. One caller at a time.
    pub(crate) fn collect(&self, table: &RouteTable, depths: Option<&[Depth]>) -> String {
        for (function, shared) in table.take_removed() {
            if table.get(&function).is_none()
                && let Some(series) = shared.series.get()
            {
                series.forget(self);
            }
        }
        let queue = depths.map(|depths| queue::to_text(table, depths));
        gauges::to_text(&table.all()) + &queue.unwrap_or_default()
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

/// Makes metrics and registers them.
struct Register<'a>(&'a Registry);

impl Register<'_> {
    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec, prometheus::Error> {
        self.register(HistogramVec::new(HistogramOpts::new(name, help), labels)?)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.register(Histogram::with_opts(options)?)
    }

    fn register<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Side;

    #[test]
    fn an_invocation_that_outlives_its_function_brings_no_series_back() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        let series = Series::new(&metrics, "f.openfaas-fn".to_owned());
        let end = || series.record_ended(StatusCode::BAD_GATEWAY, Some(Side::Platform), Duration::ZERO);
        let seen = || {
            let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
            text.matches("f.openfaas-fn").count()
        };
        end();
        assert!(seen() > 0);
        series.forget(&metrics);
        assert_eq!(seen(), 0);
        end();
        assert_eq!(seen(), 0);
    }
}
