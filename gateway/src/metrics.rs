//! Every metric of the gateway: peers' names kept, labels bounded. A function has counters from its first call on, and
//! they go with it; unknown names never make one. What each invocation counts is written from the route table at a
//! scrape, everything else kept by the library.

mod counters;
mod gauges;
mod histogram;
mod queue;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use faas_api::FunctionId;
use faas_queue::Depth;
use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

use crate::counts::Counts;
use crate::lock::lock;
use crate::per_worker::PerWorker;
use crate::table::{Entry, RouteTable};

pub(crate) use histogram::Histogram;

/// Within one machine or cluster a connection takes microseconds to milliseconds.
const CONNECT_BUCKETS: [f64; 9] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.025, 0.1, 0.5];
/// From a warm handler that does nothing to one that takes its time.
const FIRST_BYTE_BUCKETS: [f64; 12] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// All of them; `function_name` is always `NAME.NAMESPACE`.
pub(crate) struct Metrics {
    connect: prometheus::Histogram,
    first_byte: PerWorker<Mutex<Histogram<{ FIRST_BYTE_BUCKETS.len() }>>>,
    connections: IntGauge,
    refused: IntCounterVec,
    ingest: queue::Ingest,
    api_requests: IntCounterVec,
    api_seconds: HistogramVec,
}

impl Metrics {
    /// For so many workers.
    pub(crate) fn new(registry: &Registry, workers: usize) -> Result<Self, prometheus::Error> {
        let new = Register(registry);
        Ok(Self {
            connect: new.histogram(
                "faas_upstream_connect_seconds",
                "Seconds a new connection to a replica took.",
                &CONNECT_BUCKETS,
            )?,
            first_byte: PerWorker::new(workers, || Mutex::new(Histogram::new(&FIRST_BYTE_BUCKETS))),
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

    pub(crate) fn record_connect(&self, elapsed: Duration) {
        self.connect.observe(elapsed.as_secs_f64());
    }

    pub(crate) fn record_first_byte(&self, worker: usize, elapsed: Duration) {
        lock(self.first_byte.of(worker)).record(elapsed);
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

    /// What the library does not keep, in Prometheus' text format.
    pub(crate) fn collect(&self, table: &RouteTable, depths: Option<&[Depth]>) -> String {
        let functions: Vec<_> = table.all().into_iter().map(Seen::of).collect();
        // Writing to memory cannot fail. One that grows is copied, and both stay with the process.
        let mut text = String::with_capacity(functions.iter().map(Seen::bytes).sum());
        gauges::write(&mut text, &functions);
        counters::write(&mut text, &functions);
        self.write_first_byte(&mut text);
        if let Some(depths) = depths {
            queue::write(&mut text, table, depths);
        }
        text
    }

    fn write_first_byte(&self, text: &mut String) {
        let mut all = Histogram::new(&FIRST_BYTE_BUCKETS);
        self.first_byte.all().for_each(|one| all.add(&lock(one)));
        begin(text, "histogram", FIRST_BYTE, "Seconds from an invocation's begin to the head of its answer.");
        all.write(text, FIRST_BYTE, "");
    }
}

const FIRST_BYTE: &str = "faas_upstream_first_byte_seconds";

/// A function as a scrape sees it. Its names are DNS labels and need no escape.
struct Seen {
    entry: Arc<Entry>,
    /// `None` before its first invocation.
    counts: Option<Box<Counts>>,
}

impl Seen {
    fn of(entry: Arc<Entry>) -> Self {
        let counts = entry.shared.counts().map(Box::new);
        Self { entry, counts }
    }

    /// What its lines take, unless its name is very long.
    fn bytes(&self) -> usize {
        let codes = self.counts.as_ref().map_or(0, |counts| 1 + counts.codes.len());
        512 + codes * 1536
    }
}

/// Begins a metric in Prometheus' text format.
fn begin(text: &mut String, kind: &str, name: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

const API_LABELS: [&str; 3] = ["method", "path", "status"];

/// Invocations of `function` that have ended, for lists.
pub(crate) fn invocation_count(table: &RouteTable, function: &FunctionId) -> f64 {
    let ended = table.get(function).map_or(0, |entry| entry.shared.totals().ended);
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

    fn histogram(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> Result<prometheus::Histogram, prometheus::Error> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.register(prometheus::Histogram::with_opts(options)?)
    }

    fn register<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }
}
