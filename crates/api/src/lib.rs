//! The words on the wire: what gateway, providers, watchdog and CLI say to each other and to OpenFaaS clients.
//!
//! Shapes: JSON types with serde, names that are valid once parsed, quantities, durations, header and label names.
//! It does not become: a place for IO, async, configuration, or types that only one crate names.
//!
//! Errors: each parser has its own, whose message names what was expected. Nothing here allocates without the
//! caller's input bounding it.

mod digest;
mod duration;
mod function;
pub mod headers;
mod info;
mod ip_range;
mod job;
pub mod labels;
mod logs;
mod name;
mod namespace;
mod quantity;
mod scaling;
mod secret;
pub mod stack;
mod terms;

pub use digest::{Digest, InvalidDigest};
pub use duration::{InvalidDuration, format_duration, parse_duration};
pub use function::{
    Condition, DeleteFunctionRequest, FunctionDeployment, FunctionStatus, Resources, ScaleRequest, Usage,
};
pub use info::{Info, ProviderInfo, Version};
pub use ip_range::{InvalidIpRange, IpRange};
pub use job::{
    JobAttempt, JobCallback, JobCount, JobResult, JobShelf, JobState, JobStatus, PurgeRequest, QueueDepth,
    RedriveRequest,
};
pub use logs::LogMessage;
pub use name::{DEFAULT_NAMESPACE, FunctionId, FunctionName, InvalidName, Namespace, is_subdomain};
pub use namespace::FunctionNamespace;
pub use quantity::{InvalidQuantity, parse_bytes, parse_millicores};
pub use scaling::Scaling;
pub use secret::Secret;
pub use terms::Terms;
