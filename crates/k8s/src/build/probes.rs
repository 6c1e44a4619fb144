//! Liveness and readiness: over HTTP, or by the watchdog's lock file where that is what the installation wants and
//! nobody chose a path.

use k8s_openapi::api::core::v1::{ExecAction, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::{PORT, Valid, ValidProbe};

/// The watchdog makes it once it listens.
const LOCK_FILE: &str = "/tmp/.lock";

/// Liveness and readiness. Liveness knows no success threshold but 1.
pub(super) fn build(function: &Valid, http: bool) -> (Probe, Probe) {
    let liveness = ValidProbe { success_threshold: 1, ..function.liveness.clone() };
    (probe(&liveness, http), probe(&function.readiness, http))
}

fn probe(settings: &ValidProbe, http: bool) -> Probe {
    let over_http = http || settings.chosen;
    Probe {
        http_get: over_http.then(|| HTTPGetAction {
            path: Some(settings.path.clone()),
            port: IntOrString::Int(i32::from(PORT)),
            scheme: Some("HTTP".into()),
            ..HTTPGetAction::default()
        }),
        exec: (!over_http).then(|| ExecAction { command: Some(vec!["cat".into(), LOCK_FILE.into()]) }),
        initial_delay_seconds: Some(settings.initial_delay_seconds),
        period_seconds: Some(settings.period_seconds),
        timeout_seconds: Some(settings.timeout_seconds),
        failure_threshold: Some(settings.failure_threshold),
        success_threshold: Some(settings.success_threshold),
        ..Probe::default()
    }
}
