//! `faas namespace`.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use faas_api::{FunctionNamespace, labels};
use ureq::http::Method;

use crate::auth::Preference;
use crate::cli::Context;
use crate::client::{self, Client, Request, Unauthorized};
use crate::commands::GatewayArgs;
use crate::{output, table, text};

/// Commands on namespaces.
#[derive(Debug, Subcommand)]
pub(crate) enum NamespaceCommand {
    /// List namespaces
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Create a namespace
    Create(WriteArgs),
    /// Show a namespace
    Get(NameArgs),
    /// Replace a namespace's labels and annotations
    Update(WriteArgs),
    /// Remove a namespace
    #[command(visible_aliases = ["rm", "delete"])]
    Remove(NameArgs),
}

/// Flags of `namespace list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
    /// Print JSON
    #[arg(short, long)]
    json: bool,
}

/// Flags of the commands that only name a namespace.
#[derive(Debug, Args)]
pub(crate) struct NameArgs {
    /// The namespace
    name: String,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// Flags of the commands that write a namespace.
#[derive(Debug, Args)]
pub(crate) struct WriteArgs {
    /// The namespace
    name: String,
    #[command(flatten)]
    gateway: GatewayArgs,
    /// Set a label (KEY=VALUE, may be repeated)
    #[arg(short, long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// Set an annotation (KEY=VALUE, may be repeated)
    #[arg(long, value_name = "KEY=VALUE")]
    annotation: Vec<String>,
}

/// Runs one.
pub(crate) fn run(command: &NamespaceCommand, context: &Context) -> anyhow::Result<()> {
    match command {
        NamespaceCommand::List(args) => list(args, context),
        NamespaceCommand::Get(args) => get(args, context),
        NamespaceCommand::Remove(args) => remove(args, context),
        NamespaceCommand::Create(args) => {
            output::line(format!("Creating Namespace: {}", args.name))?;
            write(args, Method::POST, "/system/namespace/", context)?;
            output::line(format!("Namespace Created: {}", args.name))
        }
        NamespaceCommand::Update(args) => {
            output::line(format!("Updating Namespace: {}", args.name))?;
            write(args, Method::PUT, &path(&args.name), context)?;
            output::line(format!("Namespace Updated: {}", args.name))
        }
    }
}

fn open(gateway: &GatewayArgs, context: &Context) -> anyhow::Result<Client> {
    let stack = gateway.load_stack(context)?;
    let url = gateway.url(stack.as_ref(), context);
    let client = gateway.client_for(url, Preference::Token, client::TIMEOUT, context)?;
    client.call_unauthorized(Unauthorized::Action);
    Ok(client)
}

fn path(name: &str) -> String {
    format!("/system/namespace/{}", text::escape(name))
}

fn list(args: &ListArgs, context: &Context) -> anyhow::Result<()> {
    let mut names: Vec<String> = open(&args.gateway, context)?.get_json("/system/namespaces")?;
    if args.json {
        return output::line(serde_json::to_string_pretty(&names)?);
    }
    names.sort();
    let lines = text::lines(names.iter().map(|name| format!(" - {name}")));
    output::print(&format!("Namespaces:\n{lines}"))
}

fn get(args: &NameArgs, context: &Context) -> anyhow::Result<()> {
    let namespace: FunctionNamespace = open(&args.gateway, context)?.get_json(path(&args.name))?;
    let mut rows = vec![vec!["Name:".to_owned(), namespace.name]];
    for (heading, map) in [("Labels:", namespace.labels), ("Annotations:", namespace.annotations)] {
        if map.is_empty() {
            rows.push(vec![heading.to_owned(), "<none>".to_owned()]);
        }
        for (index, (key, value)) in map.into_iter().enumerate() {
            let heading = if index == 0 { heading } else { "" };
            rows.push(vec![heading.to_owned(), format!("{key}: {value}")]);
        }
    }
    output::print(&table::align(&rows))
}

fn write(args: &WriteArgs, method: Method, path: &str, context: &Context) -> anyhow::Result<()> {
    let marked = |pairs: &[String], what| -> anyhow::Result<BTreeMap<String, String>> {
        let mut map = text::parse_pairs(pairs, what)?;
        map.insert(labels::NAMESPACE.to_owned(), "1".to_owned());
        Ok(map)
    };
    let body = FunctionNamespace {
        name: args.name.clone(),
        labels: marked(&args.label, "label")?,
        annotations: marked(&args.annotation, "annotation")?,
    };
    let client = open(&args.gateway, context)?;
    client.send_expecting(Request::new(method, path).json(&body)?, &[200, 201, 202])?;
    Ok(())
}

fn remove(args: &NameArgs, context: &Context) -> anyhow::Result<()> {
    output::line(format!("Deleting Namespace: {}", args.name))?;
    let body = FunctionNamespace { name: args.name.clone(), ..FunctionNamespace::default() };
    let client = open(&args.gateway, context)?;
    client.send_expecting(Request::new(Method::DELETE, path(&args.name)).json(&body)?, &[200, 202])?;
    output::line(format!("Namespace Removed: {}", args.name))
}
