//! Who leads: a Lease that is taken and renewed by compare-and-swap on its resource version.
//!
//! A copy that could not renew in time stops acting before another may take over: [`Leadership::holds`] is asked before
//! every write, by the monotonic clock, so that one that was stopped and continued writes nothing. How old another's
//! Lease is, is measured by how long it has stood unchanged here, so clocks need not agree.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::{Api, Client, Resource as _, ResourceExt as _};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::error::{REQUEST, bounded};

/// A holder that has not renewed for so long is taken to be gone.
const DURATION: Duration = Duration::from_secs(15);
/// A leader begins no write later than this after its last renewal: what it has begun ends before another may lead.
const ACTS: Duration = DURATION.saturating_sub(REQUEST);
/// Between renewals, and between looks at another's Lease.
const PERIOD: Duration = Duration::from_secs(2);
/// By what several copies agree on one.
#[derive(Debug, Clone)]
pub struct LeaseConfig {
    /// Where the Lease is.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// This copy's own name, such as its pod's.
    pub identity: String,
}

/// Whether this copy may write. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Leadership(Arc<Mutex<Option<Instant>>>);

impl Leadership {
    /// Of a copy that is alone.
    pub(crate) fn forever() -> Self {
        Self(Arc::default())
    }

    fn until(instant: Instant) -> Self {
        Self(Arc::new(Mutex::new(Some(instant))))
    }

    /// Whether it leads now.
    pub(crate) fn holds(&self) -> bool {
        self.lock().is_none_or(|until| Instant::now() < until)
    }

    fn extend(&self, until: Instant) {
        *self.lock() = Some(until);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes and keeps the Lease.
pub(crate) struct Elector {
    leases: Api<Lease>,
    config: LeaseConfig,
    /// The version last seen of another's Lease, and since when.
    seen: Option<(String, Instant)>,
}

impl Elector {
    pub(crate) fn new(client: Client, config: LeaseConfig) -> Self {
        Self { leases: Api::namespaced(client, &config.namespace), config, seen: None }
    }

    /// Waits until this copy leads; `None` once `stop` is cancelled.
    pub(crate) async fn lead(&mut self, stop: &CancellationToken) -> Option<Leadership> {
        tracing::info!(lease = self.config.name, identity = self.config.identity, "waiting to lead");
        loop {
            let started = Instant::now();
            match stop.run_until_cancelled(bounded("ask for the lease", self.take())).await? {
                Ok(true) => {
                    tracing::info!(identity = self.config.identity, "leading");
                    return Some(Leadership::until(started + ACTS));
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "no lease"),
            }
            stop.run_until_cancelled(sleep(PERIOD)).await?;
        }
    }

    /// Renews until that has failed for too long, or another holds the Lease.
    pub(crate) async fn keep(&mut self, leadership: &Leadership) {
        loop {
            sleep(PERIOD).await;
            let started = Instant::now();
            match bounded("ask for the lease", self.take()).await {
                Ok(true) if leadership.holds() => leadership.extend(started + ACTS),
                // Renewed, but after this copy had to stop acting: all that it knew may be old.
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the lease was not renewed");
                }
            }
            if !leadership.holds() {
                break;
            }
        }
        tracing::warn!(identity = self.config.identity, "no longer leading");
    }

    /// Lets another lead at once.
    pub(crate) async fn release(&mut self) {
        let release = async {
            let lease = self.leases.get(&self.config.name).await?;
            if holder(&lease) == self.config.identity {
                self.write(lease, "").await?;
            }
            Ok(())
        };
        if let Err(error) = bounded("release the lease", release).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the lease was not released");
        }
    }

    /// Takes the Lease, or renews it; whether it is this copy's now.
    async fn take(&mut self) -> Result<bool, kube::Error> {
        let Some(lease) = self.leases.get_opt(&self.config.name).await? else {
            return self.create().await;
        };
        let mine = [self.config.identity.as_str(), ""].contains(&holder(&lease).as_str());
        if !mine && !self.expired(&lease) {
            return Ok(false);
        }
        let identity = self.config.identity.clone();
        written(self.write(lease, &identity).await)
    }

    /// Whether another's Lease has stood unchanged for longer than a leader lets it.
    fn expired(&mut self, lease: &Lease) -> bool {
        let version = lease.resource_version().unwrap_or_default();
        match &self.seen {
            Some((seen, since)) if *seen == version => since.elapsed() > DURATION,
            _ => {
                self.seen = Some((version, Instant::now()));
                false
            }
        }
    }

    async fn create(&self) -> Result<bool, kube::Error> {
        let mut lease = Lease::default();
        lease.meta_mut().name = Some(self.config.name.clone());
        lease.spec = Some(spec(None, &self.config.identity));
        written(self.leases.create(&params(), &lease).await)
    }

    async fn write(&self, mut lease: Lease, identity: &str) -> Result<Lease, kube::Error> {
        lease.spec = Some(spec(lease.spec.take(), identity));
        self.leases.replace(&self.config.name, &params(), &lease).await
    }
}

fn spec(before: Option<LeaseSpec>, identity: &str) -> LeaseSpec {
    let (before, now) = (before.unwrap_or_default(), Some(MicroTime(Timestamp::now())));
    let same = before.holder_identity.as_deref() == Some(identity);
    let transitions = before.lease_transitions.unwrap_or_default();
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        acquire_time: if same { before.acquire_time } else { now.clone() },
        lease_transitions: Some(if same || identity.is_empty() { transitions } else { transitions + 1 }),
        renew_time: now,
        ..LeaseSpec::default()
    }
}

fn holder(lease: &Lease) -> String {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default()
}

fn params() -> PostParams {
    PostParams { field_manager: Some(faas_k8s::OPERATOR.to_owned()), ..PostParams::default() }
}

/// Another copy that was quicker is no error.
fn written(result: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}
