//! Finding a replica for an invocation, waking the function and holding the invocation where there is none.
//!
//! Bounded: so many invocations of one function may wait, for as long as their deadline lets them; past either bound
//! they get 503 with Retry-After. A start that failed answers all who wait at once. Many that wait wake only once. While
//! every replica has as many invocations as it takes, the next gets 429 at once.

use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use faas_api::FunctionId;
use faas_provider::{Cause, Error, Failure, InFlight};
use tokio::time::{Instant, timeout, timeout_at};

use crate::Gateway;
use crate::fault::{Fault, Side};
use crate::random::random;
use crate::table::{Entry, Shared};
use crate::upstream::Upstream;

/// How long a caller waits for a 404.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(2);

/// A replica to use, counted as busy until dropped.
pub(crate) struct Lease {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) in_flight: InFlight,
}

/// A replica for one more invocation, waiting until `deadline` for one to come. `entry` is the function's as it was a
/// moment ago.
pub(crate) async fn acquire(gateway: &Gateway, entry: &Entry, deadline: Instant) -> Result<Lease, Fault> {
    if let Some(lease) = pick(entry)? {
        return Ok(lease);
    }
    let function = &entry.function;
    let _waiting = Waiting::begin(&entry.shared, gateway.0.config.most_waiting)
        .ok_or_else(|| no_endpoints(function, "too many invocations wait for a replica"))?;
    // Kept apart, so that those that need not wait are small.
    Box::pin(timeout_at(deadline, wait(gateway, function)))
        .await
        .unwrap_or_else(|_| Err(no_endpoints(function, "no replica became ready in time")))
}

async fn wait(gateway: &Gateway, function: &FunctionId) -> Result<Lease, Fault> {
    loop {
        // Listen before looking, so that a change between the two is not missed.
        let shared = Arc::clone(&find(gateway, function)?.shared);
        let mut changed = pin!(shared.changed.notified());
        changed.as_mut().enable();
        let entry = find(gateway, function)?;
        if !Arc::ptr_eq(&entry.shared, &shared) {
            // Deleted and deployed anew in between.
            continue;
        }
        if let Some(lease) = pick(&entry)? {
            return Ok(lease);
        }
        if let Some(failure) = &entry.route.failure {
            return Err(failed_start(function, failure));
        }
        if entry.route.wanted == 0 && !gateway.0.config.scale_from_zero {
            return Err(no_endpoints(function, "scaled to zero, and waking is switched off"));
        }
        if entry.route.wanted == 0 {
            wake(gateway, function, &shared).await?;
        }
        changed.await;
    }
}

/// Asks the provider for a replica, unless another invocation is asking already.
async fn wake(gateway: &Gateway, function: &FunctionId, shared: &Shared) -> Result<(), Fault> {
    if shared.waking.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    let _asking = Asking(shared);
    let (provider, asked) = (Arc::clone(&gateway.0.provider), function.clone());
    let woken = gateway.on_main(async move { provider.wake(&asked).await }).await;
    woken.unwrap_or_else(|| Err(ended("wake the function"))).map_err(|error| {
        if matches!(error, Error::FunctionNotFound(_)) {
            return not_found(function);
        }
        tracing::error!(%function, error = &error as &dyn std::error::Error, "failed to wake");
        if matches!(error, Error::Unavailable { .. }) {
            return unknown(function);
        }
        if let Error::Forbidden(text) = error {
            return forbidden(function, text);
        }
        Fault::new(Side::Platform, StatusCode::INTERNAL_SERVER_ERROR, "the function could not be woken")
            .body(format!("error finding function {function}: "))
    })
}

/// A function that is not in the table: another gateway may have deployed it a moment ago. Asked once, for a bounded
/// time. Silence of the provider is no 404; a provider that is asked too often may say nothing of a function that is there.
pub(crate) async fn look_up(gateway: &Gateway, function: &FunctionId) -> Result<Arc<Entry>, Fault> {
    let (provider, asked) = (Arc::clone(&gateway.0.provider), function.clone());
    let looking = gateway.on_main(async move { provider.look_up(&asked).await });
    match timeout(LOOK_UP_TIMEOUT, looking)
        .await
        .map(|looked| looked.unwrap_or_else(|| Err(ended("look it up"))))
    {
        Ok(Ok(())) => find(gateway, function),
        Ok(Err(error)) => {
            tracing::warn!(%function, error = &error as &dyn std::error::Error, "failed to look up");
            Err(if let Error::Forbidden(text) = error {
                forbidden(function, text)
            } else {
                unknown(function)
            })
        }
        Err(_) => Err(unknown(function)),
    }
}

