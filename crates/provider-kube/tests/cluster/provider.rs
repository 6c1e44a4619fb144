//! What only this provider does.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use faas_api::{FunctionDeployment, FunctionId, FunctionNamespace, Namespace};
use faas_k8s::Function;
use faas_provider::conformance::{Behaviour, Harness as _};
use faas_provider::{Error, LogQuery, Provider as _, Route, RouteSink};
use faas_provider_kube::Kube;
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::support::{World, client_config, config, eventually};

#[derive(Default)]
struct Routes(Mutex<HashMap<FunctionId, Route>>);

impl RouteSink for Routes {
    fn apply(&self, updates: Vec<(FunctionId, Option<Route>)>) {
        let mut routes = self.0.lock().unwrap();
        for (function, route) in updates {
            match route {
                Some(route) => drop(routes.insert(function, route)),
                None => drop(routes.remove(&function)),
            }
        }
    }
}

impl Routes {
    fn of(kube: &Kube) -> Arc<Self> {
        let routes = Arc::<Self>::default();
        kube.subscribe(Arc::clone(&routes) as _);
        routes
    }

    fn get(&self, function: &FunctionId) -> Option<Route> {
        self.0.lock().unwrap().get(function).cloned()
    }

    fn replicas(&self, function: &FunctionId) -> Vec<String> {
        let route = self.get(function).into_iter();
        route.flat_map(|route| route.replicas).map(|replica| replica.name.clone()).collect()
    }
}

fn function(name: &str) -> FunctionId {
    FunctionId::parse(name, &Namespace::default()).unwrap()
}

async fn echo(world: &World) -> FunctionDeployment {
    world.deployable(Behaviour::Echo, &Namespace::default()).await
}

#[tokio::test]
async fn another_gateway_reads_what_this_one_wrote_and_finds_what_it_missed() {
    let Some(world) = World::start().await else { return };
    let other = Kube::start(world.client.clone(), config(false));
    let (echo, routes) = (function("echo"), Routes::of(&other));
    world.kube.deploy(&echo, self::echo(&world).await).await.unwrap();
    assert_eq!(other.get(&echo, false).await.unwrap().name, "echo");
    other.look_up(&echo).await.unwrap();
    assert_eq!(routes.get(&echo).unwrap().wanted, 1);
    other.look_up(&function("absent")).await.unwrap();
    assert!(routes.get(&function("absent")).is_none());
    other.scale(&echo, 0).await.unwrap();
    assert_eq!(world.kube.get(&echo, false).await.unwrap().replicas, 0);
}

#[tokio::test]
async fn a_function_that_is_deployed_anew_is_not_answered_by_the_old_pods() {
    let Some(world) = World::start().await else { return };
    let (echo, routes) = (function("echo"), Routes::of(&world.kube));
    world.kube.deploy(&echo, self::echo(&world).await).await.unwrap();
    eventually("a replica", async || !routes.replicas(&echo).is_empty()).await;
    let old = routes.replicas(&echo);
    world.kube.delete(&echo).await.unwrap();
    world.kube.deploy(&echo, self::echo(&world).await).await.unwrap();
    assert!(routes.replicas(&echo).is_empty());
    eventually("a new replica", async || !routes.replicas(&echo).is_empty()).await;
    assert!(routes.replicas(&echo).iter().all(|name| !old.contains(name)));
}

#[tokio::test]
async fn a_followed_log_has_the_lines_of_new_pods_each_once() {
    let Some(world) = World::start().await else { return };
    let echo = function("echo");
    world.kube.deploy(&echo, self::echo(&world).await).await.unwrap();
    let query = |follow| LogQuery { function: echo.clone(), instance: None, tail: None, since: None, follow };
    let mut lines = world.kube.logs(query(true)).await.unwrap();
    let first = lines.next().await.unwrap();
    world.kube.scale(&echo, 2).await.unwrap();
    let (mut seen, mut instances) = (vec![first.clone()], HashSet::from([first.instance]));
    while instances.len() < 2 {
        let line = lines.next().await.unwrap();
        assert!(!seen.contains(&line), "{line:?} came twice");
        instances.insert(line.instance.clone());
        seen.push(line);
    }
    let (instance, other) = (seen[0].instance.clone(), seen.last().unwrap().instance.clone());
    let one = LogQuery { instance: Some(other.clone()), ..query(false) };
    let texts: Vec<_> = world.kube.logs(one).await.unwrap().collect().await;
    assert!(texts.iter().all(|line| line.instance == other && line.instance != instance));
}

