//! `faas store`: functions that are ready to deploy, from a list that `--url` or `OPENFAAS_STORE` names. There is none
//! of ours yet, and nothing is fetched that nobody named.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::Value;

use crate::cli::Context;
use crate::client::{Client, Request, Settings, TIMEOUT};
use crate::failure::failure;
use crate::{output, table};

/// Commands on the store.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// List functions of the store
    #[command(visible_alias = "ls")]
    List(ListArgs),
}

/// Flags of `store list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// URL of the store's JSON file [default: `OPENFAAS_STORE`]
    #[arg(short, long)]
    url: Option<String>,
    /// Only functions for this platform
    #[arg(short, long)]
    platform: Option<String>,
    /// Print JSON
    #[arg(short, long)]
    json: bool,
    /// Accepted for compatibility: descriptions are never cut
    #[arg(short, long, hide = true)]
    verbose: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    name: String,
    title: String,
    author: String,
    description: String,
    images: std::collections::BTreeMap<String, String>,
}

/// Runs one.
pub(crate) fn run(command: &StoreCommand, context: &Context) -> anyhow::Result<()> {
    match command {
        StoreCommand::List(args) => list(args, context),
    }
}

fn list(args: &ListArgs, context: &Context) -> anyhow::Result<()> {
    let url = args.url.as_deref().or_else(|| context.env.store());
    let functions = url.map(|url| fetch(url, context)).transpose()?.unwrap_or_default();
    if args.json {
        return output::line(serde_json::to_string_pretty(&functions)?);
    }
    let mut rows = vec![["FUNCTION", "AUTHOR", "DESCRIPTION"].map(str::to_owned).to_vec()];
    for value in functions {
        let entry: Entry = serde_json::from_value(value).context("failed to read the store")?;
        let is_wanted = args.platform.as_ref().is_none_or(|platform| entry.images.contains_key(platform));
        if is_wanted {
            let name = if entry.name.is_empty() { entry.title } else { entry.name };
            rows.push(vec![name, entry.author, entry.description]);
        }
    }
    let is_empty = rows.len() == 1;
    output::print(&table::align(&rows))?;
    if is_empty {
        output::talk("no functions");
    }
    Ok(())
}

fn fetch(url: &str, context: &Context) -> anyhow::Result<Vec<Value>> {
    let env = &context.env;
    let settings =
        Settings { gateway: url.to_owned(), credential: None, tls_no_verify: false, timeout: TIMEOUT, env };
    let mut answer = Client::new(settings).send_any(Request::get(""))?;
    if !answer.status.is_success() {
        return Err(failure(format!("failed to read the store {url}: {}", answer.status_line())).into());
    }
    let mut store: Value =
        serde_json::from_str(&answer.text()).with_context(|| format!("failed to read the store {url}"))?;
    Ok(store.get_mut("functions").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default())
}
