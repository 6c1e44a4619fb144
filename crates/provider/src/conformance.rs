//! The suite that every provider has to pass, unchanged. A test of a provider implements [`Harness`] and calls
//! [`conformance_tests!`](crate::conformance_tests), which makes one test of each case.
//!
//! Cases use the trait and the routes it pushes, nothing else; each gets a provider of its own.
#![expect(clippy::panic, clippy::missing_panics_doc, reason = "a case that fails is a failed test")]

mod cases;
mod world;

use std::sync::Arc;

use async_trait::async_trait;
use faas_api::{FunctionDeployment, Namespace};

use crate::Provider;

pub use cases::*;

/// What a function does that a case deploys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers with the request's body.
    Echo,
    /// Answers with its environment, a `NAME=value` line each.
    Environment,
    /// Answers with the secret named `api-key`, byte for byte.
    Secret,
    /// Serves over HTTP and never becomes ready: its handler says `this handler is broken` and ends.
    Broken,
}

/// Brings a provider and what can be deployed on it.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The provider under test, with nothing deployed.
    fn provider(&self) -> Arc<dyn Provider>;

    /// A deployment that behaves so; its image or package is ready for use in `namespace`.
    async fn deployable(&self, behaviour: Behaviour, namespace: &Namespace) -> FunctionDeployment;
}

/// Makes a test of each case; the argument is an async expression that makes a [`Harness`].
#[macro_export]
macro_rules! conformance_tests {
    ($harness:expr) => {
        $crate::conformance_tests!($harness;
            a_deployed_function_is_seen_at_once_and_answers
            a_status_says_what_was_deployed
            deploying_updating_and_deleting_say_what_is_not_there
            an_update_fails_no_request
            a_failing_update_leaves_the_old_replica_serving
            any_number_of_replicas_zero_included
            the_least_number_of_replicas_is_a_label
            a_start_that_fails_says_why
            secrets_are_files_and_never_come_back
            a_missing_secret_is_named
            namespaces_keep_functions_and_secrets_apart
            an_unknown_namespace_is_refused
            logs_have_what_replicas_wrote
            packages_are_what_their_digest_says
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
