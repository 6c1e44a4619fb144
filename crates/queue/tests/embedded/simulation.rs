//! The protocol of leases on the real engine, in random interleavings: producers, workers that live, die and come back
//! too late, people who cancel, redrive and purge, a clock that jumps, and processes killed in the middle of a request.
//! What the engine answers is compared with a model of a few lines, and what a process leaves with both outcomes of the
//! request that was under way.
//!
//! Engines that are broken on purpose show that it would notice.

mod broken;
mod check;
mod model;
mod run;

use std::sync::Arc;

use faas_queue::Queue;
use faas_queue::embedded::Embedded;

use self::broken::{Broken, Fault};

const SEEDS: u64 = 120;

/// The first seed for which the model disagrees, and why.
fn find_violation(seeds: u64, wrap: fn(Arc<Embedded>) -> Arc<dyn Queue>) -> (Option<String>, run::Tally) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut sum = run::Tally::default();
    for seed in 0..seeds {
        match runtime.block_on(run::run(seed, wrap)) {
            Ok(tally) => sum.add(&tally),
            Err(violation) => return (Some(format!("seed {seed}: {violation}")), sum),
        }
    }
    (None, sum)
}

#[test]
fn the_engine_does_what_the_model_says() {
    let (violation, tally) = find_violation(SEEDS, |queue| queue);
    println!("{SEEDS} seeds: {tally:?}");
    assert_eq!(violation, None);
    assert!(
        tally.accepted > 1_000 && tally.crashes > 100 && tally.lapsed > 100,
        "too little was tried: {tally:?}"
    );
}

fn is_caught(wrap: fn(Arc<Embedded>) -> Arc<dyn Queue>) {
    let (violation, _) = find_violation(SEEDS, wrap);
    println!("caught: {}", violation.unwrap_or_else(|| panic!("not noticed within {SEEDS} seeds")));
}

#[test]
fn an_engine_that_settles_without_checking_the_token_is_caught() {
    is_caught(|queue| Arc::new(Broken::new(queue, Fault::IgnoresTokens)));
}

#[test]
fn an_engine_that_forgets_a_job_whose_lease_ended_is_caught() {
    is_caught(|queue| Arc::new(Broken::new(queue, Fault::ForgetsLapsed)));
}

#[test]
fn an_engine_that_answers_before_a_job_is_kept_is_caught() {
    is_caught(|queue| Arc::new(Broken::new(queue, Fault::AnswersEarly)));
}

#[test]
fn an_engine_that_leases_a_job_twice_is_caught() {
    is_caught(|queue| Arc::new(Broken::new(queue, Fault::LeasesTwice)));
}

#[test]
fn an_engine_that_tells_nobody_is_caught() {
    is_caught(|queue| Arc::new(Broken::new(queue, Fault::TellsNobody)));
}
