//! Gauges of functions, written straight from the route table at each scrape: kept as series, those of 10,000 idle
//! functions would cost more than the table.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::table::Entry;

/// A gauge's name, what it says, and its value for a function; `None` where it has none.
type Gauge = (&'static str, &'static str, fn(&Entry) -> Option<usize>);

const GAUGES: [Gauge; 5] = [
    ("gateway_service_count", "Replicas wanted.", |entry| Some(entry.route.wanted as usize)),
    ("gateway_service_ready_count", "Replicas ready.", |entry| Some(entry.upstreams.len())),
    ("gateway_service_min", "The least number of replicas.", |entry| {
        Some(entry.route.scaling.least as usize)
    }),
    ("gateway_function_invocation_inflight", "Invocations begun and not ended.", |entry| {
        entry.shared.series.get().map(|_| entry.shared.in_flight.load(Relaxed))
    }),
    ("faas_invocations_waiting", "Invocations that wait for a replica.", |entry| {
        entry.shared.series.get().map(|_| entry.shared.waiting.load(Relaxed))
    }),
];

/// What a function's lines take, unless its name is long.
const FUNCTION_BYTES: usize = 512;

/// All of them, in Prometheus' text format.
pub(crate) fn to_text(entries: &[Arc<Entry>]) -> String {
    // Names are DNS labels and need no escape; writing to memory cannot fail. One that grows is copied, and both stay with
    // the process.
    let mut text = String::with_capacity(entries.len() * FUNCTION_BYTES);
    for (name, help, value) in GAUGES {
        begin(&mut text, name, help);
        for entry in entries {
            if let Some(value) = value(entry) {
                let _ = writeln!(text, "{name}{{function_name=\"{}\"}} {value}", entry.function);
            }
        }
    }
    begin(&mut text, TARGET, "Load for each replica to aim at.");
    for entry in entries {
        let (function, scaling) = (&entry.function, &entry.route.scaling);
        // The kind is the user's own text.
        let kind = scaling.kind.replace(['\\', '"', '\n'], "_");
        let target = scaling.target;
        let _ = writeln!(text, "{TARGET}{{function_name=\"{function}\",scaling_type=\"{kind}\"}} {target}");
    }
    text
}

const TARGET: &str = "gateway_service_target_load";

pub(super) fn begin(text: &mut String, name: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
}
