//! A body far larger than memory should ever hold, through gateway and watchdog into a handler that counts its bytes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use faas_package::{Manifest, Runtime, Signature};
use serde_json::json;

use crate::args::Args;
use crate::process::{megabytes, memory, peak, reset_peak};
use crate::report::{Report, Row};
use crate::samples::timed;
use crate::world::{World, bash_handler};

const GIGABYTE: u64 = 1_000_000_000;
const GROWTH_MOST: u64 = 16_000_000;
const NAME: &str = "count";
/// No read or write on the connection takes this long.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let world = World::start();
    deploy(&world)?;
    let (serve, watchdog) = (world.platform.pid(), world.watchdog()?);
    let before = [memory(serve)?.resident, memory(watchdog)?.resident];
    for pid in [serve, watchdog] {
        reset_peak(pid)?;
    }
    let length = args.body * GIGABYTE;
    let (answer, time) = timed(|| post(&world.platform.url, length));
    let answer = answer?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "the answer is {answer}");
    ensure!(answer.trim_end().ends_with(&length.to_string()), "not all bytes arrived: {answer}");

    for (who, pid, before) in [("faas serve", serve, before[0]), ("faas-watchdog", watchdog, before[1])] {
        let (most, after) = (peak(pid)?, memory(pid)?.resident);
        let growth = most.saturating_sub(before);
        let row = Row::new(format!("{who}: growth during {} GB", args.body), megabytes(growth));
        let seconds = time.as_secs_f64();
        let beside = format!(
            "{} → most {} → {}, {seconds:.1} s",
            megabytes(before),
            megabytes(most),
            megabytes(after)
        );
        report.add(&row.beside(beside).gate(format!("≤ {}", megabytes(GROWTH_MOST)), growth <= GROWTH_MOST));
    }
    Ok(())
}

/// Deploys what counts bytes.
pub(super) fn deploy(world: &World) -> anyhow::Result<()> {
    let handler = bash_handler("wc -c\n")?;
    let package =
        world.upload(handler.path(), &Manifest::new(Runtime::Bash, Signature::Stdin, "handler.sh"))?;
    world.deploy(NAME, &package, &json!({ "timeout": "600s" }))?;
    world.invoke(NAME, b"hello").map(drop)
}

/// Sends zeros, and reads the answer.
pub(super) fn post(url: &str, length: u64) -> anyhow::Result<String> {
    let host = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "POST /function/{NAME} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    )?;
    let sent = std::io::copy(&mut std::io::repeat(0).take(length), &mut stream);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("no answer to a large body")?;
    sent.with_context(|| format!("the body was refused: {answer}"))?;
    Ok(answer)
}
