//! Changes: checked against what is there, written to the store, then told to the supervisor, one after the other.
//!
//! Each holds `changing` from its first look to its last step, so that store and supervisor see changes in one order.
//! Callers run them in tasks of their own: a client that leaves halfway must not leave the two apart.

use std::time::Duration;

use faas_api::{Digest, FunctionDeployment, FunctionId, FunctionNamespace, Namespace, Terms};
use faas_provider::{Error, Provider as _};
use jiff::Timestamp;
use tempfile::NamedTempFile;

use crate::provider::{Local, tagged};
use crate::store::{Record, Store, marked};
use crate::supervisor::labelled_least;

/// More replicas of one function than a machine of this kind runs.
const MOST_REPLICAS: u32 = 1_000;
/// A package that no function runs is kept this long after its last use.
const KEEP_UNTAGGED: Duration = Duration::from_hours(1);
/// The same, while an image tag names it.
const KEEP_TAGGED: Duration = Duration::from_hours(7 * 24);

impl Local {
    pub(crate) async fn deploy_now(
        self,
        function: FunctionId,
        deployment: FunctionDeployment,
    ) -> Result<(), Error> {
        let _changing = self.0.changing.lock().await;
        if self.0.supervisor.record(&function).is_some() {
            return Err(Error::FunctionExists(function));
        }
        let mut record = self.record(&function, deployment).await?;
        record.replicas = labelled_least(&record).unwrap_or(1);
        self.write(record, None).await
    }

    pub(crate) async fn update_now(
        self,
        function: FunctionId,
        deployment: FunctionDeployment,
    ) -> Result<(), Error> {
        let _changing = self.0.changing.lock().await;
        let absent = || Error::FunctionNotFound(function.clone());
        let before = self.0.supervisor.record(&function).ok_or_else(absent)?;
        let wanted = self.0.supervisor.wanted(&function).ok_or_else(absent)?;
        let mut record = self.record(&function, deployment).await?;
        record.replicas = labelled_least(&record).unwrap_or(wanted);
        record.revision = before.revision + 1;
        record.created_at = before.created_at;
        self.write(record, Some(before.package.clone())).await
    }

    pub(crate) async fn delete_now(self, function: FunctionId) -> Result<(), Error> {
        let _changing = self.0.changing.lock().await;
        let record = self.0.supervisor.record(&function);
        let record = record.ok_or_else(|| Error::FunctionNotFound(function.clone()))?;
        let delete = move |store: &mut Store| store.delete_function(&record, Timestamp::now());
        self.0.database.call("delete the function", delete).await?;
        self.0.supervisor.remove(&function);
        self.0.logs.remove(&function);
        Ok(())
    }

    pub(crate) async fn scale_now(self, function: FunctionId, replicas: u32) -> Result<(), Error> {
        check_replicas(replicas)?;
        let _changing = self.0.changing.lock().await;
        let name = function.clone();
        self.0.database.call("record the scale", move |store| store.set_replicas(&name, replicas)).await?;
        let found = self.0.supervisor.scale(&function, replicas);
        found.then_some(()).ok_or(Error::FunctionNotFound(function))
    }

    pub(crate) async fn create_secret_now(
        self,
        namespace: Namespace,
        name: String,
        value: Vec<u8>,
    ) -> Result<(), Error> {
        let _changing = self.0.changing.lock().await;
        if self.has_secret(&namespace, &name).await? {
            return Err(Error::SecretExists(name));
        }
        self.put_secret(namespace, name, value).await
    }

    pub(crate) async fn update_secret_now(
        self,
        namespace: Namespace,
        name: String,
        value: Vec<u8>,
    ) -> Result<(), Error> {
        let _changing = self.0.changing.lock().await;
        if !self.has_secret(&namespace, &name).await? {
            return Err(Error::SecretNotFound(name));
        }
        self.put_secret(namespace, name, value).await
    }

    pub(crate) async fn delete_secret_now(self, namespace: Namespace, name: String) -> Result<(), Error> {
        let _changing = self.0.changing.lock().await;
        self.check_namespace(&namespace).await?;
        let secret = name.clone();
        let delete = move |store: &mut Store| store.delete_secret(&namespace, &secret);
        let removed = self.0.database.call("delete the secret", delete).await?;
        removed.then_some(()).ok_or(Error::SecretNotFound(name))
    }

