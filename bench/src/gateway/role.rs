//! This program as a gateway, with all that `faas serve` gives one: credentials, limits, metrics and their listener, a
//! thread for each core. Its routes come from a file, and what a provider would do comes on standard input.
//!
//! `churn COUNT` gives so many functions a second new replicas at their old addresses, all functions in turn, until
//! another line says otherwise; 0 stops that. The end of standard input, or any other line, ends the process.

use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use faas_daemon::{Admin, Shutdown};
use faas_gateway::{Config, Credentials, Gateway};
use faas_queue::nats::{Credentials as NatsCredentials, Durability, Jetstream, Options};
use faas_queue::{Queue, Settings};
use faas_testing::Routes;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::Addresses;
use crate::descriptors;
use crate::routes::{self, Function};

/// Routes that a provider tells at a time when there are many.
const BATCH: usize = 1_000;

/// Serves until standard input ends or a signal comes.
pub(crate) fn run(file: &Path, nats: Option<&[String]>) -> anyhow::Result<()> {
    descriptors::raise()?;
    faas_daemon::init_logging("info", false)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(serve(file, nats));
    runtime.shutdown_background();
    result
}

async fn serve(file: &Path, nats: Option<&[String]>) -> anyhow::Result<()> {
    let (shutdown, registry, routes) = (Shutdown::on_signals()?, Registry::new(), Routes::default());
    let queue = queue(nats)?;
    let gateway = Gateway::new(config(), Arc::new(routes.clone()), queue, &registry, shutdown.clone())?;
    for batch in routes::read(file)?.chunks(BATCH) {
        routes.apply_all(batch.iter().map(|one| (one.name.as_str(), Some(one.route()))).collect());
    }
    let (listener, admin) = (bind().await?, bind().await?);
    print(&Addresses { gateway: listener.local_addr()?, admin: admin.local_addr()? })?;
    let (collecting, showing) = (gateway.clone(), gateway.clone());
    let collect = move || {
        let gateway = collecting.clone();
        async move { gateway.collect().await }
    };
    let load = move || {
        let gateway = showing.clone();
        async move { gateway.load().await }
    };
    let shown = Admin::new(registry, faas_daemon::show(collect));
    let shown = shown.show("/load", faas_daemon::show(load));
    shown.set_ready(true);
    tokio::spawn(shown.run(admin, shutdown.abort.clone()));
    tokio::spawn(churn(routes, file.to_owned(), listen(shutdown.clone())));
    Ok(tokio::spawn(gateway.run(listener)).await.context("the gateway failed")??)
}

fn config() -> Config {
    let password = "a password as long as those that faas serve makes";
    Config { credentials: Some(Credentials::new("admin", password)), ..Config::default() }
}

/// In NATS, if there is one.
fn queue(nats: Option<&[String]>) -> anyhow::Result<Option<Arc<dyn Queue>>> {
    let Some([url, monitor]) = nats else { return Ok(None) };
    Ok(Some(Arc::new(Jetstream::start(Options {
        servers: vec![url.clone()],
        credentials: NatsCredentials::None,
        queue: "faas-request".parse()?,
        replicas: 1,
        durability: Durability::Checked { monitors: vec![monitor.clone()] },
        settings: Settings::default(),
    }))))
}

async fn bind() -> anyhow::Result<TcpListener> {
    Ok(TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?)
}

fn print(addresses: &Addresses) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", serde_json::to_string(addresses)?)?;
    Ok(stdout.flush()?)
}

/// How many routes a second are to change, from standard input; its end drains.
fn listen(shutdown: Shutdown) -> watch::Receiver<u32> {
    let (rate, rates) = watch::channel(0);
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines().map_while(Result::ok);
        for wanted in lines.map_while(|line| parse(&line)) {
            rate.send_replace(wanted);
        }
        shutdown.drain.cancel();
    });
    rates
}

fn parse(line: &str) -> Option<u32> {
    line.strip_prefix("churn ")?.trim().parse().ok()
}

/// The file is read again for it, so that nothing but the table holds routes before.
async fn churn(routes: Routes, file: PathBuf, mut rates: watch::Receiver<u32>) -> anyhow::Result<()> {
    loop {
        let rate = NonZero::new(*rates.borrow_and_update());
        let churning = async {
            match rate {
                Some(rate) => {
                    change(&routes, &routes::read(&file)?, Duration::from_secs(1) / rate.get()).await
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = churning => return ended,
            changed = rates.changed() => changed?,
        }
    }
}

/// One change at a time, as they come when functions are deployed and scaled.
async fn change(routes: &Routes, functions: &[Function], every: Duration) -> anyhow::Result<()> {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for function in functions.iter().cycle() {
        ticks.tick().await;
        routes.apply(&function.name, Some(function.route()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_line_is_understood() {
        assert_eq!(parse("churn 100"), Some(100));
        for line in ["churn", "churn many", "100", ""] {
            assert_eq!(parse(line), None, "{line:?}");
        }
    }
}
