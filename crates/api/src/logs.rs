//! A line of a function's log.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One line of the ndjson stream of `GET /system/logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogMessage {
    /// The function's name.
    pub name: String,
    /// The function's namespace.
    #[serde(default)]
    pub namespace: String,
    /// The replica that wrote it.
    pub instance: String,
    /// When it was read from the replica.
    pub timestamp: Timestamp,
    /// The line, with its newline.
    pub text: String,
}
