//! `faas secret`.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use faas_api::Secret;
use ureq::http::Method;

use crate::cli::Context;
use crate::client::{Answer, Client, Request};
use crate::commands::{GatewayArgs, NamespaceArgs};
use crate::failure::failure;
use crate::{go_flags, output, table, text};

/// Where `secret apply` looks.
const FOLDER: &str = ".secrets";
/// The most bytes `secret generate` makes.
const LONGEST: usize = 1 << 20;

/// Commands on secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Create a secret
    Create(CreateArgs),
    /// Replace a secret's value
    Update(UpdateArgs),
    /// List secrets, without their values
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Remove a secret
    #[command(visible_aliases = ["rm", "delete"])]
    Remove(RemoveArgs),
    /// Make every file of .secrets a secret
    Apply(ApplyArgs),
    /// Print a random value
    #[command(visible_alias = "gen")]
    Generate(GenerateArgs),
}

/// Which secret, and where.
#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// The secret's name
    name: String,
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
}

/// Where a value comes from; standard input unless given.
#[derive(Debug, Args)]
pub(crate) struct ValueArgs {
    /// The value itself
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    from_literal: Option<String>,
    /// File that holds the value
    #[arg(long, value_name = "FILE", conflicts_with = "from_literal")]
    from_file: Option<PathBuf>,
    #[command(flatten)]
    trim: TrimArgs,
}

/// Whether white space around a value is cut.
#[derive(Debug, Args)]
pub(crate) struct TrimArgs {
    /// Cut white space around the value; a file's bytes stay as they are
    #[arg(long, value_name = "BOOL", default_value = "true", default_missing_value = "true", num_args = 0..=1,
          require_equals = true, value_parser = go_flags::parse_bool, action = clap::ArgAction::Set)]
    trim: bool,
}

/// Flags of `secret create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    value: ValueArgs,
    /// Replace a secret that is there already
    #[arg(long)]
    replace: bool,
}

/// Flags of `secret update`.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    value: ValueArgs,
}

/// Flags of `secret list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// Print JSON
    #[arg(short, long)]
    json: bool,
}

/// Flags of `secret remove`.
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    target: TargetArgs,
}

/// Flags of `secret apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    trim: TrimArgs,
}

/// Flags of `secret generate`.
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// Random bytes
    #[arg(long, default_value_t = 32)]
    length: usize,
    /// Write to this file, readable by you alone
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs one.
pub(crate) fn run(command: &SecretCommand, context: &Context) -> anyhow::Result<()> {
    match command {
        SecretCommand::Create(args) => create(args, context),
        SecretCommand::Update(args) => update(args, context),
        SecretCommand::List(args) => list(args, context),
        SecretCommand::Remove(args) => remove(&args.target, context),
        SecretCommand::Apply(args) => apply(args, context),
        SecretCommand::Generate(args) => generate(args),
    }
}

fn send(client: &Client, method: Method, secret: &Secret) -> anyhow::Result<Answer> {
    client.send(Request::new(method, "/system/secrets").json(secret)?)
}

fn create(args: &CreateArgs, context: &Context) -> anyhow::Result<()> {
    let secret = build_secret(&args.target, &args.value)?;
    let client = args.target.gateway.client(context)?;
    output::line(format!("Creating secret: {}.{}", secret.name, secret.namespace))?;
    let mut answer = send(&client, Method::POST, &secret)?;
    match answer.status.as_u16() {
        200..=202 => output::line(format!("Created: {}", answer.status_line())),
        409 if args.replace => put(&client, &secret),
        409 => Err(failure(format!("secret with the name \"{}\" already exists", secret.name))
            .hint("--replace replaces its value")
            .into()),
        _ => Err(answer.unexpected().into()),
    }
}

fn update(args: &UpdateArgs, context: &Context) -> anyhow::Result<()> {
    let secret = build_secret(&args.target, &args.value)?;
    let client = args.target.gateway.client(context)?;
    put(&client, &secret)
}

fn put(client: &Client, secret: &Secret) -> anyhow::Result<()> {
    output::line(format!("Updating secret: {}", secret.name))?;
    let mut answer = send(client, Method::PUT, secret)?;
    match answer.status.as_u16() {
        200 | 202 => output::line(format!("Updated: {}", answer.status_line())),
        404 => Err(failure(format!("unable to find secret: {}", secret.name)).into()),
        _ => Err(answer.unexpected().into()),
    }
}

fn fetch(client: &Client, namespace: &str) -> anyhow::Result<Vec<Secret>> {
    client.get_json(format!("/system/secrets{}", text::query(&[("namespace", namespace)])))
}

fn list(args: &ListArgs, context: &Context) -> anyhow::Result<()> {
    let client = args.gateway.client(context)?;
    let mut secrets = fetch(&client, &args.namespace.namespace)?;
    secrets.sort_by(|left, right| left.name.cmp(&right.name));
    if args.json {
        return output::line(serde_json::to_string_pretty(&secrets)?);
    }
    if secrets.is_empty() {
        return output::line("No secrets found.");
    }
    let mut rows = vec![vec!["NAME".to_owned()]];
    rows.extend(secrets.into_iter().map(|secret| vec![secret.name]));
    output::print(&table::align(&rows))
}

