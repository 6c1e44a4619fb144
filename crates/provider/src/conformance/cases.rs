//! The cases, one function each, named by what must hold.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use faas_api::{Digest, FunctionNamespace, Namespace, Resources};
use futures_util::StreamExt as _;

use super::world::{World, eventually, function};
use super::{Behaviour, Harness};
use crate::{Error, LogQuery};

/// The very next read after a deploy sees the function, and it comes to answer.
pub async fn a_deployed_function_is_seen_at_once_and_answers(harness: &dyn Harness) {
    let (world, echo) = (World::new(harness), function("echo"));
    world.deploy(&echo, Behaviour::Echo).await;
    let status = world.provider.get(&echo, false).await.expect("it is there");
    assert_eq!((status.name.as_str(), status.replicas), ("echo", 1));
    let listed = world.provider.list(&echo.namespace).await.expect("it lists");
    assert_eq!(listed.len(), 1);
    assert_eq!(world.invoke(&echo, "hello").await, (200, "hello".into()));
    let available = async || {
        let status = world.provider.get(&echo, false).await.expect("it is there");
        (status.available_replicas == 1).then_some(())
    };
    eventually("an available replica", available).await;
    world.provider.delete(&echo).await.expect("it deletes");
    assert!(world.route(&echo).is_none(), "a deleted function has no route");
    assert!(matches!(world.provider.get(&echo, false).await, Err(Error::FunctionNotFound(_))));
}

/// What was sent comes back as it was sent, and nothing that was not.
pub async fn a_status_says_what_was_deployed(harness: &dyn Harness) {
    let (world, plain, full) = (World::new(harness), function("plain"), function("full"));
    world.deploy(&plain, Behaviour::Environment).await;
    let status = world.provider.get(&plain, false).await.expect("it is there");
    assert!(status.env_vars.is_empty() && status.limits.is_none() && status.requests.is_none());
    assert!(status.secrets.is_empty() && status.constraints.is_empty() && status.annotations.is_empty());
    assert_eq!(status.labels.get("faas_function").map(String::as_str), Some("plain"));
    for name in ["zeta", "alpha"] {
        world.provider.create_secret(&full.namespace, name, b"x".to_vec()).await.expect("it is created");
    }
    let mut sent = world.deployable(&full, Behaviour::Environment).await;
    sent.env_vars = map(&[("GREETING", "a b=c")]);
    sent.labels = map(&[("team", "blue")]);
    sent.annotations = map(&[("note", "{\"a\":\n 1}")]);
    sent.secrets = vec!["zeta".into(), "alpha".into()];
    sent.limits = Some(Resources { memory: "128Mi".into(), ..Resources::default() });
    sent.timeout = "7s".into();
    world.provider.deploy(&full, sent.clone()).await.expect("it deploys");
    let status = world.provider.get(&full, false).await.expect("it is there");
    assert_eq!((&status.env_vars, &status.annotations), (&sent.env_vars, &sent.annotations));
    assert_eq!((&status.secrets, &status.limits), (&sent.secrets, &sent.limits));
    assert_eq!((status.timeout.as_str(), status.labels.len()), ("7s", 2));
    assert!(world.invoke(&full, "").await.1.contains("GREETING=a b=c\n"));
}

/// Each change says that its function, or the lack of it, stands in the way.
pub async fn deploying_updating_and_deleting_say_what_is_not_there(harness: &dyn Harness) {
    let (world, echo) = (World::new(harness), function("echo"));
    let deployment = world.deployable(&echo, Behaviour::Echo).await;
    let provider = &world.provider;
    assert!(matches!(provider.update(&echo, deployment.clone()).await, Err(Error::FunctionNotFound(_))));
    assert!(matches!(provider.delete(&echo).await, Err(Error::FunctionNotFound(_))));
    assert!(matches!(provider.scale(&echo, 1).await, Err(Error::FunctionNotFound(_))));
    assert!(matches!(provider.wake(&echo).await, Err(Error::FunctionNotFound(_))));
    provider.deploy(&echo, deployment.clone()).await.expect("it deploys");
    assert!(matches!(provider.deploy(&echo, deployment).await, Err(Error::FunctionExists(_))));
}

