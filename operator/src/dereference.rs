//! What a function refers to: its secrets, and the names that its objects would take.

use std::collections::BTreeMap;

use faas_api::is_subdomain;
use faas_k8s::{Function, Secrets, Stalled, labels};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::api::ObjectMeta;
use kube::{Api, Client, ResourceExt as _};

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

/// Refuses to take over what is not a function's.
pub(crate) async fn names_are_free(
    client: &Client,
    function: &Function,
) -> Result<Result<(), Stalled>, Error> {
    let (namespace, name) = (function.namespace().unwrap_or_default(), function.name_any());
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    let services: Api<Service> = Api::namespaced(client.clone(), &namespace);
    let deployment = bounded("read the Deployment", deployments.get_metadata_opt(&name)).await?;
    let service = bounded("read the Service", services.get_opt(&name)).await?;
    let taken = deployment
        .and_then(|found| {
            taken(function, "Deployment", &found.metadata, has(found.metadata.labels.as_ref(), &name))
        })
        .or_else(|| service.and_then(|found| service_taken(function, &found)));
    Ok(taken.map_or(Ok(()), Err))
}

/// OpenFaaS put the label only into the selector of a Service.
fn service_taken(function: &Function, found: &Service) -> Option<Stalled> {
    let selector = found.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let name = function.name_any();
    let own = has(found.metadata.labels.as_ref(), &name) || has(selector, &name);
    taken(function, "Service", &found.metadata, own)
}

fn has(labels: Option<&BTreeMap<String, String>>, name: &str) -> bool {
    labels.and_then(|labels| labels.get(labels::FUNCTION)).is_some_and(|label| label == name)
}

/// A function's own carries its name, and has no other controller.
fn taken(function: &Function, kind: &str, found: &ObjectMeta, own: bool) -> Option<Stalled> {
    let name = function.name_any();
    let owners = found.owner_references.iter().flatten();
    let mut controllers = owners.filter(|owner| owner.controller == Some(true));
    let foreign = controllers.find(|owner| Some(&owner.uid) != function.metadata.uid.as_ref());
    let text = match (own, foreign) {
        (true, None) => return None,
        (_, Some(owner)) => format!("the {kind} {name} belongs to {} {}", owner.kind, owner.name),
        (false, None) => format!("there is a {kind} {name} that is not a function's"),
    };
    Some(Stalled::new("NameTaken", format!("{text}: choose another name, or remove it")))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::needless_pass_by_value, reason = "literals read better without references")]

    use serde_json::{Value, json};

    use super::*;

    fn service(metadata: Value, selector: Value) -> Option<String> {
        let object = json!({ "apiVersion": "openfaas.com/v1", "kind": "Function",
            "metadata": { "name": "f", "uid": "u" }, "spec": { "name": "f", "image": "i" } });
        let function: Function = serde_json::from_value(object).unwrap();
        let found = json!({ "metadata": metadata, "spec": { "selector": selector } });
        service_taken(&function, &serde_json::from_value(found).unwrap()).map(|stalled| stalled.message)
    }

    #[test]
    fn a_name_is_free_for_what_is_the_functions_own() {
        let label = json!({ "faas_function": "f" });
        let owner = |uid: &str| json!([{ "apiVersion": "v1", "kind": "Other", "name": "o", "uid": uid, "controller": true }]);
        assert_eq!(service(json!({ "labels": label }), json!({})), None);
        assert_eq!(service(json!({}), label.clone()), None, "as OpenFaaS makes them");
        assert_eq!(service(json!({ "labels": label, "ownerReferences": owner("u") }), json!({})), None);
        let foreign = service(json!({}), json!({ "app": "f" })).unwrap();
        assert!(foreign.starts_with("there is a Service f that is not a function's"), "{foreign}");
        let foreign = service(json!({ "labels": label, "ownerReferences": owner("x") }), json!({})).unwrap();
        assert!(foreign.starts_with("the Service f belongs to Other o"), "{foreign}");
    }
}
