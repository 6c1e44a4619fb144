//! The stack file: which functions there are, how they are built and how they run (contract 6.5).
//!
//! Takes text, gives values: reading files, choosing functions and reading the environment are the caller's. Scalars
//! without quotes keep their exact text (`1.10` stays `1.10`), as the peers' parser does; null is empty; unknown keys
//! are ignored; merge keys (`<<`) work within a function and within its maps. Functions stay in the file's order.
//!
//! Errors name file, line and column. Size is bounded by the text; aliases by the parser's repetition limit.

use std::collections::BTreeMap;

use serde::Deserialize;

mod envsubst;
mod raw;

use crate::Resources;

pub use envsubst::{InvalidSubstitution, substitute};

/// Why a text is no stack file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not YAML, or a value of the wrong kind.
    #[error("{source_name}:{line}:{column}: {message}")]
    Syntax {
        /// The file, as the caller named it.
        source_name: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What was expected there.
        message: String,
    },
    /// A version nobody knows.
    #[error("{source_name}: [1.0] are the only valid versions for the stack file - found: {found}")]
    Version {
        /// The file, as the caller named it.
        source_name: String,
        /// What stands there.
        found: String,
    },
    /// A stack for another platform.
    #[error(
        r#"{source_name}: ['openfaas'] is the only valid "provider.name" for the OpenFaaS CLI, but you gave: {found}"#
    )]
    Provider {
        /// The file, as the caller named it.
        source_name: String,
        /// What stands there.
        found: String,
    },
}

/// A whole stack file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stack {
    /// `1.0` or empty.
    pub version: String,
    /// Where the functions go.
    pub provider: Provider,
    /// In the file's order.
    pub functions: Vec<Function>,
    /// What building them needs.
    pub configuration: Configuration,
}

/// Where functions go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provider {
    /// Always `openfaas`.
    pub name: String,
    /// The gateway's URL, as written; empty when left out.
    pub gateway: String,
}

/// What building the functions needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Templates to fetch.
    pub templates: Vec<TemplateSource>,
    /// Paths copied beside every handler.
    pub copy: Vec<String>,
}

/// A template to fetch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateSource {
    /// The template's name.
    pub name: String,
    /// A git URL with an optional `#ref`; empty means the store.
    pub source: String,
}

/// How requests are kept apart within a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// A long-lived process.
    Worker,
    /// A fork of a process that has imported the handler.
    Fork,
    /// A process a request.
    Exec,
}

impl Isolation {
    /// The word in the stack file, and in the watchdog's `worker_isolation`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Fork => "fork",
            Self::Exec => "exec",
        }
    }
}

/// One function of a stack file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Function {
    /// The key in the file; checked by whoever uses it.
    pub name: String,
    /// The template's name.
    pub lang: String,
    /// The handler's folder.
    pub handler: String,
    /// What to deploy, with its registry if it has one.
    pub image: String,
    /// The command that handles requests.
    pub fprocess: String,
    /// Empty means the caller's choice.
    pub namespace: String,
    /// Environment of the handler.
    pub environment: BTreeMap<String, String>,
    /// Files with more environment; the later wins.
    pub environment_file: Vec<String>,
    /// Names of secrets.
    pub secrets: Vec<String>,
    /// `key=value`, matched against nodes.
    pub constraints: Vec<String>,
    /// Names of the template's build options.
    pub build_options: Vec<String>,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
    /// The user's annotations.
    pub annotations: BTreeMap<String, String>,
    /// Arguments of an image build.
    pub build_args: BTreeMap<String, String>,
    /// Secrets of an image build: id to path.
    pub build_secrets: BTreeMap<String, String>,
    /// The most that a replica may use.
    pub limits: Resources,
    /// What a replica is promised.
    pub requests: Resources,
    /// Leaves the function out of builds.
    pub skip_build: bool,
    /// Mounts the root file system read-only.
    pub readonly_root_filesystem: bool,
    /// Platforms to publish images for.
    pub platforms: String,
    /// How long one invocation may take, a Go duration; ours.
    pub timeout: String,
    /// How requests are kept apart; ours.
    pub isolation: Option<Isolation>,
}

impl Stack {
    /// Reads a stack file after substitution. `source_name` stands in errors.
    pub fn parse(text: &str, source_name: &str) -> Result<Self, Error> {
        let stack = raw::parse_stack(text).map_err(|error| syntax_error(&error, text, source_name))?;
        stack.validate(source_name)
    }

    fn validate(self, source_name: &str) -> Result<Self, Error> {
        let source_name = source_name.to_owned();
        if !self.version.is_empty() && self.version != "1.0" {
            return Err(Error::Version { source_name, found: self.version });
        }
        if self.provider.name != "openfaas" {
            return Err(Error::Provider { source_name, found: self.provider.name });
        }
        Ok(self)
    }
}

/// Reads an `environment_file`: a map of text under `environment`.
pub fn parse_environment_file(text: &str, source_name: &str) -> Result<BTreeMap<String, String>, Error> {
    raw::parse_environment(text).map_err(|error| syntax_error(&error, text, source_name))
}

fn syntax_error(error: &serde_yaml_ng::Error, text: &str, source_name: &str) -> Error {
    let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
    let message = error.to_string();
    // The parser writes the position behind its message; ours stands in front.
    let mut message = message.replacen(&format!(" at line {line} column {column}"), "", 1);
    if has_tab_indent(text, line) {
        message.push_str(": YAML is indented with spaces, and a tab stands here");
    }
    Error::Syntax { source_name: source_name.to_owned(), line, column, message }
}

fn has_tab_indent(text: &str, line: usize) -> bool {
    let line = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t')
}

#[cfg(test)]
mod tests;