/// Invocations before, during and after an update are all answered, in the end by the new revision.
pub async fn an_update_fails_no_request(harness: &dyn Harness) {
    let (world, revised) = (World::new(harness), function("revised"));
    let revision = async |text: &str| {
        let mut deployment = world.deployable(&revised, Behaviour::Environment).await;
        deployment.env_vars = map(&[("REVISION", text)]);
        deployment
    };
    world.provider.deploy(&revised, revision("0").await).await.expect("it deploys");
    world.invoke(&revised, "").await;
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let invoking = async {
        while !done.load(Ordering::Relaxed) {
            assert_eq!(world.invoke(&revised, "").await.0, 200);
            answered.fetch_add(1, Ordering::Relaxed);
        }
    };
    let updating = async {
        for number in 1..=3 {
            let line = format!("REVISION={number}\n");
            let deployment = revision(&number.to_string()).await;
            world.provider.update(&revised, deployment).await.expect("it updates");
            let new = async || world.invoke(&revised, "").await.1.contains(&line).then_some(());
            eventually("the new revision", new).await;
        }
        done.store(true, Ordering::Relaxed);
    };
    futures_util::future::join(invoking, updating).await;
    assert!(answered.load(Ordering::Relaxed) > 0, "nothing was invoked during the updates");
}

/// A revision that never becomes ready takes nothing from the one that answers.
pub async fn a_failing_update_leaves_the_old_replica_serving(harness: &dyn Harness) {
    let (world, echo) = (World::new(harness), function("echo"));
    world.deploy(&echo, Behaviour::Echo).await;
    assert_eq!(world.invoke(&echo, "1").await.1, "1");
    let broken = world.deployable(&echo, Behaviour::Broken).await;
    world.provider.update(&echo, broken).await.expect("it is recorded");
    world.routed(&echo, "the failure", |route| route.failure.is_some()).await;
    assert_eq!(world.invoke(&echo, "2").await.1, "2");
}

/// Up, down, to zero and awake again; each is seen at once.
pub async fn any_number_of_replicas_zero_included(harness: &dyn Harness) {
    let (world, echo) = (World::new(harness), function("echo"));
    world.deploy(&echo, Behaviour::Echo).await;
    for replicas in [3, 1, 0] {
        world.provider.scale(&echo, replicas).await.expect("it scales");
        let status = world.provider.get(&echo, false).await.expect("it is there");
        assert_eq!(status.replicas, replicas);
        let count = replicas as usize;
        world.routed(&echo, "the replicas", |route| route.replicas.len() == count).await;
    }
    assert_eq!(world.route(&echo).expect("it keeps its route").wanted, 0);
    world.provider.wake(&echo).await.expect("it wakes");
    assert_eq!(world.invoke(&echo, "awake").await.1, "awake");
    world.provider.wake(&echo).await.expect("waking one that is awake does nothing");
    assert_eq!(world.route(&echo).expect("it has a route").wanted, 1);
}

/// `com.openfaas.scale.min` decides what a new and a woken function gets.
pub async fn the_least_number_of_replicas_is_a_label(harness: &dyn Harness) {
    let (world, echo) = (World::new(harness), function("echo"));
    let mut deployment = world.deployable(&echo, Behaviour::Echo).await;
    deployment.labels = map(&[("com.openfaas.scale.min", "2")]);
    world.provider.deploy(&echo, deployment).await.expect("it deploys");
    assert_eq!(world.provider.get(&echo, false).await.expect("it is there").replicas, 2);
    world.provider.scale(&echo, 0).await.expect("it scales");
    world.provider.wake(&echo).await.expect("it wakes");
    world.routed(&echo, "two replicas", |route| route.replicas.len() == 2).await;
}

/// The reason of a failed start is in the route, where it answers those who wait, and in the conditions.
pub async fn a_start_that_fails_says_why(harness: &dyn Harness) {
    let (world, broken) = (World::new(harness), function("broken"));
    world.deploy(&broken, Behaviour::Broken).await;
    let route = world.routed(&broken, "the failure", |route| route.failure.is_some()).await;
    assert!(route.replicas.is_empty());
    let status = world.provider.get(&broken, false).await.expect("it is there");
    let healthy = status.conditions.iter().find(|condition| condition.kind == "Healthy");
    let healthy = healthy.expect("there is a condition");
    assert_eq!(healthy.status, "False");
    assert!(!healthy.message.is_empty());
    let text = "this handler is broken";
    let logged = async || log_text(&world, "broken").await.contains(text).then_some(());
    eventually("the handler's last words", logged).await;
    let good = world.deployable(&broken, Behaviour::Echo).await;
    world.provider.update(&broken, good).await.expect("it updates");
    assert_eq!(world.invoke(&broken, "mended").await.1, "mended");
    assert!(world.route(&broken).expect("it has a route").failure.is_none());
}

