//! Labels that mean something to the platform.

/// On every function: its own name.
pub const FUNCTION: &str = "faas_function";
/// Lower bound of replicas, and how many a new or woken function gets.
pub const SCALE_MIN: &str = "com.openfaas.scale.min";
/// Load for each replica to aim at.
pub const SCALE_TARGET: &str = "com.openfaas.scale.target";
/// What that load is.
pub const SCALE_TYPE: &str = "com.openfaas.scale.type";
/// Marks a namespace that holds functions; the value is `1`.
pub const NAMESPACE: &str = "openfaas";
