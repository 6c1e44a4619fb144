//! `faas serve`: the whole platform on this machine, in one process.
//!
//! Nothing is touched before both ports are bound and the data directory is locked, so that a second start fails
//! without a trace. Ctrl-C or SIGTERM drains; a second one ends at once.

mod data_dir;
mod platform;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use faas_api::parse_duration;
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::cli::Context;
use crate::env::Env;
use crate::failure::failure;
use data_dir::DataDir;

/// Bounds an invocation where neither function nor variable says otherwise; the peers' default.
const UPSTREAM_TIMEOUT: Duration = Duration::from_mins(1);

/// Flags of `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where the gateway listens
    #[arg(long, env = "FAAS_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where metrics and health checks are served, without credentials
    #[arg(long, env = "FAAS_ADMIN", value_name = "ADDRESS", default_value = "127.0.0.1:8082")]
    admin: SocketAddr,
    /// Holds functions, packages, secrets and logs; if not given, `faas` in the XDG data folder
    #[arg(long, env = "FAAS_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// What is logged on standard error: a level, or levels per module
    #[arg(long, env = "FAAS_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
    /// Log lines as JSON
    #[arg(long, env = "FAAS_LOG_JSON")]
    log_json: bool,
}

/// Starts the platform and returns when it has drained.
pub(crate) fn run(args: &ServeArgs, context: &Context) -> anyhow::Result<()> {
    // Whatever is made from here on, by libraries too, is the user's alone.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    raise_descriptors();
    faas_daemon::init_logging(&args.log, args.log_json).map_err(|error| failure(error.to_string()))?;
    let data_dir = match &args.data_dir {
        Some(folder) => std::path::absolute(folder).context("cannot find the current folder")?,
        None => default_data_dir(&context.env)?,
    };
    let listener = bind(args.listen, "--listen or FAAS_LISTEN")?;
    let admin = bind(args.admin, "--admin or FAAS_ADMIN")?;
    let data_dir = DataDir::lock(&data_dir)?;
    let credentials = data_dir.credentials()?;
    platform::run(platform::Parts {
        program: context.env.program.clone(),
        listener,
        admin,
        data_dir,
        credentials,
        search_path: context.env.path().into(),
        upstream_timeout: upstream_timeout(&context.env),
    })
}

/// Each replica and each connection takes some; the usual soft limit of 1,024 is meant for programs that use `select`.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

fn default_data_dir(env: &Env) -> anyhow::Result<PathBuf> {
    let absolute = |name: &str| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    let missing =
        || failure("HOME is not set").hint("say where to keep data with --data-dir or FAAS_DATA_DIR");
    Ok(base.ok_or_else(missing)?.join("faas"))
}

fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|error| {
        failure(format!("cannot listen on {address}: {error}"))
            .hint(format!("if faas is running already, use that; else choose another address with {setting}"))
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The peers' variable: what they fall back on silently is warned of here.
fn upstream_timeout(env: &Env) -> Duration {
    let Some(text) = env.get("upstream_timeout") else { return UPSTREAM_TIMEOUT };
    match parse_duration(text) {
        Ok(timeout) if !timeout.is_zero() => timeout,
        _ => {
            tracing::warn!(
                variable = "upstream_timeout",
                value = text,
                "not a duration above zero: 60s is used"
            );
            UPSTREAM_TIMEOUT
        }
    }
}
