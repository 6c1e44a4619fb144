//! Writing a function's objects, by server-side apply with one field manager; what stands as it was left is not written.

use std::fmt::Debug;

use faas_k8s::{Function, OPERATOR};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, bounded};
use crate::memory::{Applied, Plan};
use crate::reconcile::Context;

/// Applies what of `plan` does not stand as it was left.
pub(crate) async fn apply(context: &Context, function: &Function, plan: &Plan) -> Result<(), Error> {
    let deployment = context.deployment(function);
    if !stands(&plan.deployment, deployment.as_deref(), context.memory.deployment(function).as_ref()) {
        let written = write(context, "Deployment", &plan.deployment).await?;
        let applied = written.uid().zip(written.metadata.generation);
        let applied = applied.map(|(uid, generation)| Applied { uid, generation });
        context.memory.set_deployment(function, applied);
    }
    let service = context.service(function);
    let left = context.memory.service(function);
    // A Service has no status of ours and no generation: whatever changed it, it is applied once more.
    if left.is_none() || service.and_then(|service| service.resource_version()) != left {
        let written = write(context, "Service", &plan.service).await?;
        context.memory.set_service(function, written.resource_version());
    }
    Ok(())
}

/// Whether the object is the one that was left, with nothing of ours changed. One that is older than what was left is only
/// what the watch has not caught up with.
fn stands(desired: &Deployment, found: Option<&Deployment>, left: Option<&Applied>) -> bool {
    let (Some(found), Some(left)) = (found, left) else { return false };
    found.uid().as_ref() == Some(&left.uid)
        && found.metadata.generation.is_some_and(|generation| generation <= left.generation)
        && includes(found.metadata.labels.as_ref(), desired.metadata.labels.as_ref())
        && includes(found.metadata.annotations.as_ref(), desired.metadata.annotations.as_ref())
}

type Map = std::collections::BTreeMap<String, String>;

fn includes(found: Option<&Map>, wanted: Option<&Map>) -> bool {
    wanted.into_iter().flatten().all(|(key, value)| found.and_then(|found| found.get(key)) == Some(value))
}

async fn write<K>(context: &Context, kind: &'static str, object: &K) -> Result<K, Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(context.client.clone(), &object.namespace().unwrap_or_default());
    let params = PatchParams::apply(OPERATOR).force();
    context.may_write(kind)?;
    let what = if kind == "Deployment" { "apply the Deployment" } else { "apply the Service" };
    bounded(what, api.patch(&object.name_any(), &params, &Patch::Apply(object))).await
}

#[cfg(test)]
mod tests {
    #![expect(clippy::needless_pass_by_value, reason = "literals read better without references")]

    use serde_json::{Value, json};

    use super::*;

    fn deployment(metadata: Value) -> Deployment {
        serde_json::from_value(json!({ "metadata": metadata })).unwrap()
    }

    #[test]
    fn what_stands_as_it_was_left_is_not_written() {
        let desired = deployment(json!({ "name": "f", "labels": { "l": "1" }, "annotations": { "a": "1" } }));
        let left = Applied { uid: "u".into(), generation: 3 };
        let found = |change: Value| {
            let mut metadata = json!({ "name": "f", "uid": "u", "generation": 3,
                "labels": { "l": "1", "theirs": "x" }, "annotations": { "a": "1" } });
            metadata.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            deployment(metadata)
        };
        for (change, expected) in [
            (json!({}), true),
            // The watch has not caught up with what was written.
            (json!({ "generation": 2 }), true),
            (json!({ "generation": 4 }), false),
            (json!({ "uid": "other" }), false),
            (json!({ "labels": {} }), false),
            (json!({ "annotations": { "a": "2" } }), false),
        ] {
            assert_eq!(stands(&desired, Some(&found(change.clone())), Some(&left)), expected, "{change}");
        }
        assert!(!stands(&desired, None, Some(&left)));
        assert!(!stands(&desired, Some(&found(json!({}))), None));
    }
}
