//! `faas.json`: what a package is and how it is started.
//!
//! The entry point stands only here. Parsing is strict: an unknown key, word or version is refused with what was
//! expected, because a package that is run half-understood fails far from its cause.

use std::fmt;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

/// Why a text is no manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidManifest {
    /// Not the JSON that was expected.
    #[error("faas.json is not a manifest: {0}")]
    Syntax(String),
    /// Written by another generation of this platform.
    #[error("faas.json has version {0}: expected version 1")]
    Version(String),
    /// The runtime has no such signature.
    #[error("faas.json has signature {signature} for runtime {runtime}: expected {expected}")]
    Signature {
        /// The runtime as written.
        runtime: Runtime,
        /// The signature as written.
        signature: Signature,
        /// The signatures that the runtime has.
        expected: &'static str,
    },
    /// The handler names nothing that the runtime can start.
    #[error("faas.json has handler {handler:?} for runtime {runtime}: expected {expected}")]
    Handler {
        /// The runtime as written.
        runtime: Runtime,
        /// The handler as written.
        handler: String,
        /// What a handler of that runtime looks like.
        expected: &'static str,
    },
}

/// The language side that starts a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// Python 3.8 or newer.
    Python3,
    /// Node.js 18 or newer.
    Node,
    /// A shell script.
    Bash,
    /// An executable in the package.
    Binary,
}

impl Runtime {
    /// The word in manifests and in `runtime` on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Python3 => "python3",
            Self::Node => "node",
            Self::Bash => "bash",
            Self::Binary => "binary",
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// How a handler is given a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signature {
    /// `handle(req)`: the body as text in, what is returned is printed.
    Openfaas,
    /// `handle(event, context)`; of a binary: it serves HTTP itself.
    Http,
    /// Body on standard input, answer on standard output.
    Stdin,
}

impl Signature {
    /// The word in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Openfaas => "openfaas",
            Self::Http => "http",
            Self::Stdin => "stdin",
        }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What the compiled parts of dependencies were built for; absent when there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requires {
    /// Python's minor version, `3.11`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
    /// Node's major version, `20`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Operating system and processor, `linux-x86_64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
}

/// The manifest of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always 1.
    pub version: u32,
    /// What starts the handler.
    pub runtime: Runtime,
    /// `module.function` for Python, else a file in the handler folder (without its extension for Node).
    pub handler: String,
    /// How the handler is called.
    pub signature: Signature,
    /// What compiled dependencies were built for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires: Option<Requires>,
}

impl Manifest {
    /// A manifest without requirements.
    pub fn new(runtime: Runtime, signature: Signature, handler: impl Into<String>) -> Self {
        Self { version: 1, runtime, handler: handler.into(), signature, requires: None }
    }

    /// Reads `faas.json`.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidManifest> {
        let syntax = |error: serde_json::Error| InvalidManifest::Syntax(error.to_string());
        let value: serde_json::Value = serde_json::from_slice(text).map_err(syntax)?;
        match value.get("version") {
            Some(version) if version.as_u64() != Some(1) => {
                return Err(InvalidManifest::Version(version.to_string()));
            }
            _ => {}
        }
        // From the text once more, so that an error has its line.
        let manifest: Self = serde_json::from_slice(text).map_err(syntax)?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// Writes `faas.json`: the same bytes for the same manifest.
    #[expect(
        clippy::missing_panics_doc,
        reason = "it fails on failing writers and on keys that are no text: none here"
    )]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a manifest is plain data") + "\n"
    }

    /// Checks what the types leave open.
    pub fn validate(&self) -> Result<(), InvalidManifest> {
        if self.version != 1 {
            return Err(InvalidManifest::Version(self.version.to_string()));
        }
        let (signatures, expected): (&[Signature], _) = match self.runtime {
            Runtime::Python3 => (&[Signature::Openfaas, Signature::Http], "openfaas or http"),
            Runtime::Node => (&[Signature::Http], "http"),
            Runtime::Bash => (&[Signature::Stdin], "stdin"),
            Runtime::Binary => (&[Signature::Stdin, Signature::Http], "stdin or http"),
        };
        if !signatures.contains(&self.signature) {
            return Err(InvalidManifest::Signature {
                runtime: self.runtime,
                signature: self.signature,
                expected,
            });
        }
        self.validate_handler()
    }

    fn validate_handler(&self) -> Result<(), InvalidManifest> {
        let (valid, expected) = if self.runtime == Runtime::Python3 {
            (is_dotted_name(&self.handler), "a module and a function such as \"handler.handle\"")
        } else {
            (is_inner_path(&self.handler), "a file in the handler folder such as \"handler.sh\"")
        };
        if valid {
            return Ok(());
        }
        Err(InvalidManifest::Handler { runtime: self.runtime, handler: self.handler.clone(), expected })
    }
}

fn is_dotted_name(text: &str) -> bool {
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    text.contains('.') && text.split('.').all(is_name)
}

fn is_inner_path(text: &str) -> bool {
    let inner = Path::new(text).components().all(|part| matches!(part, Component::Normal(_)));
    inner && !text.is_empty() && !text.starts_with('-') && !text.contains(['\0', '\\'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_is_the_one_of_the_decisions() {
        let mut manifest = Manifest::new(Runtime::Python3, Signature::Openfaas, "handler.handle");
        manifest.requires =
            Some(Requires { python: Some("3.11".into()), node: None, platform: Some("linux-x86_64".into()) });
        let text = r#"{"version":1,"runtime":"python3","handler":"handler.handle","signature":"openfaas","requires":{"python":"3.11","platform":"linux-x86_64"}}"#;
        assert_eq!(manifest.to_json(), format!("{text}\n"));
        assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), manifest);
    }

    #[test]
    fn bad_manifests_say_what_was_expected() {
        let with = |runtime: &str, handler: &str, signature: &str| {
            format!(
                r#"{{"version":1,"runtime":"{runtime}","handler":"{handler}","signature":"{signature}"}}"#
            )
        };
        for (text, expected) in [
            ("", "faas.json is not a manifest: EOF"),
            ("[]", "expected struct Manifest"),
            ("{}", "missing field `version`"),
            (r#"{"version":2}"#, "faas.json has version 2: expected version 1"),
            (r#"{"version":"1"}"#, "faas.json has version \"1\": expected version 1"),
            (
                &with("ruby", "x", "stdin"),
                "unknown variant `ruby`, expected one of `python3`, `node`, `bash`",
            ),
            (&with("bash", "h.sh", "http"), "faas.json has signature http for runtime bash: expected stdin"),
            (&with("python3", "handler", "http"), "expected a module and a function such as"),
            (&with("python3", "a..b", "http"), "expected a module and a function such as"),
            (&with("bash", "../x", "stdin"), "expected a file in the handler folder"),
            (&with("bash", "/bin/sh", "stdin"), "expected a file in the handler folder"),
            (&with("bash", "-c", "stdin"), "expected a file in the handler folder"),
            (&with("binary", "", "stdin"), "expected a file in the handler folder"),
            (
                r#"{"version":1,"runtime":"bash","handler":"h","signature":"stdin","more":1}"#,
                "unknown field `more`",
            ),
        ] {
            let error = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
