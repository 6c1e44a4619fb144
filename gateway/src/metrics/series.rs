//! One function's own series, looked up once: finding them by their labels took a microsecond of each invocation.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use super::Metrics;
use crate::fault::Side;

/// What each invocation of a function counts in.
pub(crate) struct Series {
    function: String,
    started: IntCounter,
    ended: IntCounterVec,
    seconds: HistogramVec,
    failures: IntCounterVec,
    /// As many as there were codes: few. `None` once the function is gone, and nothing is to be made any more.
    codes: Mutex<Option<Vec<Code>>>,
}

struct Code {
    status: StatusCode,
    ended: IntCounter,
    seconds: Histogram,
}

impl Series {
    pub(super) fn new(metrics: &Metrics, function: String) -> Self {
        let started = metrics.started.with_label_values(&[&function]);
        let (ended, seconds) = (metrics.ended.clone(), metrics.seconds.clone());
        let failures = metrics.failures.clone();
        Self { function, started, ended, seconds, failures, codes: Mutex::new(Some(Vec::new())) }
    }

    pub(crate) fn record_started(&self) {
        self.started.inc();
    }

    pub(crate) fn record_ended(&self, status: StatusCode, fault: Option<Side>, elapsed: Duration) {
        let mut codes = self.codes();
        let Some(codes) = codes.as_mut() else { return };
        if let Some(side) = fault {
            self.failures.with_label_values(&[self.function.as_str(), side.name()]).inc();
        }
        let known = codes.iter().position(|code| code.status == status);
        let index = known.unwrap_or_else(|| {
            let labels = [self.function.as_str(), status.as_str()];
            let ended = self.ended.with_label_values(&labels);
            codes.push(Code { status, ended, seconds: self.seconds.with_label_values(&labels) });
            codes.len() - 1
        });
        codes[index].ended.inc();
        codes[index].seconds.observe(elapsed.as_secs_f64());
    }

    /// Removes them from what is scraped. Labels that made none are errors, and no matter.
    pub(super) fn forget(&self, metrics: &Metrics) {
        let function = self.function.as_str();
        let _ = metrics.started.remove_label_values(&[function]);
        for side in Side::ALL {
            let _ = self.failures.remove_label_values(&[function, side.name()]);
        }
        for code in self.codes().take().into_iter().flatten() {
            let labels = [function, code.status.as_str()];
            let _ = self.ended.remove_label_values(&labels);
            let _ = self.seconds.remove_label_values(&labels);
        }
    }

    fn codes(&self) -> MutexGuard<'_, Option<Vec<Code>>> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