    pub(crate) async fn create_namespace_now(self, namespace: FunctionNamespace) -> Result<(), Error> {
        let _changing = self.0.changing.lock().await;
        let name: Namespace = parse(&namespace.name)?;
        match self.check_namespace(&name).await {
            Ok(()) => Err(Error::NamespaceExists(name)),
            Err(Error::NamespaceNotFound(_)) => self.put_namespace(namespace).await,
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn update_namespace_now(self, namespace: FunctionNamespace) -> Result<(), Error> {
        let _changing = self.0.changing.lock().await;
        self.check_namespace(&parse(&namespace.name)?).await?;
        self.put_namespace(namespace).await
    }

    pub(crate) async fn delete_namespace_now(self, namespace: Namespace) -> Result<(), Error> {
        if namespace == self.0.namespace {
            let text = format!("namespace {namespace} is the default one and cannot be removed");
            return Err(Error::Invalid(text));
        }
        let _changing = self.0.changing.lock().await;
        self.check_namespace(&namespace).await?;
        let name = namespace.clone();
        let delete = move |store: &mut Store| store.delete_namespace(&name, Timestamp::now());
        self.0.database.call("delete the namespace", delete).await?;
        for function in self.0.supervisor.list(&namespace) {
            if let Ok(name) = function.name.parse() {
                self.0.supervisor.remove(&FunctionId::new(name, namespace.clone()));
            }
        }
        self.0.logs.remove_namespace(&namespace);
        Ok(())
    }

    /// Unpacks what was uploaded and makes it known.
    pub(crate) async fn install_now(self, digest: Digest, upload: NamedTempFile) -> Result<(), Error> {
        let known = digest.clone();
        let touch = move |store: &mut Store| store.touch_package(&known, Timestamp::now());
        let record = self.0.database.call("record the package", touch);
        self.0.packages.install(&digest, upload, record).await
    }

    pub(crate) async fn tag_now(
        self,
        namespace: Namespace,
        image: String,
        digest: Digest,
    ) -> Result<(), Error> {
        let _changing = self.0.changing.lock().await;
        self.check_namespace(&namespace).await?;
        self.0.packages.open(&digest)?;
        let write = move |store: &mut Store| store.put_image(&namespace, &image, &digest, Timestamp::now());
        self.0.database.call("record the image's name", write).await
    }

    /// Forgets and deletes packages that nothing uses any more, replicas that still drain included.
    pub(crate) async fn remove_unused_packages(self) -> Result<(), Error> {
        let _changing = self.0.changing.lock().await;
        let running = self.0.supervisor.packages();
        let forget = move |store: &mut Store| {
            store.forget_unused_packages(Timestamp::now(), KEEP_UNTAGGED, KEEP_TAGGED, &running)
        };
        for digest in self.0.database.call("forget unused packages", forget).await? {
            tracing::info!(package = %digest, "unused package removed");
            self.0.packages.remove(&digest).await;
        }
        Ok(())
    }

    /// What a change to a namespace needs: that it exists.
    pub(crate) async fn check_namespace(&self, namespace: &Namespace) -> Result<(), Error> {
        let exists = self.list_namespaces().await?.iter().any(|known| known.name == namespace.as_str());
        exists.then_some(()).ok_or_else(|| Error::NamespaceNotFound(namespace.clone()))
    }

    async fn check_secrets(&self, namespace: &Namespace, names: &[String]) -> Result<(), Error> {
        if names.is_empty() {
            return Ok(());
        }
        let known = self.list_secrets(namespace).await?;
        match names.iter().find(|name| !known.contains(name)) {
            Some(missing) => Err(Error::Invalid(format!(
                "unable to fetch secrets: Required secret '{missing}' was not found in the cluster"
            ))),
            None => Ok(()),
        }
    }

    /// The package to run: the one named, else the one pushed under the image's name.
    async fn resolve(&self, namespace: &Namespace, deployment: &FunctionDeployment) -> Result<Digest, Error> {
        if let Some(digest) = &deployment.package {
            return Ok(digest.clone());
        }
        let (namespace, image) = (namespace.clone(), tagged(&deployment.image));
        let found =
            self.0.database.call("look up the image", move |store| store.image(&namespace, &image)).await?;
        found.ok_or_else(|| {
            Error::Invalid(format!(
                "image {} is not known here: push it with \"faas push\", or use a provider that runs images",
                deployment.image
            ))
        })
    }

    /// Checks a deployment against what is here, and makes the record to write.
    async fn record(
        &self,
        function: &FunctionId,
        mut deployment: FunctionDeployment,
    ) -> Result<Record, Error> {
        self.check_namespace(&function.namespace).await?;
        self.check_secrets(&function.namespace, &deployment.secrets).await?;
        if Terms::new("", &deployment.env_vars, &deployment.annotations).h2c {
            let text = "annotation com.openfaas.protocol: h2c needs a provider that runs images: \
                        a local replica speaks HTTP/1.1";
            return Err(Error::Invalid(text.into()));
        }
        check_gpus(&deployment)?;
        let package = self.resolve(&function.namespace, &deployment).await?;
        let runtime = self.0.packages.open(&package)?.manifest.runtime;
        self.0.packages.interpreter(runtime)?;
        runtime.as_str().clone_into(&mut deployment.runtime);
        // Kept in one place only.
        deployment.package = None;
        Ok(Record {
            function: function.clone(),
            deployment,
            package,
            replicas: 1,
            revision: 1,
            created_at: Timestamp::now(),
        })
    }

    /// Writes a record; `replaced` is the package of the revision before it, which may serve on for a while.
    async fn write(&self, record: Record, replaced: Option<Digest>) -> Result<(), Error> {
        check_replicas(record.replicas)?;
        let written = record.clone();
        let write =
            move |store: &mut Store| store.put_function(&written, replaced.as_ref(), Timestamp::now());
        self.0.database.call("record the function", write).await?;
        self.0.supervisor.put(record);
        Ok(())
    }

    async fn put_secret(&self, namespace: Namespace, name: String, value: Vec<u8>) -> Result<(), Error> {
        let write = move |store: &mut Store| store.put_secret(&namespace, &name, &value);
        self.0.database.call("record the secret", write).await
    }

    async fn has_secret(&self, namespace: &Namespace, name: &str) -> Result<bool, Error> {
        Ok(self.list_secrets(namespace).await?.iter().any(|known| known == name))
    }

    async fn put_namespace(&self, namespace: FunctionNamespace) -> Result<(), Error> {
        let write = move |store: &mut Store| store.put_namespace(&marked(namespace));
        self.0.database.call("record the namespace", write).await
    }
}

fn parse(name: &str) -> Result<Namespace, Error> {
    name.parse().map_err(|error: faas_api::InvalidName| Error::Invalid(error.to_string()))
}

fn check_replicas(replicas: u32) -> Result<(), Error> {
    let text = || format!("replicas: {replicas} is over the most that one machine runs, {MOST_REPLICAS}");
    (replicas <= MOST_REPLICAS).then_some(()).ok_or_else(|| Error::Invalid(text()))
}

/// Replicas are processes of this machine, which nothing divides GPUs among.
fn check_gpus(deployment: &FunctionDeployment) -> Result<(), Error> {
    let mut asked = [&deployment.limits, &deployment.requests].into_iter().flatten();
    match asked.find_map(|resources| resources.gpus().next()) {
        Some((name, _)) => {
            let text = format!("failed create Deployment spec: {name} needs a provider that gives out GPUs");
            Err(Error::Invalid(text))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_refused_and_not_dropped() {
        let asking = |resources: &str| {
            let json = format!(r#"{{"service":"f","image":"i","limits":{resources}}}"#);
            check_gpus(&serde_json::from_str(&json).unwrap())
        };
        let refused = asking(r#"{"memory":"1Mi","nvidia.com/gpu":"1"}"#).unwrap_err();
        assert!(matches!(&refused, Error::Invalid(text) if text.contains("nvidia.com/gpu")), "{refused}");
        assert!(asking(r#"{"memory":"1Mi","nvidia.com/gpu":""}"#).is_ok());
    }
}