/// A secret is created, read by its function byte for byte, replaced, listed by name only, and deleted.
pub async fn secrets_are_files_and_never_come_back(harness: &dyn Harness) {
    let (world, reader) = (World::new(harness), function("reader"));
    let (provider, namespace, name) = (&world.provider, &reader.namespace, "api-key");
    let missing = provider.update_secret(namespace, name, b"x".to_vec()).await;
    assert!(matches!(missing, Err(Error::SecretNotFound(_))));
    provider.create_secret(namespace, name, b" one\n".to_vec()).await.expect("it is created");
    let again = provider.create_secret(namespace, name, b"x".to_vec()).await;
    assert!(matches!(again, Err(Error::SecretExists(_))));
    assert_eq!(provider.list_secrets(namespace).await.expect("they list"), [name]);
    let mut deployment = world.deployable(&reader, Behaviour::Secret).await;
    deployment.secrets = vec![name.into()];
    provider.deploy(&reader, deployment.clone()).await.expect("it deploys");
    assert_eq!(world.invoke(&reader, "").await.1, " one\n");
    provider.update_secret(namespace, name, b"two".to_vec()).await.expect("it is replaced");
    provider.update(&reader, deployment).await.expect("it updates");
    let new = async || (world.invoke(&reader, "").await.1 == "two").then_some(());
    eventually("the new value", new).await;
    provider.delete(&reader).await.expect("the function is deleted");
    provider.delete_secret(namespace, name).await.expect("it is deleted");
    assert!(matches!(provider.delete_secret(namespace, name).await, Err(Error::SecretNotFound(_))));
}

/// A deployment that needs a secret which is not there is refused, and recorded nowhere.
pub async fn a_missing_secret_is_named(harness: &dyn Harness) {
    let (world, echo) = (World::new(harness), function("echo"));
    let mut deployment = world.deployable(&echo, Behaviour::Echo).await;
    deployment.secrets = vec!["absent".into()];
    let Err(Error::Invalid(text)) = world.provider.deploy(&echo, deployment).await else {
        panic!("a missing secret was accepted");
    };
    assert!(text.contains("Required secret 'absent' was not found in the cluster"), "{text}");
    assert!(matches!(world.provider.get(&echo, false).await, Err(Error::FunctionNotFound(_))));
}

/// One name in two namespaces is two functions; a namespace goes with all that is in it.
pub async fn namespaces_keep_functions_and_secrets_apart(harness: &dyn Harness) {
    let (world, here, there) = (World::new(harness), function("twin"), function("twin.dev"));
    let (provider, dev) = (&world.provider, there.namespace.clone());
    let marked = map(&[("openfaas", "1"), ("team", "blue")]);
    let namespace =
        FunctionNamespace { name: "dev".into(), labels: marked, annotations: BTreeMap::default() };
    provider.create_namespace(namespace.clone()).await.expect("it is created");
    assert!(matches!(provider.create_namespace(namespace).await, Err(Error::NamespaceExists(_))));
    let listed = provider.list_namespaces().await.expect("they list");
    assert_eq!(
        listed.iter().map(|namespace| namespace.name.as_str()).collect::<Vec<_>>(),
        ["dev", "openfaas-fn"]
    );
    assert_eq!(listed[0].labels.get("team").map(String::as_str), Some("blue"));
    for (function, value) in [(&here, "here"), (&there, "there")] {
        let mut deployment = world.deployable(function, Behaviour::Environment).await;
        deployment.env_vars = map(&[("WHERE", value)]);
        provider.deploy(function, deployment).await.expect("it deploys");
    }
    provider.create_secret(&dev, "only-dev", b"x".to_vec()).await.expect("it is created");
    assert!(provider.list_secrets(&here.namespace).await.expect("they list").is_empty());
    assert!(world.invoke(&here, "").await.1.contains("WHERE=here\n"));
    assert!(world.invoke(&there, "").await.1.contains("WHERE=there\n"));
    provider.delete_namespace(&dev).await.expect("it is deleted");
    assert!(world.route(&there).is_none());
    assert!(matches!(provider.list(&dev).await, Err(Error::NamespaceNotFound(_))));
    assert_eq!(world.invoke(&here, "").await.0, 200);
}

