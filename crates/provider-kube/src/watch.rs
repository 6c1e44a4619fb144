//! What feeds the routes: a watch on functions and one on their pods. Each is begun again, after a pause, until the
//! provider is dropped; routes stand as they are meanwhile.

use std::future::ready;

use faas_k8s::{Function, labels};
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use tokio::sync::watch::Sender;

use crate::Config;
use crate::routes::Routes;
use crate::state::{Event, FunctionFacts, PodFacts, Watched};

/// Events that are put into effect together, where so many are there.
const TOGETHER: usize = 256;

/// Which first lists have arrived.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Synced {
    pub(crate) functions: bool,
    pub(crate) pods: bool,
}

/// Watches functions for as long as it is polled.
pub(crate) async fn functions(client: Client, config: &Config, routes: &Routes, synced: &Sender<Synced>) {
    let events = watcher::watcher(api::<Function>(client, config), watching());
    let done = || synced.send_modify(|synced| synced.functions = true);
    feed(events, FunctionFacts::of, Event::Function, routes, done).await;
}

/// Watches pods of functions for as long as it is polled.
pub(crate) async fn pods(client: Client, config: &Config, routes: &Routes, synced: &Sender<Synced>) {
    let selected = watching().labels(labels::FUNCTION);
    let events = watcher::watcher(api::<Pod>(client, config), selected);
    let done = || synced.send_modify(|synced| synced.pods = true);
    feed(events, PodFacts::of, Event::Pod, routes, done).await;
}

/// A watch that the API server does not end within the minute is one that it has forgotten.
fn watching() -> watcher::Config {
    watcher::Config::default().timeout(60)
}

fn api<K>(client: Client, config: &Config) -> Api<K>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
{
    if config.many_namespaces { Api::all(client) } else { Api::namespaced(client, config.namespace.as_str()) }
}

/// Keeps of each object what `facts` takes from it, and drops the rest at once.
async fn feed<K, T>(
    events: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send,
    facts: impl Fn(&K) -> Option<T>,
    event: impl Fn(Watched<T>) -> Event,
    routes: &Routes,
    listed: impl Fn(),
) where
    K: Resource + Send,
{
    let known =
        |result: watcher::Result<_>| result.inspect_err(warn).ok().and_then(|event| watched(event, &facts));
    let events = events.default_backoff().filter_map(|result| ready(known(result)));
    let mut chunks = std::pin::pin!(events.ready_chunks(TOGETHER));
    while let Some(chunk) = chunks.next().await {
        let complete = chunk.iter().any(|watched| matches!(watched, Watched::AllListed));
        routes.handle(chunk.into_iter().map(&event));
        if complete {
            listed();
        }
    }
}

fn watched<K: Resource, T>(event: watcher::Event<K>, facts: impl Fn(&K) -> Option<T>) -> Option<Watched<T>> {
    match event {
        watcher::Event::Init => Some(Watched::Listing),
        watcher::Event::InitApply(object) => facts(&object).map(Watched::Listed),
        watcher::Event::InitDone => Some(Watched::AllListed),
        watcher::Event::Apply(object) => facts(&object).map(Watched::Seen).or_else(|| lost(&object)),
        watcher::Event::Delete(object) => facts(&object).map(Watched::Gone).or_else(|| lost(&object)),
    }
}

/// One that says nothing of a function any more may have done so before.
fn lost<K: Resource, T>(object: &K) -> Option<Watched<T>> {
    object.meta().uid.clone().map(Watched::Lost)
}

fn warn(error: &watcher::Error) {
    tracing::warn!(error = error as &dyn std::error::Error, "a watch on the API server failed");
}
