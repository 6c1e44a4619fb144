//! The queue in NATS JetStream, and its variables: those of the peers, and ours.

use std::fs;

use anyhow::Context as _;
use faas_queue::Settings;
use faas_queue::nats::{Credentials, Durability, Jetstream, Options};

use crate::env::Env;
use crate::failure::failure;
use crate::role::variables;

/// The queue in the NATS that the variables name, used from when it answers; `None` if they name none.
pub(crate) fn start(env: &Env, settings: Settings) -> anyhow::Result<Option<Jetstream>> {
    let Some(options) = options(env, settings)? else { return Ok(None) };
    tracing::info!(servers = options.servers.join(", "), "asynchronous invocations are kept in NATS");
    Ok(Some(Jetstream::start(options)))
}

fn options(env: &Env, settings: Settings) -> anyhow::Result<Option<Options>> {
    let Some(servers) = servers(env) else { return Ok(None) };
    check_addresses(&servers)?;
    let name = text(env, "nats_stream").unwrap_or(super::NAME);
    let queue = name.parse().map_err(|error| failure(format!("nats_stream: {error}")))?;
    let replicas = variables::number(env, "nats_stream_replicas", 1);
    Ok(Some(Options {
        servers,
        credentials: credentials(env)?,
        queue,
        replicas,
        durability: durability(env),
        settings,
    }))
}

/// `nats_url`, or host and port as the peers' roles have them.
fn servers(env: &Env) -> Option<Vec<String>> {
    if let Some(urls) = text(env, "nats_url") {
        return Some(list(urls));
    }
    let host = text(env, "faas_nats_address").or_else(|| text(env, "nats_host"))?;
    let port = text(env, "faas_nats_port").or_else(|| text(env, "nats_port")).unwrap_or("4222");
    Some(vec![format!("nats://{host}:{port}")])
}

/// Addresses are shown in logs, so nothing secret may be in them. What they say is not repeated.
fn check_addresses(servers: &[String]) -> anyhow::Result<()> {
    if servers.iter().any(|server| server.contains('@')) {
        let refused = failure("nats_url: an address must not have credentials in it");
        return Err(refused.hint("set nats_user and nats_password_file, or nats_token_file").into());
    }
    Ok(())
}

fn credentials(env: &Env) -> anyhow::Result<Credentials> {
    let secret = |name: &str| {
        let file = text(env, name);
        let read =
            file.map(|file| fs::read_to_string(file).with_context(|| format!("cannot read {name}: {file}")));
        read.transpose().map(|text| text.map(|text| text.trim().to_owned()))
    };
    match (text(env, "nats_user"), secret("nats_password_file")?, secret("nats_token_file")?) {
        (None, None, None) => Ok(Credentials::None),
        (None, None, Some(token)) => Ok(Credentials::Token(token)),
        (Some(name), Some(password), None) => Ok(Credentials::User { name: name.to_owned(), password }),
        _ => {
            Err(failure("nats_user, nats_password_file, nats_token_file: set the first two, or the last")
                .into())
        }
    }
}

fn durability(env: &Env) -> Durability {
    if variables::switch(env, "nats_unsynced", false) {
        tracing::warn!("nats_unsynced is on: jobs that were accepted may be lost when NATS's machine fails");
        return Durability::Unchecked;
    }
    Durability::Checked { monitors: text(env, "nats_monitor").map(list).unwrap_or_default() }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn text<'a>(env: &'a Env, name: &str) -> Option<&'a str> {
    env.get(name).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_an_address_are_refused_and_not_repeated() {
        for urls in ["nats://user:secret@host:4222", "nats://a:4222, tls://secret@b:4222", "user:secret@host"]
        {
            let error = options(&Env::of(&[("nats_url", urls)]), Settings::default()).unwrap_err();
            assert!(error.to_string().contains("nats_url"), "{error}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
        let plain = Env::of(&[("nats_url", "nats://a:4222,tls://b:4222")]);
        let servers = options(&plain, Settings::default()).unwrap().unwrap().servers;
        assert_eq!(servers, ["nats://a:4222", "tls://b:4222"]);
    }
}
