//! Looking up functions that were invoked and have no route: another gateway may have deployed one a moment ago.
//!
//! Bounded for all functions together, since strangers make names up: [`BURST`] look-ups at once and [`PER_SECOND`]
//! in the long run; beyond that nothing is asked, and the watch alone brings the route. Those who ask for one function
//! at the same time share one look-up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use faas_api::FunctionId;
use faas_provider::Error;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::Kube;
use crate::error::call;
use crate::state::{Event, FunctionFacts};

/// Look-ups that may follow each other at once.
const BURST: f64 = 20.0;
/// Look-ups in a second, in the long run.
const PER_SECOND: f64 = 20.0;

/// The look-ups under way and how many more may begin.
pub(crate) struct LookUps {
    budget: Mutex<Budget>,
    /// One entry for each function that is being asked for now.
    running: Mutex<HashMap<FunctionId, Arc<OnceCell<()>>>>,
}

impl LookUps {
    pub(crate) fn new() -> Self {
        let budget = Mutex::new(Budget { left: BURST, at: Instant::now() });
        Self { budget, running: Mutex::default() }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<FunctionId, Arc<OnceCell<()>>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_ask(&self) -> bool {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now())
    }
}

/// A bucket of tokens.
struct Budget {
    left: f64,
    at: Instant,
}

impl Budget {
    fn take(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + since * PER_SECOND).min(BURST);
        self.at = now;
        let enough = self.left >= 1.0;
        self.left -= f64::from(u8::from(enough));
        enough
    }
}

impl Kube {
    pub(crate) async fn look_up_now(&self, function: &FunctionId) -> Result<(), Error> {
        if !self.reaches(&function.namespace) {
            return Ok(());
        }
        let cell = Arc::clone(self.0.look_ups.running().entry(function.clone()).or_default());
        let shared = Running { kube: self, function, cell };
        shared.cell.get_or_try_init(|| self.ask_for(function)).await.copied()
    }

    async fn ask_for(&self, function: &FunctionId) -> Result<(), Error> {
        if !self.0.look_ups.may_ask() {
            return Ok(());
        }
        let functions = self.functions(&function.namespace);
        let found = call("look up the function", functions.get_opt(function.name.as_str())).await?;
        let facts = found.as_ref().and_then(FunctionFacts::of);
        self.0.routes.handle(facts.map(Event::Written));
        Ok(())
    }
}

/// Takes a look-up off the list when the first of those who share it is done or gives up.
struct Running<'a> {
    kube: &'a Kube,
    function: &'a FunctionId,
    cell: Arc<OnceCell<()>>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut running = self.kube.0.look_ups.running();
        if running.get(self.function).is_some_and(|cell| Arc::ptr_eq(cell, &self.cell)) {
            running.remove(self.function);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_and_then_so_many_a_second() {
        let start = Instant::now();
        let mut budget = Budget { left: BURST, at: start };
        let taken = |budget: &mut Budget, at| (0..100).filter(|_| budget.take(at)).count();
        assert_eq!(taken(&mut budget, start), 20);
        assert_eq!(taken(&mut budget, start + Duration::from_millis(500)), 10);
        assert_eq!(taken(&mut budget, start + Duration::from_hours(1)), 20);
    }
}
