//! Functions: read from the API server, checked and written there, and what is returned put into the routes.
//!
//! A change that depends on what it read carries the version that it read, and is tried [`TRIES`] times over where
//! somebody else was quicker. Fields that the `/system` API does not know, and metadata of others, stay as they are.

use std::collections::BTreeSet;
use std::time::Duration;

use faas_api::{FunctionDeployment, FunctionId, FunctionStatus, Namespace, is_subdomain, labels};
use faas_k8s::{
    Defaults, Function, FunctionSpec, GATEWAY, Secrets, Stalled, ValidProbe, annotations, from_deployment,
    least_replicas, to_status, validate, wanted_replicas,
};
use faas_provider::Error;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::error::{Failed, Kind, call};
use crate::state::{Event, FunctionFacts};
use crate::{Kube, as_gateway};

/// How often a change is tried that others keep overtaking.
const TRIES: usize = 8;
/// Secrets that one function may name through the gateway.
const MOST_SECRETS: usize = 100;
/// Secrets that are read at once for one request.
const SECRETS_AT_ONCE: usize = 8;

impl Kube {
    pub(crate) async fn list_now(&self, namespace: &Namespace) -> Result<Vec<FunctionStatus>, Error> {
        self.check_namespace(namespace).await?;
        let functions = self.functions(namespace);
        let listed = call("list functions", functions.list(&ListParams::default())).await?;
        let living = listed.items.iter().filter(|function| function.metadata.deletion_timestamp.is_none());
        let mut statuses: Vec<_> = living.map(to_status).collect();
        statuses.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(statuses)
    }

    /// The function as it is now; one on its way out is not there any more.
    pub(crate) async fn read(&self, function: &FunctionId) -> Result<Function, Error> {
        self.check_reach(function)?;
        let functions = self.functions(&function.namespace);
        let found = call("read the function", functions.get_opt(function.name.as_str())).await?;
        found
            .filter(|found| found.metadata.deletion_timestamp.is_none())
            .ok_or_else(|| Error::FunctionNotFound(function.clone()))
    }

    pub(crate) async fn deploy_now(
        &self,
        function: &FunctionId,
        deployment: FunctionDeployment,
    ) -> Result<(), Error> {
        self.check_namespace(&function.namespace).await?;
        let spec = from_deployment(&function.name, deployment);
        let mut object =
            Function::new(function.name.as_str(), FunctionSpec { replicas: least(&spec), ..spec });
        object.metadata.namespace = Some(function.namespace.to_string());
        self.check_sound(function, &object).await?;
        mark_deployed(&mut object);
        let functions = self.functions(&function.namespace);
        match call("create the function", functions.create(&as_gateway(), &object)).await {
            Ok(created) => {
                self.keep(&created);
                Ok(())
            }
            Err(failed) if failed.kind == Kind::AlreadyExists => Err(self.in_the_way(function).await),
            Err(failed) => {
                Err(failed.when(Kind::NotFound, || Error::NamespaceNotFound(function.namespace.clone())))
            }
        }
    }

    /// Why a name is taken.
    async fn in_the_way(&self, function: &FunctionId) -> Error {
        match self.read(function).await {
            Ok(_) => Error::FunctionExists(function.clone()),
            Err(Error::FunctionNotFound(_)) => {
                let text = format!("the function {function} that was there before is still being removed");
                Error::unavailable("create the function: the one before it is still being removed")(text)
            }
            Err(error) => error,
        }
    }

    pub(crate) async fn update_now(
        &self,
        function: &FunctionId,
        deployment: FunctionDeployment,
    ) -> Result<(), Error> {
        let spec = from_deployment(&function.name, deployment);
        let mut tries = 1..=TRIES;
        loop {
            let mut object = self.read(function).await?;
            object.spec = successor(&object.spec, spec.clone());
            self.check_sound(function, &object).await?;
            mark_deployed(&mut object);
            let functions = self.functions(&function.namespace);
            let params = as_gateway();
            let replacing = functions.replace(function.name.as_str(), &params, &object);
            match call("update the function", replacing).await {
                Ok(updated) => {
                    self.keep(&updated);
                    return Ok(());
                }
                Err(failed) if failed.kind == Kind::Conflict && tries.next().is_some() => {}
                Err(failed) => return Err(failed.when(Kind::NotFound, absent(function))),
            }
        }
    }

