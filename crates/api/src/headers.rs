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
