//! The worker's variables: those of the peers' queue worker, and ours.

use std::str::FromStr;
use std::time::Duration;

use faas_api::Namespace;
use faas_queue::policy::{Backoff, MOST_ATTEMPTS, Policy};
use faas_queue::worker::Settings;

use crate::env::Env;
use crate::failure::failure;
use crate::role::{self, variables};

/// A worker's settings. `gateway_url` may have several names of the gateway; the worker uses the first.
pub(crate) fn settings(
    env: &Env,
    queue: faas_queue::Settings,
    default_namespace: Namespace,
) -> anyhow::Result<Settings> {
    let default = Settings::default();
    let urls: Vec<String> = list(env, "gateway_url")?;
    Ok(Settings {
        gateway_url: urls.first().cloned().unwrap_or(default.gateway_url),
        other_gateway_urls: urls,
        policy: policy(env)?,
        most_running: variables::number(env, "max_inflight", default.most_running).max(1),
        most_per_function: variables::number(env, "max_inflight_per_function", default.most_per_function)
            .max(1),
        lease: queue.lease,
        grace: role::upstream_timeout(env).min(default.grace),
        most_kept: variables::number(env, "max_result_bytes", default.most_kept),
        most_called_back: queue.most_body,
        longest_callback: variables::duration(env, "callback_timeout", default.longest_callback),
        allowed: list(env, "callback_allowed")?,
        refused: list(env, "callback_refused")?,
        default_namespace,
        ..default
    })
}

fn policy(env: &Env) -> anyhow::Result<Policy> {
    let default = Policy::default();
    let codes = list(env, "retry_http_codes")?;
    // A record holds them all.
    let attempts = variables::number(env, "max_retry_attempts", default.attempts).clamp(1, MOST_ATTEMPTS);
    Ok(Policy {
        attempts,
        callback_attempts: attempts,
        codes: if codes.is_empty() { default.codes } else { codes },
        min_wait: variables::duration(env, "initial_retry_wait", default.min_wait),
        max_wait: variables::duration(env, "max_retry_wait", default.max_wait),
        backoff: backoff(env)?.unwrap_or(default.backoff),
        max_age: variables::duration(env, "max_retry_age", default.max_age).max(Duration::from_secs(1)),
        ..default
    })
}

fn backoff(env: &Env) -> anyhow::Result<Option<Backoff>> {
    match env.get("backoff") {
        None | Some("") => Ok(None),
        Some("exponential") => Ok(Some(Backoff::Exponential)),
        Some("full") => Ok(Some(Backoff::Full)),
        Some("equal") => Ok(Some(Backoff::Equal)),
        Some(text) => Err(failure(format!("backoff: {text:?} is not exponential, full or equal")).into()),
    }
}

/// What commas separate. One that is none is an error: what may be called back is no place for guesses.
fn list<T: FromStr<Err: std::fmt::Display>>(env: &Env, name: &str) -> anyhow::Result<Vec<T>> {
    let parts = env.get(name).unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty());
    let read = |part: &str| part.parse().map_err(|error| failure(format!("{name}: {error}")).into());
    parts.map(read).collect()
}
