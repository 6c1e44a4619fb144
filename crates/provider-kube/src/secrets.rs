//! Secrets: Opaque, one key named as the secret, and a label that says whose they are. Those of others can be used by
//! functions, and are neither listed nor changed.

use faas_api::{FunctionId, Namespace, is_subdomain};
use faas_k8s::{Function, labels};
use faas_provider::Error;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Preconditions};
use kube::{Client, ResourceExt as _};

use crate::error::{Kind, call};
use crate::{Kube, as_gateway};

impl Kube {
    /// Names alone are asked for: no value leaves the API server.
    pub(crate) async fn list_secrets_now(&self, namespace: &Namespace) -> Result<Vec<String>, Error> {
        self.check_namespace(namespace).await?;
        let ours = format!("{}={}", labels::MANAGED_BY, labels::MANAGED_BY_US);
        let params = ListParams::default().labels(&ours);
        let secrets = self.namespaced::<Secret>(namespace);
        let listed = call("list secrets", secrets.list_metadata(&params)).await?;
        let mut names: Vec<_> = listed.items.iter().map(kube::ResourceExt::name_any).collect();
        names.sort();
        Ok(names)
    }

    pub(crate) async fn create_secret_now(
        &self,
        namespace: &Namespace,
        name: &str,
        value: Vec<u8>,
    ) -> Result<(), Error> {
        self.check_namespace(namespace).await?;
        check_name(name)?;
        let secrets = self.namespaced::<Secret>(namespace);
        let created = call("create the secret", secrets.create(&as_gateway(), &make(name, value))).await;
        created.map(drop).map_err(|failed| match failed.kind {
            Kind::AlreadyExists => Error::SecretExists(name.to_owned()),
            Kind::NotFound => Error::NamespaceNotFound(namespace.clone()),
            _ => failed.into(),
        })
    }

    pub(crate) async fn update_secret_now(
        &self,
        namespace: &Namespace,
        name: &str,
        value: Vec<u8>,
    ) -> Result<(), Error> {
        let mut secret = self.own_secret(namespace, name).await?;
        secret.data = make(name, value).data;
        // It is the value of the last writer that stands, but only in the secret that was looked at.
        secret.metadata.resource_version = None;
        let secrets = self.namespaced::<Secret>(namespace);
        let replaced = call("update the secret", secrets.replace(name, &as_gateway(), &secret)).await;
        replaced.map(drop).map_err(|failed| match failed.kind {
            Kind::NotFound | Kind::Conflict => Error::SecretNotFound(name.to_owned()),
            _ => failed.into(),
        })
    }

    pub(crate) async fn delete_secret_now(&self, namespace: &Namespace, name: &str) -> Result<(), Error> {
        let uid = self.own_secret(namespace, name).await?.metadata.uid;
        let only = Preconditions { uid, resource_version: None };
        let params = DeleteParams::background().preconditions(only);
        let secrets = self.namespaced::<Secret>(namespace);
        let deleted = call("delete the secret", secrets.delete(name, &params)).await;
        deleted.map(drop).map_err(|failed| match failed.kind {
            Kind::NotFound | Kind::Conflict => Error::SecretNotFound(name.to_owned()),
            _ => failed.into(),
        })
    }

    /// A secret that was made through a gateway.
    async fn own_secret(&self, namespace: &Namespace, name: &str) -> Result<Secret, Error> {
        self.check_namespace(namespace).await?;
        check_name(name)?;
        let found = call("read the secret", self.namespaced::<Secret>(namespace).get_opt(name)).await?;
        found.filter(is_ours).ok_or_else(|| Error::SecretNotFound(name.to_owned()))
    }
}

/// A secret that the function is given: the key of that name, or the only one. `None` if there is none, or it is not the
/// function's. Needs no provider, so that a role with fewer rights than the gateway can ask.
pub async fn secret_of(client: &Client, function: &FunctionId, name: &str) -> Result<Option<Vec<u8>>, Error> {
    let namespace = function.namespace.as_str();
    let functions = Api::<Function>::namespaced(client.clone(), namespace);
    let found = call("look the function up", functions.get_opt(function.name.as_str())).await?;
    let given = found.and_then(|found| found.spec.secrets).unwrap_or_default();
    if !given.iter().any(|secret| secret == name) {
        return Ok(None);
    }
    check_name(name)?;
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let data = call("read the secret", secrets.get_opt(name)).await?.and_then(|secret| secret.data);
    let value = data.and_then(|mut data| {
        if data.len() == 1 { data.pop_first().map(|(_, value)| value) } else { data.remove(name) }
    });
    Ok(value.map(|value| value.0))
}

/// Names go into a path as they are.
fn check_name(name: &str) -> Result<(), Error> {
    let invalid =
        || Error::Invalid(format!("{name:?} is not a secret's name: expected a DNS-1123 subdomain"));
    is_subdomain(name).then_some(()).ok_or_else(invalid)
}

fn is_ours(secret: &Secret) -> bool {
    let manager = secret.labels().get(labels::MANAGED_BY);
    manager.is_some_and(|manager| manager == labels::MANAGED_BY_US)
        && secret.metadata.deletion_timestamp.is_none()
}

fn make(name: &str, value: Vec<u8>) -> Secret {
    let label = (labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_US.to_owned());
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some([label].into()),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".into()),
        data: Some([(name.to_owned(), ByteString(value))].into()),
        ..Secret::default()
    }
}
