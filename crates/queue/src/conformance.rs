//! The suite that every engine has to pass, unchanged. A test of an engine implements [`Harness`] and calls
//! [`queue_conformance_tests!`](crate::queue_conformance_tests), which makes one test of each case.
//!
//! Cases use the trait and nothing else; each gets a queue of its own. They wait for what must happen, with guards wide
//! enough for any machine, and assume nothing about whose clock it is.
#![expect(clippy::panic, clippy::missing_panics_doc, reason = "a case that fails is a failed test")]

mod bodies;
mod ends;
mod leases;
mod lives;
mod world;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{Queue, Settings};

pub use bodies::*;
pub use ends::*;
pub use leases::*;
pub use lives::*;

/// Brings a queue. It is dropped when the case is over, and takes with it what it started.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The queue under test, empty, with these settings.
    async fn start(&self, settings: Settings) -> Arc<dyn Queue>;

    /// Ends the queue that was started, as if its process were killed, and opens what it kept with the same settings.
    /// The case has dropped the one it had.
    async fn restart(&self) -> Arc<dyn Queue>;

    /// The shortest lease that the engine can keep to while its machine is busy.
    fn lease(&self) -> Duration {
        Duration::from_secs(2)
    }
}

/// Makes a test of each case; the argument is an async expression that makes a [`Harness`].
#[macro_export]
macro_rules! queue_conformance_tests {
    ($harness:expr) => {
        $crate::queue_conformance_tests!($harness;
            an_accepted_job_is_found_and_taken_as_it_was
            jobs_are_taken_in_their_order_and_no_more_than_asked
            a_job_is_taken_once_however_many_ask
            two_functions_do_not_see_each_others_jobs
            a_job_is_accepted_once
            an_id_is_one_functions_alone
            a_function_with_too_many_waiting_jobs_is_full
            depths_count_what_waits_runs_and_is_dead
            lists_are_ordered_and_limited
            unknown_ids_are_not_found
            a_listener_hears_of_new_jobs
            a_listener_hears_first_of_all_that_stands
            a_lease_that_ends_makes_the_job_due_again
            an_extended_lease_goes_on
            a_lost_lease_can_do_nothing
            a_held_record_is_there_for_the_next_one
            a_job_for_later_comes_later
            a_job_for_a_time_that_has_passed_comes_at_once
            a_done_job_keeps_its_record_and_result
            ended_jobs_are_forgotten_after_a_while
            a_dead_job_stays_and_can_be_redriven
            one_dead_job_can_be_redriven_alone
            purging_one_shelf_leaves_the_other_and_what_runs
            a_queued_job_can_be_cancelled
            a_running_job_can_be_cancelled
            large_bodies_go_in_and_come_out_whole
            large_results_come_out_whole_and_the_last_one_counts
            a_body_past_the_limit_is_refused
            a_body_that_breaks_off_leaves_nothing
            a_restart_loses_nothing
            after_a_restart_a_listener_hears_of_all_that_stands
        );
    };
    ($harness:expr; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::$case(&$harness.await).await;
            }
        )*
    };
}
