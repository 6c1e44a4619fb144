//! Annotations that mean something to the platform, by the names that OpenFaaS gave them.

/// Prefix of the liveness probe's settings: `.path`, `.periodSeconds` and so on.
pub const HEALTH: &str = "com.openfaas.health.http";
/// Prefix of the readiness probe's settings.
pub const READY: &str = "com.openfaas.ready.http";
/// The service account of the function's pods.
pub const SERVICE_ACCOUNT: &str = "com.openfaas.serviceaccount";
/// Whether Prometheus scrapes the pods; `"false"` unless set.
pub const SCRAPE: &str = "prometheus.io.scrape";
/// On a namespace: it may hold functions. The value is `1`.
pub const NAMESPACE: &str = "openfaas";
/// On a `Function` and its pods: when it was last deployed through the gateway, so that each deploy starts new pods.
pub const DEPLOYED_AT: &str = "openfaas.com/deployed-at";
