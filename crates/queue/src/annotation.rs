//! Annotations of a function that say how its jobs are run: what a [`Job`](crate::Job) carries of them.

/// How often a job is tried.
pub const RETRY_ATTEMPTS: &str = "com.openfaas.retry.attempts";
/// Statuses after which it is tried again, separated by commas.
pub const RETRY_CODES: &str = "com.openfaas.retry.codes";
/// The shortest wait before it is tried again, a Go duration.
pub const RETRY_MIN_WAIT: &str = "com.openfaas.retry.min_wait";
/// The longest, a Go duration.
pub const RETRY_MAX_WAIT: &str = "com.openfaas.retry.max_wait";
/// How waits grow: `exponential`, `full` or `equal`.
pub const RETRY_BACKOFF: &str = "com.openfaas.retry.backoff";
/// The method of the invocation: `original` is the caller's, anything else POST.
pub const METHOD: &str = "com.openfaas.async.method";
/// The name of the function's secret that signs its callbacks.
pub const CALLBACK_SECRET: &str = "com.openfaas.callback.secret";

/// All of them.
pub const ALL: [&str; 7] =
    [RETRY_ATTEMPTS, RETRY_CODES, RETRY_MIN_WAIT, RETRY_MAX_WAIT, RETRY_BACKOFF, METHOD, CALLBACK_SECRET];
