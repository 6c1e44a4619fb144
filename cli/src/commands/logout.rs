//! `faas logout`: forgets the credential for a gateway.

use clap::Args;

use crate::cli::Context;
use crate::commands::EnvsubstArgs;
use crate::config_file::ConfigFile;
use crate::failure::failure;
use crate::{gateway, output};

/// Flags of `logout`.
#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// URL of the gateway [default: provider.gateway of the YAML file, `OPENFAAS_URL`, `http://127.0.0.1:8080`]
    #[arg(short, long, value_name = "URL")]
    gateway: Option<String>,
    #[command(flatten)]
    envsubst: EnvsubstArgs,
}

/// Removes the credential.
pub(crate) fn run(args: &LogoutArgs, context: &Context) -> anyhow::Result<()> {
    let env = &context.env;
    let stack = context.stack.load(args.envsubst.envsubst, env)?;
    let yaml = stack.map(|loaded| loaded.stack.provider.gateway).unwrap_or_default();
    let gateway = gateway::choose(args.gateway.as_deref(), &yaml, env);
    let mut config = ConfigFile::load(env)?.ok_or_else(|| failure("config file not found"))?;
    config.remove(&gateway)?;
    config.save(env)?;
    output::line(format!("credentials removed for {gateway}"))
}
