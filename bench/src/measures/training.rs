//! Measures nothing: a platform at work, each kind of it for a while, so that the compiler learns what is used most. See
//! `bench/profile`.
//!
//! It needs nothing that is not here: no wrk, no nginx, no NATS. What it does not do counts as used rarely.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::queue::{post_many, queued};
use super::{http, stream};
use crate::paced::{Pace, Paced};
use crate::world::World;

/// At a time, each for [`LONG`].
const CLIENTS: [u32; 3] = [1, 32, 128];
const LONG: Duration = Duration::from_secs(3);
const BODY: usize = 2_000;
const JOBS: usize = 4_000;
const STREAMED: u64 = 200_000_000;

/// Works, and stops the platform as usual, so that it writes what it counted.
pub(crate) fn run() -> anyhow::Result<()> {
    let world = World::start();
    let server: SocketAddr = world.platform.url.trim_start_matches("http://").parse()?;
    http::deploy(&world, "hello")?;
    world.deploy("cat", &world.upload_cat()?, &json!({}))?;
    let body = "x".repeat(BODY);
    for clients in CLIENTS {
        work(&Paced::get(server, ["/function/hello".to_owned()]), clients)?;
        work(&Paced::post(server, "/function/hello", &body), clients)?;
    }
    work(&Paced::post(server, "/function/cat", &body), 8)?;
    post_many(&world, "cat", JOBS)?;
    while queued(&world)? > 0 {
        thread::sleep(Duration::from_millis(20));
    }
    stream::deploy(&world)?;
    stream::post(&world.platform.url, STREAMED).map(drop)
}

fn work(requests: &Paced, clients: u32) -> anyhow::Result<()> {
    let clients = NonZeroU32::new(clients).context("nobody asks")?;
    let outcome = requests.run(Pace::Clients(clients), LONG)?;
    let (good, all) = (outcome.good, outcome.all());
    ensure!(good == all, "of {all} answers {good} were good; one was {}", outcome.example());
    Ok(())
}
