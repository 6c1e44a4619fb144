//! Opening a queue: the connection, whether the server will do, and its streams.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::account::Account;
use async_nats::jetstream::context::{AccountErrorKind, ContextBuilder, CreateStreamError};
use async_nats::{Client, ConnectOptions};
use faas_api::FunctionName;
use tokio::sync::broadcast;

use super::batches::Batches;
use super::lookups::Lookups;
use super::names::Names;
use super::store::{PATIENCE, Store};
use super::sync::{self, Durability, Unsynced};
use super::{Engine, streams, sweep};
use crate::Settings;

/// Where the queue is, and how it is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// `nats://host:port`, or `tls://`; several of one cluster.
    pub servers: Vec<String>,
    /// Who we are.
    pub credentials: Credentials,
    /// What the queue is called; names its streams and subjects.
    pub queue: FunctionName,
    /// Servers that keep each message: 1, 3 or 5.
    pub replicas: usize,
    /// What is asked of the server's disk.
    pub durability: Durability,
    /// What holds for every engine.
    pub settings: Settings,
}

/// How one proves to the server who one is.
#[derive(Clone, Default)]
pub enum Credentials {
    /// Not at all.
    #[default]
    None,
    /// By a token.
    Token(String),
    /// By name and password.
    User {
        /// Who.
        name: String,
        /// The password.
        password: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "None",
            Self::Token(_) => "Token(***)",
            Self::User { .. } => "User(***)",
        })
    }
}

/// Why a queue cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is being tried for the first time.
    #[error("NATS has not answered yet")]
    NotYet,
    /// No server answers, or none that takes our credentials.
    #[error("failed to connect to NATS at {servers}")]
    Connect {
        /// Where.
        servers: String,
        /// Why.
        source: async_nats::ConnectError,
    },
    /// The server lacks what we use.
    #[error("the NATS server is version {0}: run 2.15 or newer")]
    TooOld(String),
    /// JetStream is off, or not for our account.
    #[error("the NATS server has no JetStream for us: start it with `jetstream {{}}` in its configuration")]
    NoJetStream,
    /// It would acknowledge what is not on disk.
    #[error(transparent)]
    Unsynced(#[from] Unsynced),
    /// JetStream does not answer, as while a cluster elects a leader.
    #[error("failed to ask NATS about JetStream: try again in a moment")]
    Account(#[source] async_nats::jetstream::context::AccountError),
    /// A stream cannot be made or changed.
    #[error("failed to prepare the streams of queue {queue:?}")]
    Streams {
        /// Which queue.
        queue: String,
        /// Why.
        source: CreateStreamError,
    },
}

/// Before it, `sync_interval: always` could lose writes, and per-message expiry was young.
const OLDEST: (i64, i64) = (2, 15);

/// How many hints about due jobs may wait for a listener that is slow; it looks for itself every few seconds.
const HINTS: usize = 4096;

impl Engine {
    pub(super) async fn open(options: &Options) -> Result<Arc<Self>, OpenError> {
        let client = connect(options).await?;
        check_version(&client)?;
        let context = ContextBuilder::new().timeout(PATIENCE * 2).build(client.clone());
        let account = context.query_account().await.map_err(|error| match error.kind() {
            AccountErrorKind::JetStreamUnavailable => OpenError::NoJetStream,
            AccountErrorKind::JetStream(ref inner)
                if inner.error_code() == ErrorCode::JETSTREAM_NOT_ENABLED
                    || inner.error_code() == ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT =>
            {
                OpenError::NoJetStream
            }
            _ => OpenError::Account(error),
        })?;
        let server = sync::check(&client, &options.durability).await?;
        let room = server.into_iter().chain(ours(&account, options.replicas)).min();
        let names = Names::new(options.queue.clone());
        let prepared = streams::prepare(&context, &names, options.replicas, room).await;
        prepared.map_err(|source| OpenError::Streams { queue: names.queue().to_owned(), source })?;
        let store = Store { client, context, names };
        let engine = Arc::new(Self {
            lookups: Lookups::start(store.clone()),
            batches: Batches::start(store.clone()),
            synced: sync::Synced::new(options.durability.clone(), &store),
            store,
            settings: options.settings,
            held: Mutex::new(HashMap::new()),
            counts: Mutex::new(HashMap::new()),
            consumers: Mutex::new(HashSet::new()),
            due: broadcast::channel(HINTS).0,
            looked: Mutex::default(),
            sweeper: Mutex::new(None),
        });
        sweep::start(&engine);
        Ok(engine)
    }
}

/// Bytes that the account takes of what is kept so many times, if that is limited.
fn ours(account: &Account, replicas: usize) -> Option<i64> {
    let replicas = i64::try_from(replicas.max(1)).unwrap_or(i64::MAX);
    match account.tiers.get(&format!("R{replicas}")) {
        Some(tier) => tier.limits.max_storage,
        None => account.limits.max_storage.map(|bytes| bytes / replicas),
    }
}

async fn connect(options: &Options) -> Result<Client, OpenError> {
    let connect = ConnectOptions::new()
        .name("faas-queue")
        .connection_timeout(PATIENCE * 2)
        .request_timeout(Some(PATIENCE * 2))
        .reconnect_delay_callback(|tries| Duration::from_millis(50 * tries.min(20) as u64))
        .max_reconnects(None);
    let connect = match options.credentials.clone() {
        Credentials::None => connect,
        Credentials::Token(token) => connect.token(token),
        Credentials::User { name, password } => connect.user_and_password(name, password),
    };
    let client = connect.connect(&options.servers).await;
    client.map_err(|source| OpenError::Connect { servers: options.servers.join(", "), source })
}

fn check_version(client: &Client) -> Result<(), OpenError> {
    if client.is_server_compatible(OLDEST.0, OLDEST.1, 0) {
        return Ok(());
    }
    Err(OpenError::TooOld(client.server_info().version))
}
