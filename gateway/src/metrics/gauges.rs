//! Gauges of functions, written straight from the route table at each scrape: kept as series, those of 10,000 idle
//! functions would cost more than the table.

use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use super::{Seen, begin};

/// A gauge's name, what it says, and its value for a function; `None` where it has none.
type Gauge = (&'static str, &'static str, fn(&Seen) -> Option<u64>);

const GAUGES: [Gauge; 5] = [
    ("gateway_service_count", "Replicas wanted.", |seen| Some(seen.entry.route.wanted.into())),
    ("gateway_service_ready_count", "Replicas ready.", |seen| Some(seen.entry.upstreams.len() as u64)),
    ("gateway_service_min", "The least number of replicas.", |seen| {
        Some(seen.entry.route.scaling.least.into())
    }),
    ("gateway_function_invocation_inflight", "Invocations begun and not ended.", |seen| {
        seen.counts.as_ref().map(|counts| counts.totals.in_flight())
    }),
    ("faas_invocations_waiting", "Invocations that wait for a replica.", |seen| {
        seen.counts.as_ref().map(|_| seen.entry.shared.waiting.load(Relaxed) as u64)
    }),
];

/// All of them, in Prometheus' text format.
pub(super) fn write(text: &mut String, functions: &[Seen]) {
    for (name, help, value) in GAUGES {
        begin(text, "gauge", name, help);
        for seen in functions {
            if let Some(value) = value(seen) {
                let _ = writeln!(text, "{name}{{function_name=\"{}\"}} {value}", seen.entry.function);
            }
        }
    }
    begin(text, "gauge", TARGET, "Load for each replica to aim at.");
    for Seen { entry, .. } in functions {
        let (function, scaling) = (&entry.function, &entry.route.scaling);
        // The kind is the user's own text.
        let kind = scaling.kind.replace(['\\', '"', '\n'], "_");
        let target = scaling.target;
        let _ = writeln!(text, "{TARGET}{{function_name=\"{function}\",scaling_type=\"{kind}\"}} {target}");
    }
}

const TARGET: &str = "gateway_service_target_load";
