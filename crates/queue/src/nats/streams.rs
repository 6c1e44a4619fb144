//! The streams and consumers that a queue needs: made when they are missing, brought up to date when they differ.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, PersistenceMode, Republish, RetentionPolicy, StorageType,
};
use faas_api::FunctionId;
use tracing::warn;

use super::names::{Names, Stream};
use crate::Settings;

/// A consumer that nobody asks anything for so long is removed; the next who takes makes it anew.
const INACTIVE: Duration = Duration::from_hours(1);

/// Leased jobs and those that wait for another attempt, of one function.
const MOST_PENDING: i64 = 1_000_000;

/// Percent of the room that jobs, dead letters, bodies and answers may fill each. So there is always some for records
/// and leases, without which nothing that waits could be worked off.
fn share(stream: Stream) -> Option<i64> {
    match stream {
        Stream::Jobs | Stream::Bodies => Some(25),
        Stream::Dead | Stream::Results => Some(15),
        Stream::Records | Stream::Leases | Stream::Functions => None,
    }
}

/// Makes or migrates all streams. `room` is how much the server takes, in bytes, if that is known.
pub(super) async fn prepare(
    context: &Context,
    names: &Names,
    replicas: usize,
    room: Option<i64>,
) -> Result<(), CreateStreamError> {
    for stream in Stream::ALL {
        let share = share(stream).zip(room).map(|(share, room)| room / 100 * share);
        let config = Config { max_bytes: share.unwrap_or(-1), ..config(names, stream, replicas) };
        match context.create_or_update_stream(config.clone()).await {
            Ok(_) => {}
            Err(error) if stream == Stream::Leases && is_elsewhere(&error) => {
                // What lies in it is missed by nobody for longer than a lease.
                let _ = context.delete_stream(names.stream(stream)).await;
                context.create_stream(config).await?;
            }
            Err(error) if share.is_some() && is_taken(&error) => {
                warn!(stream = config.name, %error, "NATS has promised its room to others: no share is set aside");
                context.create_or_update_stream(Config { max_bytes: -1, ..config }).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What a stream lies in cannot be changed, says the server.
fn is_elsewhere(error: &CreateStreamError) -> bool {
    let CreateStreamErrorKind::JetStream(error) = error.kind() else { return false };
    let text = error.to_string();
    let what = ["storage type", "persist mode", "persistence mode"];
    text.contains("can not change") && what.iter().any(|what| text.contains(what))
}

/// The room is there, but streams of others may fill it.
fn is_taken(error: &CreateStreamError) -> bool {
    match error.kind() {
        CreateStreamErrorKind::JetStream(error) => {
            [ErrorCode::STORAGE_RESOURCES_EXCEEDED, ErrorCode::CLUSTER_NO_PEERS].contains(&error.error_code())
        }
        _ => false,
    }
}

fn config(names: &Names, stream: Stream, replicas: usize) -> Config {
    let base = Config {
        name: names.stream(stream),
        subjects: vec![names.all(stream)],
        num_replicas: replicas,
        storage: StorageType::File,
        // What does not fit is refused, never something older thrown away.
        discard: DiscardPolicy::New,
        allow_direct: true,
        ..Config::default()
    };
    let last_only = Config { max_messages_per_subject: 1, discard: DiscardPolicy::Old, ..base.clone() };
    match stream {
        Stream::Jobs => {
            let retention = RetentionPolicy::WorkQueue;
            Config { retention, republish: Some(hints(names)), allow_atomic_publish: true, ..base }
        }
        // One that dies again takes the place of what was redriven; still nothing else is thrown away for room.
        Stream::Dead => Config { max_messages_per_subject: 1, ..base },
        Stream::Bodies => base,
        Stream::Results => Config { allow_message_ttl: true, ..base },
        Stream::Records => Config { allow_message_ttl: true, ..last_only },
        Stream::Leases => leases(replicas, Config { allow_message_ttl: true, ..last_only }),
        Stream::Functions => last_only,
    }
}

/// Leases need not survive a power failure, which ends them, so nobody waits for the disk. They do survive a restart:
/// by the other servers' memory or, of a server that is alone, by its files.
fn leases(replicas: usize, base: Config) -> Config {
    if replicas > 1 {
        Config { storage: StorageType::Memory, ..base }
    } else {
        Config { persist_mode: Some(PersistenceMode::Async), ..base }
    }
}

/// Tells whoever listens that a function got a job.
fn hints(names: &Names) -> Republish {
    Republish {
        source: names.all(Stream::Jobs),
        destination: names.hints("{{wildcard(1)}}", "{{wildcard(2)}}"),
        headers_only: true,
    }
}

/// The function's consumer: one for all workers, who share its jobs.
pub(super) fn consumer(names: &Names, function: &FunctionId, settings: &Settings) -> pull::Config {
    pull::Config {
        durable_name: Some(Names::consumer(function)),
        filter_subject: names.jobs(Stream::Jobs, function),
        ack_policy: AckPolicy::Explicit,
        ack_wait: settings.lease,
        max_deliver: -1,
        max_ack_pending: MOST_PENDING,
        inactive_threshold: INACTIVE.max(settings.lease * 4),
        ..pull::Config::default()
    }
}
