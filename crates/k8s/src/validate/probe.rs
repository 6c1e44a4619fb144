//! One probe's settings: the platform's defaults, then annotations, then the resource's own field.

use std::collections::BTreeMap;
use std::time::Duration;

use faas_api::parse_duration;

use crate::{Probe, Stalled};

/// One probe with every setting decided; the numbers are seconds and counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidProbe {
    /// The path to get.
    pub path: String,
    /// Whether the user chose the path, so that a probe by HTTP is wanted.
    pub chosen: bool,
    /// Seconds before the first.
    pub initial_delay_seconds: i32,
    /// Seconds from one to the next.
    pub period_seconds: i32,
    /// Seconds that an answer may take.
    pub timeout_seconds: i32,
    /// Failures in a row that count.
    pub failure_threshold: i32,
    /// Successes in a row that count.
    pub success_threshold: i32,
}

impl ValidProbe {
    /// These settings, overridden by annotations that begin with `prefix` and then by `field`.
    pub(super) fn with(
        &self,
        prefix: &str,
        annotations: &BTreeMap<String, String>,
        field: Option<Probe>,
    ) -> Result<Self, Stalled> {
        let field = field.unwrap_or_default();
        let number = |name: &str, least: i32| number(annotations, &format!("{prefix}.{name}"), least);
        let path = path(annotations, &format!("{prefix}.path"))?;
        Ok(Self {
            chosen: self.chosen || path.is_some() || field.path.is_some(),
            path: field.path.or(path).unwrap_or_else(|| self.path.clone()),
            initial_delay_seconds: field
                .initial_delay_seconds
                .or(number("initialDelaySeconds", 0)?)
                .or(duration(annotations, &format!("{prefix}.initialDelay"))?)
                .unwrap_or(self.initial_delay_seconds),
            period_seconds: field
                .period_seconds
                .or(number("periodSeconds", 1)?)
                .unwrap_or(self.period_seconds),
            timeout_seconds: field
                .timeout_seconds
                .or(number("timeoutSeconds", 1)?)
                .unwrap_or(self.timeout_seconds),
            failure_threshold: field
                .failure_threshold
                .or(number("failureThreshold", 1)?)
                .unwrap_or(self.failure_threshold),
            success_threshold: field
                .success_threshold
                .or(number("successThreshold", 1)?)
                .unwrap_or(self.success_threshold),
        })
    }
}

fn path(annotations: &BTreeMap<String, String>, key: &str) -> Result<Option<String>, Stalled> {
    match annotations.get(key) {
        Some(path) if !path.starts_with('/') => Err(invalid(key, path, "a path that begins with /")),
        path => Ok(path.cloned()),
    }
}

fn number(annotations: &BTreeMap<String, String>, key: &str, least: i32) -> Result<Option<i32>, Stalled> {
    let Some(text) = annotations.get(key) else { return Ok(None) };
    let number = text.parse::<i32>().ok().filter(|number| *number >= least);
    number.map(Some).ok_or_else(|| invalid(key, text, &format!("a whole number from {least} on")))
}

/// An older spelling: `initialDelay: "30s"`.
fn duration(annotations: &BTreeMap<String, String>, key: &str) -> Result<Option<i32>, Stalled> {
    let Some(text) = annotations.get(key) else { return Ok(None) };
    let seconds = parse_duration(text).ok().as_ref().map(Duration::as_secs);
    let seconds = seconds.and_then(|seconds| i32::try_from(seconds).ok());
    seconds.map(Some).ok_or_else(|| invalid(key, text, "a duration such as \"30s\""))
}

fn invalid(key: &str, text: &str, expected: &str) -> Stalled {
    Stalled::new("InvalidAnnotation", format!("annotation {key}: {text:?} is not {expected}"))
}
