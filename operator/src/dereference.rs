//! What a function refers to: its secrets, and the names that its objects would take.

use std::collections::BTreeMap;

use faas_api::is_subdomain;
use faas_k8s::{Function, Secrets, Stalled, labels};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use kube::{Api, Client, Resource as _, ResourceExt as _};

use crate::error::{Error, bounded};

/// The type of each secret that the function names, `None` where there is none.
pub(crate) async fn secrets(client: &Client, function: &Function) -> Result<Secrets, Error> {
    let api: Api<Secret> = Api::namespaced(client.clone(), &function.namespace().unwrap_or_default());
    let mut found = Secrets::new();
    // Names go into a path as they are; what is none is refused by validation.
    for name in function.spec.secrets.iter().flatten().filter(|name| is_subdomain(name)) {
        let secret = bounded("read a secret", api.get_opt(name)).await?;
        let kind = secret.map(|secret| secret.type_.unwrap_or_else(|| "Opaque".to_owned()));
        found.insert(name.clone(), kind);
    }
    Ok(found)
}

/// Refuses to take over what is not a function's. What an earlier function of the name left is waited for.
pub(crate) async fn names_are_free(
    client: &Client,
    function: &Function,
) -> Result<Result<(), Stalled>, Error> {
    let (namespace, name) = (function.namespace().unwrap_or_default(), function.name_any());
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    let services: Api<Service> = Api::namespaced(client.clone(), &namespace);
    let deployment = bounded("read the Deployment", deployments.get_metadata_opt(&name)).await?;
    let service = bounded("read the Service", services.get_opt(&name)).await?;
    let deployment = deployment.map_or(Ok(Ok(())), |found| {
        let own = has(found.metadata.labels.as_ref(), &name);
        is_free(function, "Deployment", &found.metadata, own)
    })?;
    let service = service.map_or(Ok(Ok(())), |found| service_is_free(function, &found))?;
    Ok(deployment.and(service))
}

/// OpenFaaS put the label only into the selector of a Service.
fn service_is_free(function: &Function, found: &Service) -> Result<Result<(), Stalled>, Error> {
    let selector = found.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let name = function.name_any();
    let own = has(found.metadata.labels.as_ref(), &name) || has(selector, &name);
    is_free(function, "Service", &found.metadata, own)
}

fn has(labels: Option<&BTreeMap<String, String>>, name: &str) -> bool {
    labels.and_then(|labels| labels.get(labels::FUNCTION)).is_some_and(|label| label == name)
}

/// A function's own carries its name, and has no other controller.
fn is_free(
    function: &Function,
    kind: &'static str,
    found: &ObjectMeta,
    own: bool,
) -> Result<Result<(), Stalled>, Error> {
    let name = function.name_any();
    let owners = found.owner_references.iter().flatten();
    let mut controllers = owners.filter(|owner| owner.controller == Some(true));
    let foreign = controllers.find(|owner| Some(&owner.uid) != function.metadata.uid.as_ref());
    let earlier = |owner: &OwnerReference| owner.kind == Function::kind(&()) && owner.name == name;
    let text = match (own, foreign) {
        _ if found.deletion_timestamp.is_some() => return Err(Error::LeftBehind { kind }),
        (_, Some(owner)) if earlier(owner) => return Err(Error::LeftBehind { kind }),
        (_, Some(owner)) => format!("the {kind} {name} belongs to {} {}", owner.kind, owner.name),
        (true, None) => return Ok(Ok(())),
        (false, None) => format!("there is a {kind} {name} that is not a function's"),
    };
    Ok(Err(Stalled::new("NameTaken", format!("{text}: choose another name, or remove it"))))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::needless_pass_by_value, reason = "literals read better without references")]

    use serde_json::{Value, json};

    use super::*;

    fn service(metadata: Value, selector: Value) -> Result<Option<String>, Error> {
        let object = json!({ "apiVersion": "openfaas.com/v1", "kind": "Function",
            "metadata": { "name": "f", "uid": "u" }, "spec": { "name": "f", "image": "i" } });
        let function: Function = serde_json::from_value(object).unwrap();
        let found = json!({ "metadata": metadata, "spec": { "selector": selector } });
        let free = service_is_free(&function, &serde_json::from_value(found).unwrap())?;
        Ok(free.err().map(|stalled| stalled.message))
    }

    #[test]
    fn a_name_is_free_for_what_is_the_functions_own() {
        let label = json!({ "faas_function": "f" });
        let owner = |kind: &str, name: &str, uid: &str| json!([{ "apiVersion": "v1", "kind": kind, "name": name, "uid": uid, "controller": true }]);
        let service = |metadata, selector| service(metadata, selector).unwrap();
        assert_eq!(service(json!({ "labels": label }), json!({})), None);
        assert_eq!(service(json!({}), label.clone()), None, "as OpenFaaS makes them");
        let own = owner("Function", "f", "u");
        assert_eq!(service(json!({ "labels": label, "ownerReferences": own }), json!({})), None);
        let foreign = service(json!({}), json!({ "app": "f" })).unwrap();
        assert!(foreign.starts_with("there is a Service f that is not a function's"), "{foreign}");
        let others = owner("Other", "o", "x");
        let foreign = service(json!({ "labels": label, "ownerReferences": others }), json!({})).unwrap();
        assert!(foreign.starts_with("the Service f belongs to Other o"), "{foreign}");
    }

    #[test]
    fn what_an_earlier_function_left_is_waited_for() {
        let owner = json!([{ "apiVersion": "openfaas.com/v1", "kind": "Function", "name": "f", "uid": "before",
            "controller": true }]);
        for metadata in
            [json!({ "ownerReferences": owner }), json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" })]
        {
            assert!(matches!(service(metadata, json!({})), Err(Error::LeftBehind { kind: "Service" })));
        }
    }
}