fn remove(target: &TargetArgs, context: &Context) -> anyhow::Result<()> {
    let client = target.gateway.client(context)?;
    delete(&client, &target.name, &target.namespace.namespace)?;
    output::line("Removed.. OK.")
}

fn delete(client: &Client, name: &str, namespace: &str) -> anyhow::Result<()> {
    let secret = Secret { name: name.to_owned(), namespace: namespace.to_owned(), ..Secret::default() };
    let mut answer = send(client, Method::DELETE, &secret)?;
    match answer.status.as_u16() {
        200 | 202 => Ok(()),
        404 => Err(failure(format!("unable to find secret: {name}")).into()),
        _ => Err(answer.unexpected().into()),
    }
}

fn apply(args: &ApplyArgs, context: &Context) -> anyhow::Result<()> {
    let files = secret_files()?;
    if files.is_empty() {
        return output::line("No secrets found in .secrets directory");
    }
    let client = args.gateway.client(context)?;
    let namespace = &args.namespace.namespace;
    let existing = fetch(&client, namespace)?;
    for (name, path) in files {
        let secret = from_file(&name, namespace, &path, args.trim.trim)?;
        if secret.value.is_empty() {
            output::line(format!("Skipping empty secret: {name}"))?;
            continue;
        }
        if existing.iter().any(|other| other.name == name) {
            output::line(format!("Secret {name} exists, deleting before recreating..."))?;
            delete(&client, &name, namespace)?;
        }
        output::line(format!("Creating secret: {name}.{namespace}"))?;
        let mut answer = send(&client, Method::POST, &secret)?;
        if !matches!(answer.status.as_u16(), 200..=202) {
            return Err(answer.unexpected().into());
        }
        output::line(format!("Created: {}", answer.status_line()))?;
    }
    Ok(())
}

/// Names and paths of the files in `.secrets`, sorted; none where there is no such folder.
fn secret_files() -> anyhow::Result<Vec<(String, PathBuf)>> {
    let entries = match std::fs::read_dir(FOLDER) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(|| format!("failed to read the folder {FOLDER}"))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_file() && !name.starts_with('.') {
            check_name(&name)?;
            files.push((name, path));
        }
    }
    files.sort();
    Ok(files)
}

fn generate(args: &GenerateArgs) -> anyhow::Result<()> {
    if args.length == 0 || args.length > LONGEST {
        return Err(failure(format!("--length must be between 1 and {LONGEST}")).into());
    }
    let mut bytes = vec![0; args.length];
    getrandom::fill(&mut bytes).map_err(|error| failure(format!("failed to get random bytes: {error}")))?;
    let value = STANDARD.encode(bytes);
    match &args.output {
        None => output::line(value),
        Some(path) => {
            let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
            let written = opened.and_then(|mut file| file.write_all(value.as_bytes()));
            written.with_context(|| format!("failed to write {}", path.display()))
        }
    }
}

fn build_secret(target: &TargetArgs, value: &ValueArgs) -> anyhow::Result<Secret> {
    let namespace = &target.namespace.namespace;
    check_name(&target.name)?;
    if let Some(path) = &value.from_file {
        let secret = from_file(&target.name, namespace, path, value.trim.trim)?;
        return if secret.value.is_empty() { Err(empty(&target.name)) } else { Ok(secret) };
    }
    let text = match &value.from_literal {
        Some(text) => text.clone(),
        None => read_stdin()?,
    };
    let text = if value.trim.trim { text.trim().to_owned() } else { text };
    if text.is_empty() {
        return Err(empty(&target.name));
    }
    Ok(Secret { name: target.name.clone(), namespace: namespace.clone(), value: text, ..Secret::default() })
}

fn empty(name: &str) -> anyhow::Error {
    failure(format!("must provide a non-empty value for the secret {name}"))
        .hint("give it by --from-literal, --from-file or standard input")
        .into()
}

fn read_stdin() -> anyhow::Result<String> {
    if output::stdin_is_terminal() {
        output::talk("Reading from STDIN - hit (Control + D) to stop.");
    }
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text).context("failed to read the secret")?;
    Ok(text)
}

/// As the peers do: the bytes as they are, which win, and beside them the value as text.
fn from_file(name: &str, namespace: &str, path: &Path, trim: bool) -> anyhow::Result<Secret> {
    let bytes = std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    let value = if trim { text.trim().to_owned() } else { text.into_owned() };
    let raw_value = STANDARD.encode(&bytes);
    Ok(Secret { name: name.to_owned(), namespace: namespace.to_owned(), value, raw_value })
}

/// A DNS-1123 subdomain.
fn check_name(name: &str) -> anyhow::Result<()> {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = |label: &str| {
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(is_inner)
    };
    if name.len() <= 253 && name.split('.').all(is_label) {
        return Ok(());
    }
    Err(failure(format!("invalid secret name {name:?}: must be a valid DNS-1123 subdomain, such as api-key"))
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_subdomains() {
        for good in ["a", "api-key", "a.b", "0"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "a_b", "-a", "a-", "a..b", "../a", "a/b"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
