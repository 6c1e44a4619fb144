//! What runs replicas: one trait, so that gateway, queue and scaler never know in which world they are.
//!
//! A provider keeps functions, secrets and namespaces durably, starts and stops replicas, and pushes a [`Route`] into
//! the gateway's [`RouteSink`] whenever what can answer a function changes. The hot path reads only those routes; no
//! method of the trait is called for a warm invocation.
//!
//! It does not become: a place for HTTP statuses (the gateway's edge maps [`Error`]), scaling decisions, or types of
//! one platform.

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod route;

use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use faas_api::{
    Digest, FunctionDeployment, FunctionId, FunctionNamespace, FunctionStatus, LogMessage, Namespace,
    ProviderInfo,
};
use futures_util::Stream;
use futures_util::stream::BoxStream;
use jiff::Timestamp;

pub use error::Error;
pub use route::{Address, Cause, Failure, InFlight, Replica, Route, RouteSink};

/// Bytes of a package as they arrive.
pub type PackageBody = std::pin::Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Runs functions. Every method is safe to call at any time; those that change something have recorded it durably
/// when they return, so that the next read sees it.
///
/// Cancel safety: a dropped future may or may not have had its effect, never half of it.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// Name, version, what can be deployed, and what keeps functions apart.
    fn info(&self) -> ProviderInfo;

    /// Sends every route that stands now to `sink`, then each change, each in effect when the call returns.
    fn subscribe(&self, sink: Arc<dyn RouteSink>);

    /// A function without a route was invoked: looks it up where functions are recorded, and pushes its route before it
    /// returns if it is there. Called for any name that a stranger makes up, so whoever goes far for it sets a limit and
    /// does nothing beyond it.
    async fn look_up(&self, function: &FunctionId) -> Result<(), Error> {
        let _ = function;
        Ok(())
    }

    /// The functions of a namespace, sorted by name, without invocation counts.
    async fn list(&self, namespace: &Namespace) -> Result<Vec<FunctionStatus>, Error>;

    /// One function; `usage` asks for what its replicas use, where that is known.
    async fn get(&self, function: &FunctionId, usage: bool) -> Result<FunctionStatus, Error>;

    /// Records a new function and starts its replicas. [`Error::FunctionExists`] if there is one.
    async fn deploy(&self, function: &FunctionId, deployment: FunctionDeployment) -> Result<(), Error>;

    /// Replaces a function; the old replicas answer until the new ones are ready. [`Error::FunctionNotFound`].
    async fn update(&self, function: &FunctionId, deployment: FunctionDeployment) -> Result<(), Error>;

    /// Removes a function; its replicas finish what they have.
    async fn delete(&self, function: &FunctionId) -> Result<(), Error>;

    /// Sets the number of replicas wanted; any number, 0 included.
    async fn scale(&self, function: &FunctionId, replicas: u32) -> Result<(), Error>;

    /// Brings a function that stands at zero to its least number of replicas; otherwise does nothing.
    async fn wake(&self, function: &FunctionId) -> Result<(), Error>;

    /// Names of the secrets of a namespace, sorted.
    async fn list_secrets(&self, namespace: &Namespace) -> Result<Vec<String>, Error>;

    /// Records a new secret. [`Error::SecretExists`] if there is one.
    async fn create_secret(&self, namespace: &Namespace, name: &str, value: Vec<u8>) -> Result<(), Error>;

    /// Replaces a secret's value. [`Error::SecretNotFound`].
    async fn update_secret(&self, namespace: &Namespace, name: &str, value: Vec<u8>) -> Result<(), Error>;

    /// Removes a secret. [`Error::SecretNotFound`].
    async fn delete_secret(&self, namespace: &Namespace, name: &str) -> Result<(), Error>;

    /// Every namespace that may hold functions, the default one included, sorted by name.
    async fn list_namespaces(&self) -> Result<Vec<FunctionNamespace>, Error>;

    /// Records a new namespace. [`Error::NamespaceExists`].
    async fn create_namespace(&self, namespace: FunctionNamespace) -> Result<(), Error>;

    /// Replaces a namespace's labels and annotations. [`Error::NamespaceNotFound`].
    async fn update_namespace(&self, namespace: FunctionNamespace) -> Result<(), Error>;

    /// Removes a namespace with all that is in it. [`Error::NamespaceNotFound`].
    async fn delete_namespace(&self, namespace: &Namespace) -> Result<(), Error>;

    /// Log lines, oldest first. Without `follow` the stream ends by itself.
    async fn logs(&self, query: LogQuery) -> Result<BoxStream<'static, LogMessage>, Error>;

    /// Whether the package can be deployed without an upload.
    async fn has_package(&self, digest: &Digest) -> Result<bool, Error>;

    /// Takes a package in: [`Error::Invalid`] if it is not what `digest` says or cannot run here, [`Error::TooLarge`]
    /// past the stated limit; either leaves nothing behind.
    async fn put_package(&self, digest: &Digest, body: PackageBody) -> Result<(), Error>;

    /// Remembers `image` as a name for a package that is here, as a registry remembers a tag.
    async fn tag_package(&self, namespace: &Namespace, image: &str, digest: &Digest) -> Result<(), Error>;
}

/// Which log lines.
#[derive(Debug, Clone)]
pub struct LogQuery {
    /// Of which function.
    pub function: FunctionId,
    /// Of one replica only.
    pub instance: Option<String>,
    /// The last so many lines; `None` is all that is kept.
    pub tail: Option<NonZeroU64>,
    /// None older than this.
    pub since: Option<Timestamp>,
    /// Keep on sending lines as they are written, those of new replicas too.
    pub follow: bool,
}