/// Nothing is made in a namespace that is not there.
pub async fn an_unknown_namespace_is_refused(harness: &dyn Harness) {
    let (world, lost) = (World::new(harness), function("lost.nowhere"));
    let nowhere: Namespace = lost.namespace.clone();
    let deployment = world.deployable(&lost, Behaviour::Echo).await;
    let provider = &world.provider;
    assert!(matches!(provider.deploy(&lost, deployment).await, Err(Error::NamespaceNotFound(_))));
    assert!(matches!(provider.list(&nowhere).await, Err(Error::NamespaceNotFound(_))));
    assert!(matches!(provider.list_secrets(&nowhere).await, Err(Error::NamespaceNotFound(_))));
    let secret = provider.create_secret(&nowhere, "s", Vec::new()).await;
    assert!(matches!(secret, Err(Error::NamespaceNotFound(_))));
    assert!(matches!(provider.delete_namespace(&nowhere).await, Err(Error::NamespaceNotFound(_))));
}

/// Lines that were written before, and with `follow` those written after, each once.
pub async fn logs_have_what_replicas_wrote(harness: &dyn Harness) {
    let (world, echo) = (World::new(harness), function("echo"));
    assert!(matches!(world.provider.logs(query("echo", false)).await, Err(Error::FunctionNotFound(_))));
    world.deploy(&echo, Behaviour::Echo).await;
    world.invoke(&echo, "1234567").await;
    let wrote = async || log_text(&world, "echo").await.contains("Wrote 7 Bytes").then_some(());
    eventually("the first line", wrote).await;
    let mut lines = world.provider.logs(query("echo", true)).await.expect("there are logs");
    world.invoke(&echo, "12345").await;
    let mut texts = Vec::new();
    while !texts.last().is_some_and(|text: &String| text.contains("Wrote 5 Bytes")) {
        let line = lines.next().await.expect("a followed log goes on");
        assert_eq!((line.name.as_str(), line.text.ends_with('\n')), ("echo", true));
        texts.push(line.text);
    }
    let count = |part: &str| texts.iter().filter(|text| text.contains(part)).count();
    assert_eq!((count("Wrote 7 Bytes"), count("Wrote 5 Bytes")), (1, 1));
    let one = LogQuery { tail: 1.try_into().ok(), ..query("echo", false) };
    let last: Vec<_> = world.provider.logs(one).await.expect("there are logs").collect().await;
    assert_eq!(last.len(), 1);
}

/// Where packages are taken: an absent one is named, one that lies about its digest leaves nothing.
pub async fn packages_are_what_their_digest_says(harness: &dyn Harness) {
    let world = World::new(harness);
    let provider = &world.provider;
    if !provider.info().accepts_packages() {
        return;
    }
    let (echo, absent) = (function("echo"), Digest::from_bytes(&[7; 32]));
    let mut deployment = world.deployable(&echo, Behaviour::Echo).await;
    deployment.package = Some(absent.clone());
    let Err(Error::Invalid(text)) = provider.deploy(&echo, deployment).await else {
        panic!("an absent package was accepted");
    };
    assert_eq!(text, format!("package {absent} not found"));
    let lie = futures_util::stream::iter([Ok(Bytes::from_static(b"not what it says"))]);
    assert!(matches!(provider.put_package(&absent, Box::pin(lie)).await, Err(Error::Invalid(_))));
    assert!(!provider.has_package(&absent).await.expect("it can be asked"));
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn query(name: &str, follow: bool) -> LogQuery {
    LogQuery { function: function(name), instance: None, tail: None, since: None, follow }
}

async fn log_text(world: &World<'_>, name: &str) -> String {
    let lines = world.provider.logs(query(name, false)).await.expect("there are logs");
    lines.map(|line| line.text).collect().await
}
