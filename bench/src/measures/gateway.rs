//! The gateway's data path. What its measures share: a static server, and those that stand before it.
//!
//! All of it runs on the same cores as the load: wrk on one, the server a little, and who is measured gets what is left.

pub(super) mod chain;
pub(super) mod latency;
pub(super) mod memory;
pub(super) mod overload;
pub(super) mod speed;
pub(super) mod table;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use faas_provider::Address;

use crate::args::Args;
use crate::gateway::Gateway;
use crate::load::Wrk;
use crate::nginx::{Job, Nginx};
use crate::report::{Report, Row};
use crate::routes::Function;
use crate::runs::{self, Run, Runs, microseconds};

const CONNECTIONS: u32 = 32;
const NAME: &str = "hello";
/// Processor time per request, and requests per second, for nginx with one worker = 1.
const CPU_MOST: f64 = 1.25;
const RATE_LEAST: f64 = 0.9;

/// wrk and nginx, or a word why not.
fn tools(args: &Args, report: &mut Report) -> Option<(Wrk, PathBuf)> {
    let tools = Wrk::find(CONNECTIONS, args.load_time()).zip(Nginx::find());
    if tools.is_none() {
        report.skip("all", "nginx or wrk is absent: apt-get install nginx-light wrk");
    }
    tools
}

/// nginx and our gateway before the same static server.
struct Contest {
    one: Nginx,
    two: Nginx,
    ours: Gateway,
    /// What wrk is given for the gateway.
    url: String,
    _server: Nginx,
}

impl Contest {
    /// With these functions, all at the server.
    fn start(nginx: &Path, functions: impl IntoIterator<Item = String>) -> anyhow::Result<Self> {
        let server = Nginx::start(nginx, 1, Job::Answer)?;
        let address = Address::Tcp(server.address);
        let proxy = |workers| Nginx::start(nginx, workers, Job::Forward(&address));
        let functions: Vec<_> = functions.into_iter().map(|name| Function::at(name, &address)).collect();
        let ours = Gateway::start(&functions)?;
        Ok(Self { one: proxy(1)?, two: proxy(2)?, url: ours.url(NAME), ours, _server: server })
    }

    /// nginx with one worker, with two, and ours, in turns.
    fn measure(&self, wrk: &Wrk) -> anyhow::Result<[Runs; 3]> {
        let (one, two) = (self.one.url(), self.two.url());
        runs::in_turns([
            &|| runs::load_settled(wrk, &one, &self.one.workers),
            &|| runs::load_settled(wrk, &two, &self.two.workers),
            &|| runs::load_settled(wrk, &self.url, &[self.ours.pid()]),
        ])
    }

    /// A share of what ours does at most, in requests per second.
    fn load(&self, wrk: &Wrk, share: f64) -> anyhow::Result<NonZeroU32> {
        runs::warm_up(wrk, &self.url)?;
        let most = wrk.run(&self.url)?.per_second;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousands")]
        Ok(NonZeroU32::new((most * share) as u32).unwrap_or(NonZeroU32::MIN))
    }
}

/// Rates, latencies and processor time, with their bounds.
fn print([one, two, ours]: &[Runs; 3], label: &str, report: &mut Report) {
    let rate = |runs: &Runs| format!("{:.0}", runs.per_second());
    let row = |who: &str, runs: &Runs| Row::new(format!("{label}: {who}, requests/s"), rate(runs));
    report.add(&row("nginx", one).beside(one.latency()));
    report.add(&row("nginx with 2 workers", two).beside(two.latency()));
    let ratio = ours.rate_ratio(one);
    let ours_row = row("gateway", ours).beside(format!("{ratio:.2} × nginx, {}", ours.latency()));
    report.add(&ours_row.gate(format!("≥ {RATE_LEAST} × nginx"), ratio >= RATE_LEAST));
    let ratio = ours.rate_ratio(two);
    let beside = Row::new(format!("{label}: gateway beside 2 workers"), format!("{ratio:.2} ×"));
    report.add(&beside.aim(format!("≥ {RATE_LEAST} ×"), ratio >= RATE_LEAST));

    let row = |who: &str, runs: &Runs| {
        Row::new(format!("{label}: {who}, CPU per request"), microseconds(runs.own()))
    };
    report.add(&row("nginx", one).beside(format!("with 2 workers {}", microseconds(two.own()))));
    let ratio = ours.ratio(one, Run::own);
    let ours_row = row("gateway", ours).beside(format!("{ratio:.2} × nginx"));
    report.add(&ours_row.gate(format!("≤ {CPU_MOST} × nginx"), ratio <= CPU_MOST));
}

/// `1.23 ms`, which may be less than nothing.
fn milli(seconds: f64) -> String {
    format!("{:.2} ms", seconds * 1e3)
}
