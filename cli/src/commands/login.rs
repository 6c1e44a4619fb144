//! `faas login`: asks the gateway whether a password is right, and keeps it.

use std::io::Read as _;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use crate::auth::Credential;
use crate::cli::Context;
use crate::client::{Client, Request, Settings};
use crate::commands::{EnvsubstArgs, duration};
use crate::config_file::{Auth, ConfigFile};
use crate::failure::failure;
use crate::{gateway, output};

/// Flags of `login`.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// URL of the gateway [default: provider.gateway of the YAML file, `OPENFAAS_URL`, `http://127.0.0.1:8080`]
    #[arg(short, long, value_name = "URL")]
    gateway: Option<String>,
    /// User
    #[arg(short, long, default_value = "admin")]
    username: String,
    /// Password
    #[arg(short, long, allow_hyphen_values = true)]
    password: Option<String>,
    /// Read the password from standard input
    #[arg(short = 's', long)]
    password_stdin: bool,
    /// Accept any TLS certificate
    #[arg(long)]
    tls_no_verify: bool,
    /// How long the gateway may take to answer
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    timeout: Duration,
    #[command(flatten)]
    envsubst: EnvsubstArgs,
}

/// Checks and saves the credential.
pub(crate) fn run(args: &LoginArgs, context: &Context) -> anyhow::Result<()> {
    let env = &context.env;
    if args.username.is_empty() {
        return Err(failure("must provide --username or -u").into());
    }
    let password = read_password(args, &env.program)?;
    let stack = context.stack.load(args.envsubst.envsubst, env)?;
    let yaml = stack.map(|loaded| loaded.stack.provider.gateway).unwrap_or_default();
    let gateway = gateway::choose(args.gateway.as_deref(), &yaml, env);
    if let Some(warning) = gateway::tls_warning(&gateway, args.tls_no_verify) {
        output::talk(warning);
    }

    output::line("Calling the OpenFaaS server to validate the credentials...")?;
    let credential = Credential::basic(&args.username, &password);
    validate(args, &gateway, credential.clone(), context)?;

    let mut config = ConfigFile::load(env)?.unwrap_or_default();
    config.put(Auth::basic(&gateway, credential.into_token()));
    config.save(env)?;
    output::line(format!("credentials saved for {} {gateway}", args.username))
}

fn read_password(args: &LoginArgs, program: &str) -> anyhow::Result<String> {
    if args.password.is_some() && args.password_stdin {
        return Err(failure("--password and --password-stdin are mutually exclusive").into());
    }
    let password = match &args.password {
        Some(password) => {
            output::talk(format!(
                "WARNING! Using --password is insecure, consider using: cat ~/faas_pass.txt | {program} login -u user --password-stdin"
            ));
            password.clone()
        }
        None if args.password_stdin => read_stdin()?,
        None => String::new(),
    };
    if password.is_empty() {
        return Err(failure("must provide a non-empty password via --password or --password-stdin").into());
    }
    Ok(password)
}

fn read_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text).context("failed to read the password")?;
    Ok(text.trim().to_owned())
}

fn validate(
    args: &LoginArgs,
    gateway: &str,
    credential: Credential,
    context: &Context,
) -> anyhow::Result<()> {
    let client = Client::new(Settings {
        gateway: gateway.to_owned(),
        credential: Some(credential),
        tls_no_verify: args.tls_no_verify,
        timeout: args.timeout,
        env: &context.env,
    });
    let mut answer = client.send_any(Request::get("/system/functions"))?;
    match answer.status.as_u16() {
        200 => Ok(()),
        401 => Err(failure("unable to login, either username or password is incorrect").into()),
        _ => Err(answer.unexpected().into()),
    }
}
