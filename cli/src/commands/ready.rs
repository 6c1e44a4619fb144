//! `faas ready`: waits for the gateway or a function.

use std::time::Duration;

use clap::Args;
use faas_api::{FunctionStatus, format_duration};

use crate::cli::Context;
use crate::client::{Client, Request};
use crate::commands::{GatewayArgs, NamespaceArgs, duration, suffix};
use crate::failure::failure;
use crate::{output, text};

/// Flags of `ready`.
#[derive(Debug, Args)]
pub(crate) struct ReadyArgs {
    /// Function to wait for; the gateway unless given
    function: Option<String>,
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// How often to ask
    #[arg(long, default_value_t = 60)]
    attempts: u32,
    /// How long to wait between two attempts
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    interval: Duration,
}

/// Waits.
pub(crate) fn run(args: &ReadyArgs, context: &Context) -> anyhow::Result<()> {
    let client = args.gateway.client(context)?;
    let waited = format_duration(args.interval.saturating_mul(args.attempts));
    match &args.function {
        None => {
            wait(args, "gateway", || Ok(is_gateway_ready(&client)))?
                .ok_or_else(|| failure(format!("gateway: {} not ready after: {waited}", client.gateway)))?;
            output::line("OpenFaaS gateway is ready")
        }
        Some(name) => {
            let label = format!("function {name}{}", suffix(&args.namespace.namespace));
            wait(args, &label, || is_function_ready(&client, name, &args.namespace.namespace))?
                .ok_or_else(|| failure(format!("function {name} not ready after: {waited}")))?;
            output::line(format!("Function {name} is ready"))
        }
    }
}

/// `None` when all attempts are used up.
fn wait(
    args: &ReadyArgs,
    what: &str,
    mut ready: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<Option<()>> {
    for attempt in 1..=args.attempts {
        output::line(format!("[{attempt}/{}] Waiting for {what}", args.attempts))?;
        if ready()? {
            return Ok(Some(()));
        }
        if attempt < args.attempts {
            std::thread::sleep(args.interval);
        }
    }
    Ok(None)
}

fn is_gateway_ready(client: &Client) -> bool {
    client.send_any(Request::get("/healthz")).is_ok_and(|answer| answer.status.as_u16() == 200)
}

/// A missing login is an error: waiting does not help. Anything else may pass.
fn is_function_ready(client: &Client, name: &str, namespace: &str) -> anyhow::Result<bool> {
    let path = format!("/system/function/{}{}", text::escape(name), text::query(&[("namespace", namespace)]));
    let Ok(mut answer) = client.send_any(Request::get(path)) else { return Ok(false) };
    match answer.status.as_u16() {
        401 => Err(client.unauthorized().into()),
        200 => Ok(client.parse::<FunctionStatus>(&answer.text())?.available_replicas > 0),
        _ => Ok(false),
    }
}
