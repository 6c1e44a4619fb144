//! Counters of functions, written from what their workers counted at each scrape. A function has them from its first
//! invocation on, and while it is there.

use std::fmt::Write as _;

use super::{Seen, begin};
use crate::counts::{Code, Counts};
use crate::fault::Side;

/// All of them, in Prometheus' text format.
pub(super) fn write(text: &mut String, functions: &[Seen]) {
    let invoked =
        || functions.iter().filter_map(|seen| Some((&seen.entry.function, seen.counts.as_deref()?)));
    if invoked().next().is_none() {
        return;
    }
    begin(text, "counter", STARTED, "Invocations begun.");
    for (function, counts) in invoked() {
        let _ = writeln!(text, "{STARTED}{{function_name=\"{function}\"}} {}", counts.totals.started);
    }
    begin(text, "counter", ENDED, "Invocations ended.");
    for (function, counts) in invoked() {
        for Code { status, seconds } in &counts.codes {
            let (code, count) = (status.as_str(), seconds.count());
            let _ = writeln!(text, "{ENDED}{{code=\"{code}\",function_name=\"{function}\"}} {count}");
        }
    }
    begin(text, "histogram", SECONDS, "Seconds an invocation took.");
    for (function, counts) in invoked() {
        for Code { status, seconds } in &counts.codes {
            let labels = format!("code=\"{}\",function_name=\"{function}\"", status.as_str());
            seconds.write(text, SECONDS, &labels);
        }
    }
    begin(text, "counter", FAILURES, "Invocations that failed, by whose fault it was.");
    for (function, counts) in invoked() {
        for (fault, count) in failures(counts) {
            let _ = writeln!(text, "{FAILURES}{{fault=\"{fault}\",function_name=\"{function}\"}} {count}");
        }
    }
}

const STARTED: &str = "gateway_function_invocation_started";
const ENDED: &str = "gateway_function_invocation_total";
const SECONDS: &str = "gateway_functions_seconds";
const FAILURES: &str = "faas_invocation_failures_total";

/// Those that there were.
fn failures(counts: &Counts) -> impl Iterator<Item = (&'static str, u64)> {
    let all = Side::ALL.into_iter().zip(counts.failures);
    all.filter(|(_, count)| *count > 0).map(|(side, count)| (side.name(), count))
}
