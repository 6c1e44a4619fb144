//! `faas push`: packages to the gateway, images to their registry.

use clap::Args;
use faas_api::ProviderInfo;

use crate::auth::Preference;
use crate::cli::Context;
use crate::client::{self, Client};
use crate::commands::build::{self, Kind};
use crate::commands::deploy::{self, Target};
use crate::commands::functions::{FunctionArgs, Work};
use crate::commands::{GatewayArgs, NamespaceArgs};
use crate::failure::failure;
use crate::{images, output, packages};

const MISSING: &str = "please provide a YAML file by -f, or --image, --handler, --name and --lang";

/// Flags of `push`.
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    #[command(flatten)]
    functions: FunctionArgs,
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// Accepted for compatibility: functions are pushed one after the other
    #[arg(long, value_name = "N", default_value_t = 1)]
    parallel: usize,
    /// Show nothing of what pushing an image prints
    #[arg(long)]
    quiet: bool,
}

/// Pushes all functions.
pub(crate) fn run(args: &PushArgs, context: &Context) -> anyhow::Result<()> {
    let work = args.functions.load(args.gateway.envsubst.envsubst, MISSING, context)?;
    let url = crate::gateway::choose(args.gateway.gateway.as_deref(), &work.gateway, &context.env);
    let client = args.gateway.client_for(url, Preference::Saved, client::TIMEOUT, context)?;
    push_all(&client, &work, &args.namespace.namespace, args.quiet, context)
}

/// Pushes what is to be pushed. The gateway is asked what it takes only where a package is among the functions.
pub(crate) fn push_all(
    client: &Client,
    work: &Work,
    namespace: &str,
    quiet: bool,
    context: &Context,
) -> anyhow::Result<()> {
    let wanted: Vec<_> =
        work.functions.iter().filter(|function| !function.skip_build && !function.lang.is_empty()).collect();
    let needs_gateway = wanted.iter().any(|function| packages::manifest_of(function).is_some());
    let provider = if needs_gateway { deploy::fetch_provider(client)? } else { ProviderInfo::default() };
    let mut unpushable = Vec::new();
    for function in wanted {
        let (name, image) = (&function.name, &function.image);
        output::line(format!("[0] > Pushing {name} [{image}]"))?;
        match deploy::choose(function, &provider, false)? {
            Target::Package => {
                let (package, _) = packages::ensure(
                    function,
                    work.path.as_deref(),
                    &work.configuration.copy,
                    &[],
                    &context.env,
                )?;
                let namespace = if namespace.is_empty() { &function.namespace } else { namespace };
                packages::upload(client, function, &package, Some((image, namespace)))?;
            }
            Target::Image if !image.contains('/') => {
                unpushable.push(format!("- {image}"));
                continue;
            }
            Target::Image => match build::kind_of(function)? {
                Kind::Image(_) => images::push(image, quiet, &context.env)?,
                Kind::Package => {
                    let message = format!(
                        "function {name}: {} makes a package, which no registry takes yet",
                        function.lang
                    );
                    return Err(failure(message)
                        .hint("leave the registry out of the image, or use lang: dockerfile")
                        .into());
                }
            },
        }
        output::line(format!("[0] < Pushing {name} [{image}] done."))?;
    }
    if unpushable.is_empty() {
        return output::line("[0] Worker done.");
    }
    let message = "Unable to push one or more of your functions to Docker Hub:";
    Err(failure(format!("{message}\n{}", unpushable.join("\n")))
        .hint("an image needs a registry or user before its name, such as user1/function1")
        .into())
}
