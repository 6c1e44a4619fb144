//! What is counted of asynchronous invocations where they are accepted. The invocations themselves count when the
//! queue's worker makes them, as with the peers.

use std::fmt::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use faas_queue::Depth;
use jiff::Timestamp;
use prometheus::{Histogram, IntCounter, IntCounterVec};

use super::{Metrics, Register, begin};
use crate::table::RouteTable;

/// The peers' name of the one queue there is.
const NAME: &str = "faas-request";
/// As the API's router has it.
const PATH: &str = "/async-function/{name}";

/// Counters, made when there is something to count.
pub(super) struct Ingest {
    submitted: IntCounterVec,
    new: OnceLock<IntCounter>,
    unqueued: IntCounterVec,
    accepted: OnceLock<Accepted>,
}

/// Looked up once: finding series by their labels takes a microsecond each.
struct Accepted {
    requests: IntCounter,
    seconds: Histogram,
}

impl Ingest {
    pub(super) fn new(new: &Register<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            submitted: new.counters(
                "queue_worker_messages_submitted_total",
                "Asynchronous invocations accepted.",
                &["queue_name"],
            )?,
            unqueued: new.counters(
                "faas_queue_refused_total",
                "Asynchronous invocations that the queue did not take, by why not.",
                &["reason"],
            )?,
            new: OnceLock::new(),
            accepted: OnceLock::new(),
        })
    }
}

impl Metrics {
    /// There is one job more.
    pub(crate) fn record_submitted(&self) {
        let submitted = || self.ingest.submitted.with_label_values(&[NAME]);
        self.ingest.new.get_or_init(submitted).inc();
    }

    /// A job was offered, and this is its answer.
    pub(crate) fn record_ingest(&self, method: &Method, status: StatusCode, elapsed: Duration) {
        if status != StatusCode::ACCEPTED || method != Method::POST {
            return self.record_api(method.as_str(), PATH, status, elapsed);
        }
        let labels = ["POST", PATH, status.as_str()];
        let accepted = self.ingest.accepted.get_or_init(|| Accepted {
            requests: self.api_requests.with_label_values(&labels),
            seconds: self.api_seconds.with_label_values(&labels),
        });
        accepted.requests.inc();
        accepted.seconds.observe(elapsed.as_secs_f64());
    }

    /// How many there were with this one.
    pub(crate) fn record_unqueued(&self, reason: &str) -> u64 {
        let unqueued = self.ingest.unqueued.with_label_values(&[reason]);
        unqueued.inc();
        unqueued.get()
    }
}

/// A gauge's name, what it says, and its value.
type Gauge = (&'static str, &'static str, fn(&Depth) -> u64);

const GAUGES: [Gauge; 4] = [
    ("queue_worker_pending_messages", "Jobs that wait, due or not.", |depth| depth.waiting),
    ("faas_queue_running", "Jobs that are worked on.", |depth| depth.running),
    ("faas_queue_dead", "Jobs that were tried as often or as long as allowed.", |depth| depth.dead),
    ("faas_queue_oldest_seconds", "Age of the oldest job that waits or runs.", |depth| {
        let age = depth.oldest.map(|oldest| Timestamp::now().duration_since(oldest).as_secs());
        u64::try_from(age.unwrap_or_default()).unwrap_or_default()
    }),
];

/// Of the functions that there are: anybody may queue for names that are none's.
pub(super) fn write(text: &mut String, table: &RouteTable, depths: &[Depth]) {
    let known: Vec<_> = depths.iter().filter(|depth| table.get(&depth.function).is_some()).collect();
    for (name, help, value) in GAUGES {
        begin(text, "gauge", name, help);
        for depth in &known {
            let (function, value) = (&depth.function, value(depth));
            let _ = writeln!(text, "{name}{{queue_name=\"{NAME}\",function_name=\"{function}\"}} {value}");
        }
    }
}
