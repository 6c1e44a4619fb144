//! A secret on the wire. Its value goes in and never comes out.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Body of `/system/secrets`. Debug prints no value.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Secret {
    /// The secret's name, also its file name.
    pub name: String,
    /// Empty means the default namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The value as text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// The value in base64; wins over `value`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub raw_value: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Secret")
            .field("name", &self.name)
            .field("namespace", &self.namespace)
            .field("value", &"***")
            .finish_non_exhaustive()
    }
}