#[tokio::test]
async fn what_others_wrote_into_a_function_stays() {
    let Some(world) = World::start().await else { return };
    let (echo, functions) = (function("echo"), world.api::<Function>());
    world.kube.deploy(&echo, self::echo(&world).await).await.unwrap();
    let theirs = json!({
        "metadata": { "labels": { "team": "blue" }, "annotations": { "note": "mine" } },
        "spec": { "scaling": { "max": 7 }, "replicas": 2 },
    });
    functions.patch("echo", &PatchParams::default(), &Patch::Merge(theirs)).await.unwrap();
    world.kube.update(&echo, self::echo(&world).await).await.unwrap();
    let after = functions.get("echo").await.unwrap();
    assert_eq!(after.metadata.labels.unwrap()["team"], "blue");
    assert_eq!(after.metadata.annotations.unwrap()["note"], "mine");
    assert_eq!((after.spec.scaling.unwrap().max, after.spec.replicas), (Some(7), Some(2)));
}

#[tokio::test]
async fn what_cannot_run_is_refused_and_recorded_nowhere() {
    let Some(world) = World::start().await else { return };
    let refused = FunctionDeployment { constraints: vec!["no pair".into()], ..echo(&world).await };
    let Err(Error::Invalid(text)) = world.kube.deploy(&function("echo"), refused).await else {
        panic!("it was accepted");
    };
    assert!(text.contains("no pair"), "{text}");
    let digit = world.kube.deploy(&function("1st"), echo(&world).await).await;
    assert!(matches!(digit, Err(Error::Invalid(text)) if text.contains("must begin with a letter")));
    assert!(world.kube.list(&Namespace::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_left_alone() {
    let Some(world) = World::start().await else { return };
    let (namespace, secrets) = (Namespace::default(), world.api::<Secret>());
    let metadata = ObjectMeta { name: Some("hand-made".into()), ..ObjectMeta::default() };
    let _ = secrets.delete("hand-made", &kube::api::DeleteParams::default()).await;
    secrets.create(&PostParams::default(), &Secret { metadata, ..Secret::default() }).await.unwrap();
    let kube = &world.kube;
    assert!(kube.list_secrets(&namespace).await.unwrap().is_empty());
    let created = kube.create_secret(&namespace, "hand-made", b"x".to_vec()).await;
    assert!(matches!(created, Err(Error::SecretExists(_))));
    let updated = kube.update_secret(&namespace, "hand-made", b"x".to_vec()).await;
    assert!(matches!(updated, Err(Error::SecretNotFound(_))));
    let deleted = kube.delete_secret(&namespace, "hand-made").await;
    assert!(matches!(deleted, Err(Error::SecretNotFound(_))));
    let deployment = FunctionDeployment { secrets: vec!["hand-made".into()], ..echo(&world).await };
    kube.deploy(&function("echo"), deployment).await.expect("functions may use it");
    secrets.delete("hand-made", &kube::api::DeleteParams::default()).await.unwrap();
}

#[tokio::test]
async fn a_callback_is_signed_with_a_secret_of_the_function_alone() {
    let Some(world) = World::start().await else { return };
    let (namespace, kube, secrets) = (Namespace::default(), &world.kube, world.api::<Secret>());
    for name in ["mine", "others"] {
        let _ = secrets.delete(name, &kube::api::DeleteParams::default()).await;
        kube.create_secret(&namespace, name, b"k3y\n".to_vec()).await.unwrap();
    }
    let given = vec!["mine".into(), "hand-made".into(), "gone".into()];
    for name in ["hand-made", "gone"] {
        let _ = secrets.delete(name, &kube::api::DeleteParams::default()).await;
        let metadata = ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() };
        let data =
            ["hand-made", "another"].map(|key| (key.to_owned(), k8s_openapi::ByteString(b"two".into())));
        let secret = Secret { metadata, data: Some(data.into()), ..Secret::default() };
        secrets.create(&PostParams::default(), &secret).await.unwrap();
    }
    kube.deploy(&function("echo"), FunctionDeployment { secrets: given, ..echo(&world).await })
        .await
        .unwrap();
    secrets.delete("gone", &kube::api::DeleteParams::default()).await.unwrap();
    for (of, name, key) in [
        ("echo", "mine", Some(&b"k3y\n"[..])),
        ("echo", "hand-made", Some(b"two")),
        ("echo", "gone", None),
        ("echo", "others", None),
        ("echo", "../mine", None),
        ("no-such", "mine", None),
    ] {
        let found = faas_provider_kube::secret_of(&world.client, &function(of), name).await.unwrap();
        assert_eq!(found.as_deref(), key, "{of} {name}");
    }
    for name in ["mine", "others", "hand-made"] {
        secrets.delete(name, &kube::api::DeleteParams::default()).await.unwrap();
    }
}

#[tokio::test]
async fn with_rights_in_one_namespace_there_is_one() {
    let Some(world) = World::start().await else { return };
    let kube = Kube::start(world.client.clone(), config(false));
    let names: Vec<_> =
        kube.list_namespaces().await.unwrap().into_iter().map(|namespace| namespace.name).collect();
    assert_eq!(names, ["openfaas-fn"]);
    let dev = FunctionNamespace { name: "dev".into(), ..FunctionNamespace::default() };
    let created = kube.create_namespace(dev).await;
    assert!(matches!(created, Err(Error::Forbidden(text)) if text.contains("clusterRole=true")));
    assert!(matches!(kube.list(&"kube-system".parse().unwrap()).await, Err(Error::NamespaceNotFound(_))));
    assert!(matches!(kube.get(&function("f.dev"), false).await, Err(Error::FunctionNotFound(_))));
}

#[tokio::test]
async fn a_namespace_that_is_not_marked_is_left_alone() {
    let Some(world) = World::start().await else { return };
    let kube = &world.kube;
    assert!(matches!(kube.delete_namespace(&"kube-system".parse().unwrap()).await, Err(Error::Invalid(_))));
    assert!(matches!(kube.delete_namespace(&Namespace::default()).await, Err(Error::Invalid(_))));
    let system = FunctionNamespace { name: "kube-system".into(), ..FunctionNamespace::default() };
    assert!(matches!(kube.update_namespace(system.clone()).await, Err(Error::Invalid(_))));
    assert!(matches!(kube.create_namespace(system).await, Err(Error::NamespaceExists(_))));
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let Some(world) = World::start().await else { return };
    let mut nobody = client_config(world.kubeconfig()).await;
    nobody.auth_info.impersonate = Some("system:serviceaccount:default:nobody".into());
    let kube = Kube::start(Client::try_from(nobody).unwrap(), config(false));
    let Err(Error::Forbidden(text)) = kube.list(&Namespace::default()).await else {
        panic!("it is not forbidden");
    };
    for word in ["list", "functions", "openfaas-fn", "role"] {
        assert!(text.contains(word), "{text}");
    }
}

#[tokio::test]
async fn without_an_api_server_writes_say_so() {
    let nowhere = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let kube = Kube::start(Client::try_from(nowhere).unwrap(), config(false));
    let echo = function("echo");
    assert!(matches!(kube.scale(&echo, 1).await, Err(Error::Unavailable { .. })));
    assert!(matches!(kube.look_up(&echo).await, Err(Error::Unavailable { .. })));
}
