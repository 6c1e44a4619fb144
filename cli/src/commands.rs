//! The commands, one a file: `run(args, context)`. Here is what several of them share.

use std::time::Duration;

use clap::Args;
use faas_api::parse_duration;

use crate::auth::{self, Preference};
use crate::cli::Context;
use crate::client::{self, Client, Settings};
use crate::stack_file::LoadedStack;
use crate::{gateway, go_flags, output};

pub(crate) mod build;
pub(crate) mod completion;
pub(crate) mod deploy;
pub(crate) mod describe;
pub(crate) mod functions;
pub(crate) mod invoke;
#[cfg(feature = "kubernetes")]
pub(crate) mod kubernetes;
pub(crate) mod list;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod logs;
pub(crate) mod namespace;
pub(crate) mod new;
pub(crate) mod push;
pub(crate) mod queue;
pub(crate) mod ready;
pub(crate) mod remove;
pub(crate) mod secret;
pub(crate) mod serve;
pub(crate) mod store;
pub(crate) mod template;
pub(crate) mod up;
pub(crate) mod version;

/// Flags of the commands that talk to a gateway.
#[derive(Debug, Clone, Args)]
pub(crate) struct GatewayArgs {
    /// URL of the gateway [default: provider.gateway of the YAML file, `OPENFAAS_URL`, `http://127.0.0.1:8080`]
    #[arg(short, long, value_name = "URL")]
    pub(crate) gateway: Option<String>,
    /// Accept any TLS certificate
    #[arg(long)]
    pub(crate) tls_no_verify: bool,
    /// JWT to use instead of a saved credential
    #[arg(short = 'k', long, value_name = "JWT")]
    pub(crate) token: Option<String>,
    #[command(flatten)]
    pub(crate) envsubst: EnvsubstArgs,
}

/// Whether variables in the stack file are replaced.
#[derive(Debug, Clone, Args)]
pub(crate) struct EnvsubstArgs {
    /// Replace variables in the YAML file
    #[arg(long, value_name = "BOOL", default_value = "true", default_missing_value = "true", num_args = 0..=1,
          require_equals = true, value_parser = go_flags::parse_bool, action = clap::ArgAction::Set)]
    pub(crate) envsubst: bool,
}

/// The namespace of one command.
#[derive(Debug, Clone, Args)]
pub(crate) struct NamespaceArgs {
    /// Namespace of the function
    #[arg(short, long, value_name = "NAMESPACE", default_value = "", hide_default_value = true)]
    pub(crate) namespace: String,
}

impl GatewayArgs {
    /// The stack file, if there is one.
    pub(crate) fn load_stack(&self, context: &Context) -> anyhow::Result<Option<LoadedStack>> {
        context.stack.load(self.envsubst.envsubst, &context.env)
    }

    /// The URL, with `provider.gateway` from a stack file.
    pub(crate) fn url(&self, stack: Option<&LoadedStack>, context: &Context) -> String {
        let yaml = stack.map(|loaded| loaded.stack.provider.gateway.as_str()).unwrap_or_default();
        gateway::choose(self.gateway.as_deref(), yaml, &context.env)
    }

    /// A client for the gateway of flags, stack file or environment.
    pub(crate) fn client(&self, context: &Context) -> anyhow::Result<Client> {
        let stack = self.load_stack(context)?;
        self.client_for(self.url(stack.as_ref(), context), Preference::Saved, client::TIMEOUT, context)
    }

    /// A client for this gateway, with the credential that goes with it.
    pub(crate) fn client_for(
        &self,
        gateway: String,
        preference: Preference,
        timeout: Duration,
        context: &Context,
    ) -> anyhow::Result<Client> {
        if let Some(warning) = gateway::tls_warning(&gateway, self.tls_no_verify) {
            output::talk(warning);
        }
        let env = &context.env;
        let credential = auth::choose(&gateway, self.token.as_deref(), preference, env)?;
        let tls_no_verify = self.tls_no_verify;
        Ok(Client::new(Settings { gateway, credential, tls_no_verify, timeout, env }))
    }
}

/// A Go duration, for clap.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// `.NS` behind a name, or nothing.
pub(crate) fn suffix(namespace: &str) -> String {
    if namespace.is_empty() { String::new() } else { format!(".{namespace}") }
}
