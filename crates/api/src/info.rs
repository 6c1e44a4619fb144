//! What is running here.

use serde::{Deserialize, Serialize};

/// Body of `GET /system/info`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Info {
    /// What runs replicas.
    pub provider: ProviderInfo,
    /// The gateway's own version.
    pub version: Version,
    /// The machine, such as `x86_64`.
    pub arch: String,
}

/// What runs replicas, and what it takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProviderInfo {
    /// `faas-local` or `faas-kubernetes`.
    #[serde(rename = "provider")]
    pub name: String,
    /// The provider's version.
    pub version: Version,
    /// `local` or `kubernetes`.
    pub orchestration: String,
    /// What can be deployed: `image`, `package`. Peers send none, which means images.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accepts: Vec<String>,
    /// What keeps functions apart, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub isolation: String,
}

impl ProviderInfo {
    /// Whether packages can be deployed.
    pub fn accepts_packages(&self) -> bool {
        self.accepts.iter().any(|kind| kind == "package")
    }

    /// Whether images can be deployed.
    pub fn accepts_images(&self) -> bool {
        self.accepts.is_empty() || self.accepts.iter().any(|kind| kind == "image")
    }
}

/// A version as peers' clients show it; `sha` and `release` are never empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Version {
    /// First line of the commit's message.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub commit_message: String,
    /// The commit.
    pub sha: String,
    /// The version number.
    pub release: String,
}
