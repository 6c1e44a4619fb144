//! Namespaces that hold functions: the default one, and with rights in the whole cluster those that carry the mark
//! `openfaas`, as a label or an annotation. One that is on its way out is not there any more.
//!
//! Labels and annotations of Kubernetes itself (`kubernetes.io/…`, `k8s.io/…`: Pod Security's among them) stay as they
//! are when a namespace is updated.

use std::collections::BTreeMap;

use faas_api::{FunctionNamespace, Namespace};
use faas_k8s::{annotations, labels};
use faas_provider::Error;
use k8s_openapi::api::core::v1::Namespace as Object;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Preconditions};

use crate::error::{Kind, call};
use crate::state::Event;
use crate::{Kube, as_gateway};

impl Kube {
    pub(crate) async fn list_namespaces_now(&self) -> Result<Vec<FunctionNamespace>, Error> {
        let own = &self.0.config.namespace;
        let mut found = Vec::new();
        if self.0.config.many_namespaces {
            let listed = call("list namespaces", self.cluster().list(&ListParams::default())).await?;
            found.extend(listed.items.into_iter().filter(|object| self.is_one(object)).map(report));
        }
        if found.iter().all(|namespace| namespace.name != own.as_str()) {
            let default = FunctionNamespace { name: own.to_string(), ..FunctionNamespace::default() };
            found.push(marked(default));
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    pub(crate) async fn create_namespace_now(&self, namespace: FunctionNamespace) -> Result<(), Error> {
        let name = self.changeable(&namespace.name)?;
        let FunctionNamespace { name: text, labels, annotations } = marked(namespace);
        let metadata = ObjectMeta {
            name: Some(text),
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        };
        let object = Object { metadata, ..Object::default() };
        match call("create the namespace", self.cluster().create(&as_gateway(), &object)).await {
            Ok(_) => Ok(()),
            Err(failed) if failed.kind == Kind::AlreadyExists => Err(self.taken(name).await),
            Err(failed) => Err(failed.into()),
        }
    }

    /// Why a name is taken.
    async fn taken(&self, name: Namespace) -> Error {
        let found = call("read the namespace", self.cluster().get_opt(name.as_str())).await;
        match found {
            Ok(Some(object)) if object.metadata.deletion_timestamp.is_some() => {
                let text = format!("the namespace {name} that was there before is still being removed");
                Error::unavailable("create the namespace: the one before it is still being removed")(text)
            }
            Ok(_) => Error::NamespaceExists(name),
            Err(failed) => failed.into(),
        }
    }

    pub(crate) async fn update_namespace_now(&self, namespace: FunctionNamespace) -> Result<(), Error> {
        let name = self.changeable(&namespace.name)?;
        let mut object = self.marked_namespace(&name).await?;
        let FunctionNamespace { labels, annotations, .. } = marked(namespace);
        replace(object.labels_mut(), labels);
        replace(object.annotations_mut(), annotations);
        let (namespaces, params) = (self.cluster(), as_gateway());
        let replaced =
            call("update the namespace", namespaces.replace(name.as_str(), &params, &object)).await;
        replaced.map(drop).map_err(|failed| failed.when(Kind::NotFound, || Error::NamespaceNotFound(name)))
    }

    /// What is in it goes with it, by and by; its routes are gone at once.
    pub(crate) async fn delete_namespace_now(&self, namespace: &Namespace) -> Result<(), Error> {
        if *namespace == self.0.config.namespace {
            let text = format!("namespace {namespace} is the default one and cannot be removed");
            return Err(Error::Invalid(text));
        }
        if !self.reaches(namespace) {
            return Err(Error::NamespaceNotFound(namespace.clone()));
        }
        let uid = self.marked_namespace(namespace).await?.metadata.uid;
        let only = Preconditions { uid, resource_version: None };
        let params = DeleteParams::background().preconditions(only);
        let deleted = call("delete the namespace", self.cluster().delete(namespace.as_str(), &params)).await;
        deleted
            .map_err(|failed| failed.when(Kind::NotFound, || Error::NamespaceNotFound(namespace.clone())))?;
        self.0.routes.handle([Event::NamespaceDeleted(namespace.clone())]);
        Ok(())
    }

    /// What is to be read or written there needs a namespace of functions.
    pub(crate) async fn check_namespace(&self, namespace: &Namespace) -> Result<(), Error> {
        if *namespace == self.0.config.namespace {
            return Ok(());
        }
        let absent = || Error::NamespaceNotFound(namespace.clone());
        if !self.reaches(namespace) {
            return Err(absent());
        }
        let found = call("read the namespace", self.cluster().get_opt(namespace.as_str())).await?;
        found.filter(|object| self.is_one(object)).map(drop).ok_or_else(absent)
    }

    /// A namespace that exists and is marked, to change it.
    async fn marked_namespace(&self, name: &Namespace) -> Result<Object, Error> {
        let found = call("read the namespace", self.cluster().get_opt(name.as_str())).await?;
        let found = found.filter(|object| object.metadata.deletion_timestamp.is_none());
        let object = found.ok_or_else(|| Error::NamespaceNotFound(name.clone()))?;
        if self.is_one(&object) {
            Ok(object)
        } else {
            Err(Error::Invalid(format!("namespace {name} is not an openfaas namespace")))
        }
    }

    /// The name of a namespace to make or change, where that can be done at all.
    fn changeable(&self, name: &str) -> Result<Namespace, Error> {
        if self.0.config.many_namespaces {
            return name.parse().map_err(|error: faas_api::InvalidName| Error::Invalid(error.to_string()));
        }
        Err(Error::Forbidden(format!(
            "this installation has rights in the namespace {} only: install the chart with clusterRole=true to make and change namespaces",
            self.0.config.namespace
        )))
    }

    fn is_one(&self, object: &Object) -> bool {
        let default = object.name_any() == self.0.config.namespace.as_str();
        let mark = object.labels().contains_key(labels::NAMESPACE)
            || object.annotations().contains_key(annotations::NAMESPACE);
        (default || mark) && object.metadata.deletion_timestamp.is_none()
    }
}

fn report(object: Object) -> FunctionNamespace {
    FunctionNamespace {
        name: object.metadata.name.unwrap_or_default(),
        annotations: object.metadata.annotations.unwrap_or_default(),
        labels: object.metadata.labels.unwrap_or_default(),
    }
}

/// Both marks, whatever the caller sent.
fn marked(mut namespace: FunctionNamespace) -> FunctionNamespace {
    namespace.labels.insert(labels::NAMESPACE.into(), "1".into());
    namespace.annotations.insert(annotations::NAMESPACE.into(), "1".into());
    namespace
}

fn replace(present: &mut BTreeMap<String, String>, mut wanted: BTreeMap<String, String>) {
    present.retain(|key, _| is_of_kubernetes(key));
    wanted.retain(|key, _| !present.contains_key(key));
    present.append(&mut wanted);
}

fn is_of_kubernetes(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    ["kubernetes.io", "k8s.io"]
        .iter()
        .any(|own| domain.strip_suffix(own).is_some_and(|before| before.is_empty() || before.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_of_kubernetes_stays() {
        let pod_security = "pod-security.kubernetes.io/enforce";
        let mut present =
            map(&[(pod_security, "baseline"), ("kubernetes.io/metadata.name", "dev"), ("old", "1")]);
        replace(&mut present, map(&[(pod_security, "privileged"), ("team", "blue")]));
        assert_eq!(
            present,
            map(&[(pod_security, "baseline"), ("kubernetes.io/metadata.name", "dev"), ("team", "blue")])
        );
        assert!(!is_of_kubernetes("notkubernetes.io/a") && !is_of_kubernetes("kubernetes.io"));
    }
}
