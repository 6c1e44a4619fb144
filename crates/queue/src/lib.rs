//! What keeps asynchronous invocations: one trait, so that neither gateway nor worker knows what the jobs lie in.
//!
//! A *job* is one accepted invocation. It is on disk before [`Queue::append`] returns, and from then on it is taken
//! under a *lease* until somebody settles it, so it runs at least once whatever is killed. What has become of it stands
//! in its [`Record`], which outlives it for a while.
//!
//! It does not become: a general message queue, a place for HTTP or for decisions about retries (an engine keeps what
//! it is told and when to hand it out again), or a cache: what it says was read from where the jobs lie.

pub mod annotation;
mod callback_url;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "embedded")]
pub mod embedded;
mod error;
mod job;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "worker")]
pub mod policy;
mod record;
mod settings;
#[cfg(feature = "worker")]
pub mod worker;

use async_trait::async_trait;
use faas_api::FunctionId;
use futures_util::stream::BoxStream;
use jiff::Timestamp;

pub use callback_url::{CallbackUrl, InvalidCallback, OwnGateway, check_callback};
pub use error::Error;
pub use job::{Body, BodyStream, CallId, InvalidCallId, Job};
pub use record::{Answer, Attempt, Found, Record, State};
pub use settings::Settings;

/// Keeps jobs. Every method is safe to call at any time; what one of them changed is on disk when it returns.
///
/// Cancel safety: a dropped future may or may not have had its effect, never half of it.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// The largest body that lies beside its job, in bytes; longer ones are better handed over as a stream.
    fn inline_limit(&self) -> usize;

    /// Accepts a job. [`Error::Exists`] if one with its id is kept, whichever function it is for;
    /// [`Error::Full`] past the limit of jobs that wait for its function; [`Error::TooLarge`] past the limit of a body,
    /// [`Error::HeadTooLarge`] past that of headers.
    async fn append(&self, job: Job, body: Body) -> Result<(), Error>;

    /// What happens, for a worker, from now on: soon after a function has a job to take there is [`Event::Due`], be it
    /// new, due again or left by a worker that died. The first ones are all that stand. They are hints: some come
    /// twice, or when another worker was faster.
    fn events(&self) -> BoxStream<'static, Event>;

    /// Up to `most` jobs of the function that are due, the longest due first, each leased to the caller alone.
    async fn take(&self, function: &FunctionId, most: usize) -> Result<Vec<Taken>, Error>;

    /// The lease begins anew. [`Error::LeaseLost`] if it had ended or the job was cancelled: stop working on it.
    async fn extend(&self, lease: &Lease) -> Result<(), Error>;

    /// Keeps the body of the function's answer with the job, in place of an earlier one: what [`Self::result`] reads.
    /// [`Error::Unavailable`] where there is no room for it; the lease goes on.
    async fn keep_result(&self, lease: &Lease, body: Body) -> Result<(), Error>;

    /// Writes down what has become of the job, and what is next for it, in one step. [`Error::LeaseLost`] as in
    /// [`Self::extend`]; then nothing was written.
    async fn settle(&self, lease: &Lease, record: &Record, then: Then) -> Result<(), Error>;

    /// What is known of a job: one that waits or runs, or ended not too long ago.
    async fn find(&self, id: &CallId) -> Result<Option<Found>, Error>;

    /// The body of the function's answer, as long as it is kept.
    async fn result(&self, id: &CallId) -> Result<Option<Body>, Error>;

    /// Ends a job, queued or running; whoever works on it hears [`Event::Cancelled`]. False if it had ended before.
    /// [`Error::NotFound`].
    async fn cancel(&self, id: &CallId) -> Result<bool, Error>;

    /// Every function that has jobs, dead ones included, sorted by name.
    async fn depths(&self) -> Result<Vec<Depth>, Error>;

    /// Up to `most` jobs of a function in one of these states, oldest first.
    async fn list(&self, function: &FunctionId, of: Shelf, most: usize) -> Result<Vec<Found>, Error>;

    /// Dead jobs of a function, or the one, are due again as if new: no attempt stands in their records. Says how many;
    /// one that is not dead, or another function's, is none. Many are done one after the other: a dropped future may
    /// leave some.
    async fn redrive(&self, function: &FunctionId, one: Option<&CallId>) -> Result<u64, Error>;

    /// Forgets the function's jobs on this shelf; those that run are let be. Says how many. A dropped future may leave
    /// some, as with [`Self::redrive`].
    async fn purge(&self, function: &FunctionId, of: Shelf) -> Result<u64, Error>;
}

/// Something for a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The function has a job to take.
    Due(FunctionId),
    /// The job was cancelled while leased.
    Cancelled(CallId),
}

/// Where a function's jobs lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// Those that still have something to come.
    Live,
    /// Dead letters: tried as often or as long as allowed.
    Dead,
}

/// A job that was taken.
pub struct Taken {
    /// For whoever works on it.
    pub lease: Lease,
    /// As accepted.
    pub job: Job,
    /// As accepted; read while the lease holds.
    pub body: Body,
    /// As last settled; empty at first, or when whoever had it died.
    pub record: Record,
    /// When it was first taken.
    pub first_taken_at: Timestamp,
}

/// The right to work on a job, until it ends or is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Of which job.
    pub id: CallId,
    /// Of which function.
    pub function: FunctionId,
    /// Tells this lease from the job's other ones; the engine's own.
    pub token: String,
}

/// What is next for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The lease goes on.
    Hold,
    /// It is due again then; at once, if that is not in the future.
    Later(Timestamp),
    /// It ended well enough: its record and result are kept for a while.
    Done,
    /// It becomes a dead letter, with record, body and result.
    Dead,
}

/// What one function has in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depth {
    /// Which one.
    pub function: FunctionId,
    /// Jobs that wait, due or not.
    pub waiting: u64,
    /// Jobs under a lease.
    pub running: u64,
    /// Dead letters.
    pub dead: u64,
    /// When the oldest of the waiting and running was accepted.
    pub oldest: Option<Timestamp>,
}