/// The main runtime is ending, or the provider panicked.
fn ended(what: &'static str) -> Error {
    Error::Internal { what, source: "the provider did not come back".into() }
}

fn find(gateway: &Gateway, function: &FunctionId) -> Result<Arc<Entry>, Fault> {
    gateway.0.table.get(function).ok_or_else(|| not_found(function))
}

/// Of two at random the one with fewer invocations in flight; where that one takes none, the next that takes one, so
/// that its share does not fall on the same other always. `None` where nothing listens.
fn pick(entry: &Entry) -> Result<Option<Lease>, Fault> {
    let all = entry.upstreams.as_slice();
    let position = random(all.len());
    let Some(first) = all.get(position) else { return Ok(None) };
    // Another one, if there is.
    let other = &all[(position + 1 + random(all.len() - 1)) % all.len()];
    let fewer = other.replica().in_flight() < first.replica().in_flight();
    // One that is set aside has fewest.
    let better = if first.is_usable() { fewer && other.is_usable() } else { true };
    let limit = entry.route.terms.max_inflight;
    let lease = |upstream: &Arc<Upstream>| {
        let in_flight = upstream.is_usable().then(|| upstream.replica().begin(limit)).flatten()?;
        Some(Lease { upstream: Arc::clone(upstream), in_flight })
    };
    let mut others = all.iter().cycle().skip(position).take(all.len());
    if let Some(lease) = lease(if better { other } else { first }).or_else(|| others.find_map(lease)) {
        return Ok(Some(lease));
    }
    // It refused because of the limit, even if an invocation has ended since.
    let was_full = |upstream: &Arc<Upstream>| upstream.is_usable() && !upstream.replica().is_retired();
    if limit.is_some() && all.iter().any(was_full) { Err(too_many(entry)) } else { Ok(None) }
}

/// The watchdog's own words for it.
fn too_many(entry: &Entry) -> Fault {
    let each = entry.route.terms.max_inflight.map_or(0, NonZeroUsize::get);
    let most = each.saturating_mul(entry.upstreams.len());
    let reason = "every replica has as many invocations as it takes";
    Fault::new(Side::Gateway, StatusCode::TOO_MANY_REQUESTS, reason)
        .body(format!("Concurrent request limit exceeded. Max concurrent requests: {most}\n"))
        .retry_after(1)
}

pub(crate) fn not_found(function: &FunctionId) -> Fault {
    let name = &function.name;
    Fault::new(Side::Client, StatusCode::NOT_FOUND, "no such function").body(format!(
        "error finding function {function}: server returned non-200 status code (404) for function, {name}, body: "
    ))
}

/// Whether there is such a function could not be found out.
fn unknown(function: &FunctionId) -> Fault {
    let reason = "the function could not be looked up";
    Fault::new(Side::Platform, StatusCode::SERVICE_UNAVAILABLE, reason)
        .body(format!("error finding function {function}: {reason}"))
        .retry_after(5)
}

/// The platform lacks a right, which no other try mends; the text names it.
fn forbidden(function: &FunctionId, text: String) -> Fault {
    let body = format!("error finding function {function}: {text}");
    Fault::new(Side::Platform, StatusCode::FORBIDDEN, text).body(body)
}

fn no_endpoints(function: &FunctionId, reason: &'static str) -> Fault {
    Fault::new(Side::Platform, StatusCode::SERVICE_UNAVAILABLE, reason)
        .body(format!("No endpoints available for: {}.", function.name))
        .retry_after(1)
}

fn failed_start(function: &FunctionId, failure: &Failure) -> Fault {
    // What the platform's own trouble is concerns its operator, who finds it in the log and in the conditions.
    let (side, reason) = match failure.cause {
        Cause::Handler => (Side::Handler, failure.reason.to_string()),
        Cause::Platform => (Side::Platform, "the replica could not be started".to_owned()),
    };
    Fault::new(side, StatusCode::SERVICE_UNAVAILABLE, reason)
        .body(format!("No endpoints available for: {}.", function.name))
        .retry_after(5)
}

/// Counts one that waits, until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(shared: &'a Shared, most: usize) -> Option<Self> {
        let waiting = Self(&shared.waiting);
        (shared.waiting.fetch_add(1, Ordering::AcqRel) < most).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Whoever asks may be cancelled by its caller; then another of those that wait must ask.
struct Asking<'a>(&'a Shared);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let waking: &AtomicBool = &self.0.waking;
        waking.store(false, Ordering::Release);
        self.0.changed.notify_waiters();
    }
}