    /// Its pods finish what they have; the cluster's garbage collector removes what the operator made.
    pub(crate) async fn delete_now(&self, function: &FunctionId) -> Result<(), Error> {
        let uid = self.read(function).await?.metadata.uid.unwrap_or_default();
        let only = kube::api::Preconditions { uid: Some(uid.clone()), resource_version: None };
        let params = DeleteParams::background().preconditions(only);
        let functions = self.functions(&function.namespace);
        match call("delete the function", functions.delete(function.name.as_str(), &params)).await {
            // A conflict: another of the same name has taken its place since, and was not meant.
            Ok(_) => self.0.routes.handle([Event::Deleted(function.clone(), uid)]),
            Err(failed) if failed.kind == Kind::Conflict => return Err(absent(function)()),
            Err(failed) => return Err(failed.when(Kind::NotFound, absent(function))),
        }
        Ok(())
    }

    pub(crate) async fn scale_now(&self, function: &FunctionId, replicas: u32) -> Result<(), Error> {
        self.check_reach(function)?;
        let replicas = i32::try_from(replicas).map_err(|_| {
            Error::Invalid(format!("replicas: {replicas} is over the most there can be, {}", i32::MAX))
        })?;
        let scaled =
            self.patch("scale the function", function, json!({ "spec": { "replicas": replicas } })).await;
        let scaled = scaled.map_err(|failed| failed.when(Kind::NotFound, absent(function)))?;
        self.keep(&scaled);
        living(&scaled).then_some(()).ok_or_else(absent(function))
    }

    /// Guarded by the version that stood at zero, so that what another gateway or a person sets meanwhile stays.
    pub(crate) async fn wake_now(&self, function: &FunctionId) -> Result<(), Error> {
        let mut tries = 1..=TRIES;
        loop {
            let asleep = self.read(function).await?;
            self.keep(&asleep);
            if wanted_replicas(&asleep) != 0 {
                return Ok(());
            }
            let awake = json!({
                "metadata": { "resourceVersion": asleep.metadata.resource_version },
                "spec": { "replicas": least(&asleep.spec) },
            });
            match self.patch("wake the function", function, awake).await {
                Ok(awake) => {
                    self.keep(&awake);
                    return Ok(());
                }
                Err(failed) if failed.kind == Kind::Conflict && tries.next().is_some() => {}
                Err(failed) => return Err(failed.when(Kind::NotFound, absent(function))),
            }
        }
    }

    async fn patch(
        &self,
        what: &'static str,
        function: &FunctionId,
        patch: Value,
    ) -> Result<Function, Failed> {
        let params = PatchParams { field_manager: Some(GATEWAY.into()), ..PatchParams::default() };
        let functions = self.functions(&function.namespace);
        call(what, functions.patch(function.name.as_str(), &params, &Patch::Merge(patch))).await
    }

    /// Puts what the API server returned into the routes.
    fn keep(&self, function: &Function) {
        self.0.routes.handle(FunctionFacts::of(function).map(Event::Written));
    }

    /// Without rights elsewhere, a function elsewhere is none.
    pub(crate) fn check_reach(&self, function: &FunctionId) -> Result<(), Error> {
        self.reaches(&function.namespace).then_some(()).ok_or_else(absent(function))
    }

    /// What the operator would refuse is refused here already, where somebody waits for an answer.
    async fn check_sound(&self, id: &FunctionId, function: &Function) -> Result<(), Error> {
        let secrets = self.secret_types(&id.namespace, function.spec.secrets.as_deref().unwrap_or_default());
        validate(function, &secrets.await?, &any_defaults()).map(drop).map_err(|stalled| refuse(&stalled))
    }

    async fn secret_types(&self, namespace: &Namespace, names: &[String]) -> Result<Secrets, Error> {
        let secrets = self.namespaced::<Secret>(namespace);
        // The name becomes a part of the call's path as it stands: what is none must not lead elsewhere.
        let names: BTreeSet<_> = names.iter().filter(|name| is_subdomain(name)).cloned().collect();
        if names.len() > MOST_SECRETS {
            return Err(Error::Invalid(format!("secrets: a function takes at most {MOST_SECRETS}")));
        }
        let read = async |name: String| {
            let found = call("read a secret", secrets.get_opt(&name)).await?;
            Ok((name, found.map(|secret| secret.type_.unwrap_or_default())))
        };
        // Each is a connection of its own while it is asked for.
        stream::iter(names).map(read).buffer_unordered(SECRETS_AT_ONCE).try_collect().await
    }
}

