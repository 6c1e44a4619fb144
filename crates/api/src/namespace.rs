//! A namespace on the wire.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Body of `/system/namespace/{name}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FunctionNamespace {
    /// The namespace's name.
    pub name: String,
    /// Notes; `openfaas: "1"` marks it as ours.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels; `openfaas: "1"` marks it as ours.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}
