//! What the operator says of a function: counts and conditions, computed from what was seen.
//!
//! `Ready`: its objects are applied. `Healthy`: a replica answers. `Reconciling`: a new generation is on its way.
//! `Stalled`: it cannot go on until somebody changes something. The times change only when a status does.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt as _;

use crate::{Function, FunctionStatus, Trouble, labels};

/// Why a function cannot run as it stands; nothing of it was applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Stalled {
    /// One word in camel case.
    pub reason: &'static str,
    /// A sentence for a person: what was expected and what to do.
    pub message: String,
}

impl Stalled {
    /// A reason and its explanation.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// What one reconciliation saw.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// Whether the function is sound and its objects applied.
    pub applied: Result<(), &'a Stalled>,
    /// The Deployment as it is now, if there is one.
    pub deployment: Option<&'a Deployment>,
    /// The Deployment's generation when it was last applied: a status of an earlier one says nothing of this.
    pub generation: i64,
    /// What is wrong with the pods.
    pub trouble: Option<&'a Trouble>,
}

/// The status to write, with the times of `function`'s present conditions where they did not change.
pub fn build_status(function: &Function, observed: &Observed<'_>, now: Timestamp) -> FunctionStatus {
    let seen = observed.deployment.and_then(|deployment| deployment.status.clone()).unwrap_or_default();
    let (replicas, available) = (seen.replicas.unwrap_or(0), seen.available_replicas.unwrap_or(0));
    let generation = function.metadata.generation.unwrap_or_default();
    let wanted = function.spec.replicas.unwrap_or(1);
    let updated = seen.updated_replicas.unwrap_or(0);
    let applied = observed.deployment.and_then(|deployment| deployment.metadata.generation);
    let stale = seen.observed_generation.unwrap_or(0) < applied.unwrap_or(0).max(observed.generation);
    let unfinished = stale || updated != wanted || replicas != updated || available < wanted;
    let make = |kind: &str, (status, reason, message): (&str, &str, String)| {
        condition(function, kind, status, reason, message, now)
    };
    FunctionStatus {
        conditions: vec![
            make("Ready", ready(observed)),
            make("Healthy", healthy(observed, wanted, available)),
            make("Reconciling", reconciling(observed, unfinished)),
            make("Stalled", stalled(observed)),
        ],
        replicas,
        available_replicas: available,
        unavailable_replicas: seen.unavailable_replicas.unwrap_or(0),
        observed_generation: generation,
        selector: Some(format!("{}={}", labels::FUNCTION, function.name_any())),
    }
}

type Verdict = (&'static str, &'static str, String);

fn ready(observed: &Observed<'_>) -> Verdict {
    match observed.applied {
        Ok(()) => ("True", "Applied", "the Deployment and the Service are applied".into()),
        Err(stalled) => ("False", stalled.reason, stalled.message.clone()),
    }
}

fn healthy(observed: &Observed<'_>, wanted: i32, available: i32) -> Verdict {
    match (available, observed.trouble, observed.applied) {
        (1.., ..) => ("True", "Available", format!("{available} of {wanted} replicas answer")),
        (_, Some(trouble), _) => ("False", trouble.reason, trouble.message.clone()),
        (_, None, Err(stalled)) if observed.deployment.is_none() => {
            ("False", stalled.reason, stalled.message.clone())
        }
        _ if wanted == 0 => ("False", "ScaledToZero", "scaled to zero: the next invocation wakes it".into()),
        _ => ("False", "Starting", format!("0 of {wanted} replicas answer yet")),
    }
}

fn reconciling(observed: &Observed<'_>, unfinished: bool) -> Verdict {
    match (observed.applied, observed.trouble) {
        (Ok(()), Some(trouble)) if unfinished => ("True", trouble.reason, trouble.message.clone()),
        (Ok(()), None) if unfinished => ("True", "Rollout", "replicas are being started or stopped".into()),
        (Ok(()), _) => ("False", "Settled", "the replicas are as wanted".into()),
        (Err(_), _) => ("False", "Stalled", "nothing goes on: see the condition Stalled".into()),
    }
}

fn stalled(observed: &Observed<'_>) -> Verdict {
    match observed.applied {
        Ok(()) => ("False", "Sound", "nothing is in the way".into()),
        Err(stalled) => ("True", stalled.reason, stalled.message.clone()),
    }
}

