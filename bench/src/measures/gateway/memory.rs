//! What the gateway holds: after many requests, for clients that have nothing to ask, for functions that nobody calls.

use std::path::Path;
use std::time::Duration;

use faas_provider::Address;

use super::{Contest, NAME, tools};
use crate::args::Args;
use crate::clients::Clients;
use crate::gateway::Gateway;
use crate::load::Wrk;
use crate::nginx::ANSWER;
use crate::process::{megabytes, memory};
use crate::report::{Report, Row};
use crate::routes::Function;

const IDLE_CLIENTS: u32 = 5_000;
const CLIENT_MOST: f64 = 25_000.0;
const FUNCTIONS: u32 = 10_000;
const FUNCTION_MOST: f64 = 2_000.0;
/// Later memory for earlier memory = 1, where nothing may grow.
const GROWTH_MOST: f64 = 1.05;

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    idle_functions(report)?;
    let Some((wrk, nginx)) = tools(args, report) else { return Ok(()) };
    idle_clients(&nginx, report)?;
    let millions = if args.quick { 1 } else { 10 };
    many_requests(&nginx, &wrk, millions * 1_000_000, report)
}

fn idle_functions(report: &mut Report) -> anyhow::Result<()> {
    let resident = |count: u32| {
        let address = Address::Tcp(([127, 0, 0, 1], 9).into());
        let functions: Vec<_> =
            (0..count).map(|number| Function::at(super::table::name(number), &address)).collect();
        let gateway = Gateway::start(&functions)?;
        let quiet = gateway.memory()?.resident;
        for _ in 0..3 {
            gateway.scrape()?;
        }
        anyhow::Ok((quiet, gateway.memory()?.resident))
    };
    let (none, many) = (resident(0)?, resident(FUNCTIONS)?);
    for (when, none, many, gates) in [("", none.0, many.0, true), (", once scraped", none.1, many.1, false)] {
        let each = each(none, many, FUNCTIONS);
        let row = Row::new(format!("an idle function{when}"), bytes(each));
        let row = row.beside(format!("{} → {}, {FUNCTIONS} functions", megabytes(none), megabytes(many)));
        let (bound, met) = (format!("≤ {}", bytes(FUNCTION_MOST)), each <= FUNCTION_MOST);
        report.add(&if gates { row.gate(bound, met) } else { row.aim(bound, met) });
    }
    Ok(())
}

/// Keep-alive connections that each had a request, and then another one.
fn idle_clients(nginx: &Path, report: &mut Report) -> anyhow::Result<()> {
    let contest = Contest::start(nginx, [NAME.to_owned()])?;
    let path = format!("/function/{NAME}");
    for (who, server, pid) in [
        ("nginx", contest.one.address, contest.one.workers[0]),
        ("gateway", contest.ours.addresses.gateway, contest.ours.pid()),
    ] {
        // So that no first-time work is missing.
        Clients::connect(server, &path, 1)?.ask(ANSWER)?;
        let resident = || anyhow::Ok(memory(pid)?.resident);
        let before = resident()?;
        let mut clients = Clients::connect(server, &path, IDLE_CLIENTS)?;
        clients.ask(ANSWER)?;
        let first = resident()?;
        clients.ask(ANSWER)?;
        let second = resident()?;
        let cost = each(before, first, IDLE_CLIENTS);
        let row = Row::new(format!("{who}, an idle client"), bytes(cost));
        let row = row.beside(format!("{} → {}, {IDLE_CLIENTS} clients", megabytes(before), megabytes(first)));
        if who == "nginx" {
            report.add(&row);
            continue;
        }
        report.add(&row.gate(format!("≤ {}", bytes(CLIENT_MOST)), cost <= CLIENT_MOST));
        flat(&format!("{who}, after a second request of each"), (first, second), "after the first", report);
    }
    Ok(())
}

fn many_requests(nginx: &Path, wrk: &Wrk, all: u32, report: &mut Report) -> anyhow::Result<()> {
    let contest = Contest::start(nginx, [NAME.to_owned()])?;
    let mut sent = 0;
    let mut resident_after = |count: u32| {
        sent += send(wrk, &contest.url, count - sent)?;
        contest.ours.scrape()?;
        anyhow::Ok((sent, contest.ours.memory()?.resident))
    };
    let (few, first) = resident_after(all / 10)?;
    let (many, last) = resident_after(all)?;
    let beside = format!("after {few}");
    flat(&format!("gateway, after {many} requests"), (first, last), &beside, report);
    Ok(())
}

/// Sends at least so many requests; how many they were.
fn send(wrk: &Wrk, url: &str, count: u32) -> anyhow::Result<u32> {
    let mut wrk = Wrk { duration: Duration::from_secs(1), ..wrk.clone() };
    let mut sent = 0;
    while sent < count {
        let load = wrk.run(url)?;
        sent += load.requests;
        let left = f64::from(count.saturating_sub(sent)) / load.per_second;
        wrk.duration = Duration::from_secs_f64(left.clamp(1.0, 30.0));
    }
    Ok(sent)
}

/// A row for memory that must not grow.
fn flat(what: &str, (before, after): (u64, u64), when: &str, report: &mut Report) {
    let ratio = float(after) / float(before);
    let row =
        Row::new(what, megabytes(after)).beside(format!("{ratio:.3} × the {} {when}", megabytes(before)));
    report.add(&row.gate(format!("≤ {GROWTH_MOST} ×"), ratio <= GROWTH_MOST));
}

fn each(before: u64, after: u64, count: u32) -> f64 {
    float(after.saturating_sub(before)) / f64::from(count)
}

fn bytes(count: f64) -> String {
    format!("{:.2} kB", count / 1e3)
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn float(bytes: u64) -> f64 {
    bytes as f64
}
