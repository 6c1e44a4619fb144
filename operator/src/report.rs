//! Telling people: the status when it changed, and an Event when something new is the matter.

use faas_k8s::{Function, FunctionStatus, OPERATOR, Observed, build_status, status_differs};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource as _, ResourceExt as _};
use serde_json::json;

use crate::error::{Error, bounded};
use crate::reconcile::Context;

/// Writes the status if it differs from the one that stands.
pub(crate) async fn report(
    context: &Context,
    function: &Function,
    observed: &Observed<'_>,
) -> Result<(), Error> {
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or(Timestamp::UNIX_EPOCH);
    let status = build_status(function, observed, now);
    if !status_differs(function, &status) {
        return Ok(());
    }
    context.may_write("Function")?;
    let api: Api<Function> =
        Api::namespaced(context.client.clone(), &function.namespace().unwrap_or_default());
    // The uid keeps the status of one that was deleted from a new one with its name.
    let patch = json!({ "metadata": { "uid": function.uid() }, "status": status });
    let params = field_manager();
    match bounded("write the status", api.patch_status(&function.name_any(), &params, &Patch::Merge(patch)))
        .await
    {
        Ok(_) => {}
        Err(error) if error.status().is_some_and(|status| matches!(status.code, 404 | 409)) => return Ok(()),
        Err(error) => return Err(error),
    }
    for event in events(function.status.as_ref(), &status) {
        context.may_write("Event")?;
        let (recorder, reference) = (&context.recorder, function.object_ref(&()));
        if let Err(error) = bounded("publish an event", recorder.publish(&event, &reference)).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "an event is lost");
        }
    }
    Ok(())
}

/// For writes that are no server-side apply.
pub(crate) fn field_manager() -> PatchParams {
    PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() }
}

/// What is new: a stall, a trouble of the pods, or that all is well again.
fn events(before: Option<&FunctionStatus>, after: &FunctionStatus) -> Vec<Event> {
    let find = |status: &FunctionStatus, kind: &str| -> Option<Condition> {
        status.conditions.iter().find(|condition| condition.type_ == kind).cloned()
    };
    let changed = |kind: &str| {
        let after = find(after, kind)?;
        let before = before.and_then(|before| find(before, kind));
        let same = |before: Condition| {
            // Only what somebody has to mend is told again when its words change: another secret is missing, say.
            let words = kind != "Stalled" || before.message == after.message;
            (&before.status, &before.reason) == (&after.status, &after.reason) && words
        };
        (!before.is_some_and(same)).then_some(after)
    };
    let stalled = changed("Stalled").filter(|condition| condition.status == "True");
    let healthy = changed("Healthy").filter(|condition| {
        // What passes by itself is no news.
        stalled.is_none() && !matches!(condition.reason.as_str(), "Starting" | "ScaledToZero")
    });
    // An update that does not start, while the replicas before it answer on.
    let answering = find(after, "Healthy").is_some_and(|condition| condition.status == "True");
    let reconciling = changed("Reconciling")
        .filter(|condition| answering && condition.status == "True" && condition.reason != "Rollout");
    stalled.iter().chain(healthy.iter()).chain(reconciling.iter()).map(event).collect()
}

fn event(condition: &Condition) -> Event {
    let well = condition.type_ == "Healthy" && condition.status == "True";
    Event {
        type_: if well { EventType::Normal } else { EventType::Warning },
        reason: condition.reason.clone(),
        note: Some(condition.message.chars().take(1000).collect()),
        action: "Reconcile".into(),
        secondary: None,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn status(conditions: &[(&str, &str, &str)]) -> FunctionStatus {
        let condition = |(kind, status, reason): &(&str, &str, &str)| Condition {
            type_: (*kind).into(),
            status: (*status).into(),
            reason: (*reason).into(),
            message: "m".into(),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            observed_generation: None,
        };
        FunctionStatus { conditions: conditions.iter().map(condition).collect(), ..FunctionStatus::default() }
    }

    #[test]
    fn only_news_is_told() {
        let starting = status(&[("Healthy", "False", "Starting"), ("Stalled", "False", "Sound")]);
        let well = status(&[("Healthy", "True", "Available"), ("Stalled", "False", "Sound")]);
        let crashing = status(&[("Healthy", "False", "CrashLoop"), ("Stalled", "False", "Sound")]);
        let stalled =
            status(&[("Healthy", "False", "SecretNotFound"), ("Stalled", "True", "SecretNotFound")]);
        for (before, after, expected) in [
            (None, &starting, vec![]),
            (Some(&starting), &well, vec!["Available"]),
            (Some(&well), &well, vec![]),
            (Some(&well), &crashing, vec!["CrashLoop"]),
            (Some(&crashing), &crashing, vec![]),
            (None, &stalled, vec!["SecretNotFound"]),
        ] {
            let got: Vec<_> = events(before, after).into_iter().map(|event| event.reason).collect();
            assert_eq!(got, expected);
        }
    }
}
