//! `faas up`: build, push, deploy.

use clap::Args;

use crate::auth::Preference;
use crate::cli::Context;
use crate::commands::GatewayArgs;
use crate::commands::build::{self, BuildFlags, Purpose};
use crate::commands::deploy::{self, DeployFlags};
use crate::commands::functions::FunctionArgs;
use crate::commands::push;
use crate::failure::failure;
use crate::gateway;

const MISSING: &str = "to deploy a function give --yaml/-f or a --image and --name flag";

/// Flags of `up`.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    functions: FunctionArgs,
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    build: BuildFlags,
    #[command(flatten)]
    deploy: DeployFlags,
    /// Build and deploy only
    #[arg(long)]
    skip_push: bool,
    /// Build and push only
    #[arg(long)]
    skip_deploy: bool,
    /// Not there yet
    #[arg(long, hide = true)]
    watch: bool,
    /// Not there yet
    #[arg(long, hide = true)]
    publish: bool,
}

/// Does all three. The gateway is asked first: a missing login is better known before a long build.
pub(crate) fn run(args: &UpArgs, context: &Context) -> anyhow::Result<()> {
    args.deploy.check()?;
    for (flag, is_given) in [("--watch", args.watch), ("--publish", args.publish)] {
        if is_given {
            return Err(failure(format!("{flag} is not there yet")).into());
        }
    }
    let work = args.functions.load(args.gateway.envsubst.envsubst, MISSING, context)?;
    let url = gateway::choose(args.gateway.gateway.as_deref(), &work.gateway, &context.env);
    let client = args.gateway.client_for(url, Preference::Saved, args.deploy.timeout, context)?;
    let provider =
        if args.skip_push && args.skip_deploy { None } else { Some(deploy::fetch_provider(&client)?) };
    let purpose = Purpose::Deploy(provider.as_ref(), args.deploy.package);
    if let Some(provider) = &provider {
        // A function that it can never take is better known before the others are built, too.
        for function in &work.functions {
            deploy::choose(function, provider, args.deploy.package)?;
        }
    }
    build::build_all(&work, &args.build, purpose, context)?;
    if !args.skip_push {
        push::push_all(&client, &work, &args.deploy.namespace.namespace, args.build.image.quiet, context)?;
    }
    match provider.filter(|_| !args.skip_deploy) {
        Some(provider) => deploy::deploy_all(&client, &provider, &work, &args.deploy, context),
        None => Ok(()),
    }
}