/// The peers' texts begin so.
fn refuse(stalled: &Stalled) -> Error {
    let prefix = match stalled.reason {
        "SecretNotFound" => "unable to fetch secrets",
        "InvalidName" => "failed create Service",
        _ => "failed create Deployment spec",
    };
    Error::Invalid(format!("{prefix}: {}", stalled.message))
}

/// The spec that follows `before`: what only the resource can say stays, and so does the number of replicas, unless the
/// deployment says what it is to be.
fn successor(before: &FunctionSpec, spec: FunctionSpec) -> FunctionSpec {
    let spec = FunctionSpec { scaling: before.scaling.clone(), probes: before.probes.clone(), ..spec };
    let label = spec.labels.as_ref().is_some_and(|labels| labels.contains_key(labels::SCALE_MIN));
    let says = label || spec.scaling.as_ref().is_some_and(|scaling| scaling.min.is_some());
    let replicas = if says { least(&spec) } else { before.replicas };
    FunctionSpec { replicas, ..spec }
}

fn least(spec: &FunctionSpec) -> Option<i32> {
    i32::try_from(least_replicas(spec)).ok()
}

fn living(function: &Function) -> bool {
    function.metadata.deletion_timestamp.is_none()
}

fn absent(function: &FunctionId) -> impl FnOnce() -> Error {
    let function = function.clone();
    move || Error::FunctionNotFound(function)
}

/// So that each deployment starts new pods, as the peers have it.
fn mark_deployed(function: &mut Function) {
    function.annotations_mut().insert(annotations::DEPLOYED_AT.into(), Timestamp::now().to_string());
}

/// Whether a function is sound depends on none of these; the operator has the installation's own.
fn any_defaults() -> Defaults {
    let probe = ValidProbe {
        path: "/".into(),
        chosen: false,
        initial_delay_seconds: 0,
        period_seconds: 1,
        timeout_seconds: 1,
        failure_threshold: 1,
        success_threshold: 1,
    };
    let timeout = Duration::from_mins(1);
    Defaults { timeout, healthcheck_interval: timeout, liveness: probe.clone(), readiness: probe }
}

#[cfg(test)]
mod tests {
    use faas_k8s::{Probes, Scaling};

    use super::*;

    fn spec(replicas: Option<i32>, label: Option<&str>) -> FunctionSpec {
        let labels = label.map(|least| [(labels::SCALE_MIN.to_owned(), least.to_owned())].into());
        FunctionSpec { replicas, labels, ..FunctionSpec::default() }
    }

    #[test]
    fn an_update_keeps_what_it_cannot_say() {
        let (scaling, probes) = (Some(Scaling { min: None, max: Some(9) }), Some(Probes::default()));
        let before = FunctionSpec { scaling, probes, image: Some("old".into()), ..spec(Some(3), None) };
        let after = successor(&before, FunctionSpec { image: Some("new".into()), ..spec(None, None) });
        assert_eq!((&after.scaling, &after.probes), (&before.scaling, &before.probes));
        assert_eq!((after.replicas, after.image.as_deref()), (Some(3), Some("new")));
    }

    #[test]
    fn a_secret_s_name_leads_nowhere_else() {
        assert!(is_subdomain("api-key") && is_subdomain("tls.crt") && is_subdomain("1st"));
        for bad in ["", ".", "..", "../pods/x", "a/b", "a?b", "A", "a b"] {
            assert!(!is_subdomain(bad), "{bad}");
        }
    }

    #[test]
    fn an_update_goes_back_to_the_least_only_where_that_is_said() {
        assert_eq!(successor(&spec(Some(3), Some("2")), spec(None, None)).replicas, Some(3));
        assert_eq!(successor(&spec(Some(3), None), spec(None, Some("2"))).replicas, Some(2));
        assert_eq!(successor(&spec(Some(0), None), spec(None, None)).replicas, Some(0));
        let field = Some(Scaling { min: Some(4), max: None });
        let before = FunctionSpec { scaling: field, ..spec(Some(9), None) };
        assert_eq!(successor(&before, spec(None, Some("2"))).replicas, Some(4));
    }
}
