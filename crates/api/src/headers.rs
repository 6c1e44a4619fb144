//! Header names that platform parts add, read or strip.

/// Identifies one invocation; a UUID unless the caller chose it.
pub const CALL_ID: &str = "x-call-id";
/// Unix time in nanoseconds at which the gateway took the invocation.
pub const START_TIME: &str = "x-start-time";
/// Which gateway answered: `faas/VERSION`.
pub const SERVED_BY: &str = "x-served-by";
/// Seconds that the watchdog spent on the invocation, six fraction digits.
pub const DURATION_SECONDS: &str = "x-duration-seconds";
/// Marks an answer made by the platform rather than by user code.
pub const INTERNAL: &str = "x-openfaas-internal";
/// Who ended a failed invocation: `client|gateway|queue|watchdog|handler|platform; reason`.
pub const FAULT: &str = "x-faas-fault";
/// What an invocation took, from the watchdog to the gateway, which keeps it to itself: `wall=SECONDS, cpu=SECONDS,
/// memory=BYTES`.
pub const USAGE: &str = "x-faas-usage";
/// The caller's own bound on one invocation, a Go duration.
pub const TIMEOUT: &str = "x-timeout";
/// The `Host` that the caller sent.
pub const FORWARDED_HOST: &str = "x-forwarded-host";
/// The caller's address, with port.
pub const FORWARDED_FOR: &str = "x-forwarded-for";
/// Where the answer of an asynchronous invocation is sent.
pub const CALLBACK_URL: &str = "x-callback-url";
/// Makes asynchronous invocations with the same value one.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// On an invocation that the queue's worker makes: it wants to know [`CAPACITY`]. Not passed on.
pub const QUEUE: &str = "x-faas-queue";
/// Invocations that a function's ready replicas take at a time, where it has a limit; from the gateway to the queue's
/// worker.
pub const CAPACITY: &str = "x-faas-capacity";
