//! wrk → nginx with one worker → `faas serve` → its watchdog → this program as a handler: nginx and the gateway see the
//! very same requests.

use anyhow::Context as _;
use faas_provider::Address;

use super::{CONNECTIONS, CPU_MOST, NAME, tools};
use crate::args::Args;
use crate::measures::http::deploy;
use crate::nginx::{Job, Nginx};
use crate::process;
use crate::report::{Report, Row};
use crate::runs::{self, in_turns, microseconds, warm_up};
use crate::world::World;

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let Some((wrk, nginx)) = tools(args, report) else { return Ok(()) };
    let world = World::start();
    deploy(&world, NAME)?;
    let gateway = world.platform.url.strip_prefix("http://").context("the platform's URL is HTTP")?;
    let nginx = Nginx::start(&nginx, 1, Job::Forward(&Address::Tcp(gateway.parse()?)))?;
    let url = format!("{}function/{NAME}", nginx.url());
    let watchdog = world.watchdog()?;
    let handler = *process::children(watchdog)?.first().context("the watchdog has no handler")?;
    let watched = [nginx.workers[0], world.platform.pid(), watchdog, handler];
    warm_up(&wrk, &url)?;
    let [runs] = in_turns([&|| runs::load(&wrk, &url, &watched)])?;

    let row = Row::new("requests/s through all", format!("{:.0}", runs.per_second()));
    report.add(&row.beside(format!("{}; {CONNECTIONS} connections", runs.latency())));
    let used = |process: usize| microseconds(runs.used(process).own);
    report.add(&Row::new("nginx, CPU per request", used(0)));
    let ratio = runs.median(|run| run.used[1].own / run.used[0].own);
    let row = Row::new("faas serve, CPU per request", used(1)).beside(format!("{ratio:.2} × nginx"));
    report.add(&row.gate(format!("≤ {CPU_MOST} × nginx"), ratio <= CPU_MOST));
    let row = Row::new("watchdog, CPU per request", used(2));
    report.add(&row.beside(format!("the handler itself {}", used(3))));
    Ok(())
}
