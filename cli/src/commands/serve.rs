//! `faas serve`: the whole platform on this machine, in one process.
//!
//! Nothing is touched before both ports are bound and the data directory is locked, so that a second start fails
//! without a trace. Ctrl-C or SIGTERM drains; a second one ends at once.

mod data_dir;
mod platform;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use faas_api::Namespace;
use rustix::fs::Mode;

use crate::cli::Context;
use crate::env::Env;
use crate::failure::failure;
use crate::role::{self, RoleArgs};
use data_dir::DataDir;

/// Flags of `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where the gateway listens
    #[arg(long, env = "FAAS_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Holds functions, packages, secrets and logs; if not given, `faas` in the XDG data folder
    #[arg(long, env = "FAAS_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    role: RoleArgs,
}

/// Starts the platform and returns when it has drained.
pub(crate) fn run(args: &ServeArgs, context: &Context) -> anyhow::Result<()> {
    // Whatever is made from here on, by libraries too, is the user's alone.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    args.role.begin()?;
    let own = role::gateway::Own {
        namespace: Namespace::default(),
        credentials: None,
        scale_from_zero: true,
        // Nothing stands before this one that would have to notice.
        drain_notice: Duration::ZERO,
    };
    let mut gateway = role::gateway::config(&context.env, own)?;
    if gateway.tls.is_some() && context.env.get("gateway_url").is_none_or(str::is_empty) {
        let missing =
            failure("gateway_url: expected where this gateway is reached, as its certificate has it");
        return Err(missing
            .hint("asynchronous invocations go through it: gateway_url=https://faas.example.com")
            .into());
    }
    let data_dir = match &args.data_dir {
        Some(folder) => std::path::absolute(folder).context("cannot find the current folder")?,
        None => default_data_dir(&context.env)?,
    };
    let listener = role::bind(args.listen, "--listen or FAAS_LISTEN")?;
    let admin = args.role.bind_admin()?;
    let data_dir = DataDir::lock(&data_dir)?;
    let credentials = data_dir.credentials()?;
    let settings = role::queue::settings(&context.env, &gateway.limits);
    let worker = role::queue::worker::settings(&context.env, settings, Namespace::default())?;
    let queue = role::queue::embedded(&data_dir.path, settings)?;
    gateway.credentials = Some(faas_gateway::Credentials::new(&credentials.user, &credentials.password.0));
    platform::run(platform::Parts {
        program: context.env.program.clone(),
        listener,
        admin,
        data_dir,
        credentials,
        search_path: context.env.path().into(),
        gateway,
        queue,
        worker,
    })
}

fn default_data_dir(env: &Env) -> anyhow::Result<PathBuf> {
    let absolute = |name: &str| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    let missing =
        || failure("HOME is not set").hint("say where to keep data with --data-dir or FAAS_DATA_DIR");
    Ok(base.ok_or_else(missing)?.join("faas"))
}