fn condition(
    function: &Function,
    kind: &str,
    status: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) -> Condition {
    let before = function.status.iter().flat_map(|status| &status.conditions);
    let same = before.into_iter().find(|before| before.type_ == kind && before.status == status);
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        last_transition_time: same.map_or(Time(now), |before| before.last_transition_time.clone()),
        observed_generation: function.metadata.generation,
    }
}

/// Whether `status` has to be written.
pub fn status_differs(function: &Function, status: &FunctionStatus) -> bool {
    function.status.as_ref() != Some(status)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::DeploymentStatus;

    use super::*;
    use crate::{Blame, FunctionSpec};

    fn deployment(available: i32) -> Deployment {
        let status = DeploymentStatus {
            replicas: Some(2),
            updated_replicas: Some(2),
            available_replicas: Some(available),
            ..DeploymentStatus::default()
        };
        Deployment { status: Some(status), ..Deployment::default() }
    }

    fn check(observed: &Observed<'_>, replicas: i32, expected: [(&str, &str, &str); 4]) {
        let spec = FunctionSpec { name: "f".into(), replicas: Some(replicas), ..FunctionSpec::default() };
        let status = build_status(&Function::new("f", spec), observed, Timestamp::UNIX_EPOCH);
        let conditions = status.conditions.iter();
        let got: Vec<_> =
            conditions.map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str())).collect();
        assert_eq!(got, expected);
        assert!(status.conditions.iter().all(|condition| !condition.message.is_empty()));
    }

    #[test]
    fn a_settled_function_is_ready_and_healthy() {
        let (deployment, applied) = (deployment(2), Ok(()));
        check(
            &Observed { applied, deployment: Some(&deployment), generation: 0, trouble: None },
            2,
            [
                ("Ready", "True", "Applied"),
                ("Healthy", "True", "Available"),
                ("Reconciling", "False", "Settled"),
                ("Stalled", "False", "Sound"),
            ],
        );
    }

    #[test]
    fn what_was_just_applied_is_not_settled() {
        let (deployment, applied) = (deployment(2), Ok(()));
        check(
            &Observed { applied, deployment: Some(&deployment), generation: 1, trouble: None },
            2,
            [
                ("Ready", "True", "Applied"),
                ("Healthy", "True", "Available"),
                ("Reconciling", "True", "Rollout"),
                ("Stalled", "False", "Sound"),
            ],
        );
    }

    #[test]
    fn trouble_of_the_pods_is_the_reason() {
        let trouble =
            Trouble { reason: "ImagePullBackOff", message: "no such image".into(), blame: Blame::Platform };
        let deployment = deployment(0);
        check(
            &Observed {
                applied: Ok(()),
                deployment: Some(&deployment),
                generation: 0,
                trouble: Some(&trouble),
            },
            2,
            [
                ("Ready", "True", "Applied"),
                ("Healthy", "False", "ImagePullBackOff"),
                ("Reconciling", "True", "ImagePullBackOff"),
                ("Stalled", "False", "Sound"),
            ],
        );
    }

    #[test]
    fn what_stalls_is_told_and_the_old_replicas_are_still_healthy() {
        let stalled = Stalled::new("SecretNotFound", "create it");
        let deployment = deployment(2);
        let observed =
            Observed { applied: Err(&stalled), deployment: Some(&deployment), generation: 0, trouble: None };
        check(
            &observed,
            2,
            [
                ("Ready", "False", "SecretNotFound"),
                ("Healthy", "True", "Available"),
                ("Reconciling", "False", "Stalled"),
                ("Stalled", "True", "SecretNotFound"),
            ],
        );
    }

    #[test]
    fn times_change_only_with_the_status() {
        let observed = Observed { applied: Ok(()), deployment: None, generation: 0, trouble: None };
        let mut function = Function::new("f", FunctionSpec { replicas: Some(0), ..FunctionSpec::default() });
        let first = build_status(&function, &observed, Timestamp::UNIX_EPOCH);
        function.status = Some(first.clone());
        let later = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(1);
        let second = build_status(&function, &observed, later);
        assert!(!status_differs(&function, &second));
        let healthy = deployment(2);
        let third = build_status(&function, &Observed { deployment: Some(&healthy), ..observed }, later);
        assert_eq!(third.conditions[1].last_transition_time.0, later);
        assert_eq!(third.conditions[0], first.conditions[0]);
    }
}
