//! `faas version`.

use std::time::Duration;

use clap::Args;
use faas_api::Info;
use serde_json::{Value, json};

use crate::auth::Preference;
use crate::cli::Context;
use crate::client::Client;
use crate::commands::GatewayArgs;
use crate::{go_flags, output};

const TIMEOUT: Duration = Duration::from_secs(5);
const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// Flags of `version`.
#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// Show this program's version number only
    #[arg(long)]
    short_version: bool,
    /// Accepted for compatibility: nothing is looked up on the Internet
    #[arg(long, value_name = "BOOL", default_value = "true", default_missing_value = "true", num_args = 0..=1,
          require_equals = true, value_parser = go_flags::parse_bool, action = clap::ArgAction::Set)]
    warn_update: bool,
    /// Print JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayArgs,
}

fn commit() -> &'static str {
    option_env!("FAAS_COMMIT").filter(|commit| !commit.is_empty()).unwrap_or("unknown")
}

/// Prints the versions; a gateway that does not answer is no error here.
pub(crate) fn run(args: &VersionArgs, context: &Context) -> anyhow::Result<()> {
    if args.short_version {
        return output::line(RELEASE);
    }
    let stack = args.gateway.load_stack(context)?;
    let url = args.gateway.url(stack.as_ref(), context);
    let client = args.gateway.client_for(url, Preference::Saved, TIMEOUT, context)?;
    let info: anyhow::Result<Info> = client.get_json("/system/info");
    if args.json {
        output::line(serde_json::to_string_pretty(&to_json(&client, info.as_ref().ok()))?)?;
    } else {
        output::print(&render(&client, info.as_ref().ok()))?;
    }
    if let Err(error) = info {
        output::report(&error);
    }
    Ok(())
}

fn render(client: &Client, info: Option<&Info>) -> String {
    let cli = format!("CLI:\n commit:  {}\n version: {RELEASE}\n", commit());
    let Some(Info { provider, version, .. }) = info else { return cli };
    format!(
        "{cli}\nGateway\n uri:     {}\n version: {}\n sha:     {}\n\nProvider\n name:          {}\n orchestration: {}\n \
         version:       {}\n sha:           {}\n",
        client.gateway,
        version.release,
        version.sha,
        provider.name,
        provider.orchestration,
        provider.version.release,
        provider.version.sha,
    )
}

fn to_json(client: &Client, info: Option<&Info>) -> Value {
    let cli = json!({"commit": commit(), "version": RELEASE});
    let Some(Info { provider, version, .. }) = info else { return json!({"cli": cli}) };
    json!({
        "cli": cli,
        "gateway": {"uri": client.gateway, "version": version.release, "sha": version.sha},
        "provider": {
            "name": provider.name,
            "orchestration": provider.orchestration,
            "version": provider.version.release,
            "sha": provider.version.sha,
        },
    })
}
