//! What each function has to do now, as JSON for who scales. Numbers of this gateway alone, which are added up if there
//! are several; but what is queued is the whole queue's.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use faas_queue::Depth;
use serde::Serialize;

use crate::table::{Entry, RouteTable};

/// One function's.
#[derive(Debug, Serialize)]
struct Load {
    /// Invocations begun and not ended, those that wait included.
    in_flight: u64,
    /// Invocations that wait for a replica.
    waiting: usize,
    /// Invocations begun since this gateway started.
    started_total: u64,
    /// Unix time in milliseconds at which an invocation last began or ended; absent if none has.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used: Option<u64>,
    /// Jobs in the queue, waiting or running: the load of scale type `queue`. Absent without a queue, or while it does
    /// not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    queued: Option<u64>,
}

/// By `NAME.NAMESPACE`.
pub(crate) fn to_json(table: &RouteTable, depths: Option<&[Depth]>) -> String {
    let entries = table.all();
    let queued: Option<HashMap<_, _>> = depths.map(|depths| {
        let jobs = |depth: &Depth| depth.waiting.saturating_add(depth.running);
        depths.iter().map(|depth| (depth.function.clone(), jobs(depth))).collect()
    });
    let load = |entry: &Arc<Entry>| {
        let queued = queued.as_ref().map(|queued| queued.get(&entry.function).copied().unwrap_or_default());
        (entry.function.to_string(), Load { queued, ..Load::of(entry) })
    };
    let loads: BTreeMap<_, _> = entries.iter().map(load).collect();
    // Names and numbers cannot fail to be JSON.
    serde_json::to_string(&loads).unwrap_or_default()
}

impl Load {
    fn of(entry: &Entry) -> Self {
        let totals = entry.shared.totals();
        Self {
            in_flight: totals.in_flight(),
            waiting: entry.shared.waiting.load(Relaxed),
            started_total: totals.started,
            last_used: Some(totals.last_used).filter(|at| *at > 0),
            queued: None,
        }
    }
}
