//! Which commands there are.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

#[cfg(feature = "kubernetes")]
use crate::commands::kubernetes;
use crate::commands::{
    build, completion, deploy, describe, invoke, list, login, logout, logs, namespace, new, push, queue,
    ready, remove, secret, serve, store, template, up, version,
};
use crate::env::Env;
use crate::failure::failure;
use crate::stack_file::StackArgs;
use crate::{go_flags, output};

/// Build, deploy and look after functions.
#[derive(Debug, Parser)]
#[command(name = "faas", version, args_override_self = true, infer_subcommands = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    stack: StackArgs,
    #[command(subcommand)]
    command: Command,
}

/// What every command is given besides its flags.
#[derive(Debug, Default)]
pub(crate) struct Context {
    /// The process's environment.
    pub(crate) env: Env,
    /// Flags of every command.
    pub(crate) stack: StackArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a function from a template
    New(new::NewArgs),
    /// Build functions: packages, or images where the language has a Dockerfile
    Build(Box<build::BuildArgs>),
    /// Push built functions to the gateway, or to their registry
    Push(push::PushArgs),
    /// Deploy functions
    Deploy(Box<deploy::DeployArgs>),
    /// Build, push and deploy functions
    Up(Box<up::UpArgs>),
    /// Remove functions
    #[command(visible_aliases = ["rm", "delete"])]
    Remove(remove::RemoveArgs),
    /// List functions
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    /// Describe a function
    Describe(describe::DescribeArgs),
    /// Invoke a function with what stands on standard input
    Invoke(invoke::InvokeArgs),
    /// Show a function's logs
    Logs(logs::LogsArgs),
    /// Follow and steer asynchronous invocations
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    /// Log in to a gateway
    Login(login::LoginArgs),
    /// Log out of a gateway
    Logout(logout::LogoutArgs),
    /// Manage secrets
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// Manage namespaces
    #[command(subcommand, visible_alias = "ns")]
    Namespace(namespace::NamespaceCommand),
    /// List namespaces
    #[command(hide = true)]
    Namespaces(namespace::ListArgs),
    /// Templates for new functions
    #[command(subcommand)]
    Template(template::TemplateCommand),
    /// Functions that are ready to deploy
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Wait until the gateway or a function is ready
    Ready(ready::ReadyArgs),
    /// Show the versions of this program, the gateway and its provider
    Version(version::VersionArgs),
    /// Print a script that completes this program's commands in a shell
    Completion(completion::CompletionArgs),
    /// Start the platform on this machine
    Serve(serve::ServeArgs),
    /// Run the gateway of an installation on Kubernetes
    #[cfg(feature = "kubernetes")]
    Gateway(kubernetes::gateway::GatewayArgs),
    /// Run the operator of an installation on Kubernetes
    #[cfg(feature = "kubernetes")]
    Operator(kubernetes::operator::OperatorArgs),
    /// Run a worker of an installation's queue, which makes asynchronous invocations
    #[cfg(feature = "kubernetes")]
    QueueWorker(kubernetes::queue_worker::QueueWorkerArgs),
}

/// Parses the command line and runs its command.
pub(crate) fn run(arguments: Vec<OsString>, env: Env) -> anyhow::Result<()> {
    let command = Cli::command();
    let arguments = go_flags::rewrite(arguments, &command);
    if arguments.len() < 2 {
        return output::print(&command.bin_name(env.program.clone()).render_help().to_string());
    }
    let matches = match command.try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return explain(&error),
    };
    let cli = Cli::from_arg_matches(&matches)?;
    dispatch(cli.command, &Context { env, stack: cli.stack })
}

/// Help is data; anything else is the user's error, without clap's own exit code 2.
fn explain(error: &clap::Error) -> anyhow::Result<()> {
    use std::io::IsTerminal as _;
    let text = |terminal: bool| {
        let styled = error.render();
        if terminal { styled.ansi().to_string() } else { styled.to_string() }
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            output::print(&text(std::io::stdout().is_terminal()))
        }
        _ => Err(failure(text(std::io::stderr().is_terminal()).trim_end()).into()),
    }
}

fn dispatch(command: Command, context: &Context) -> anyhow::Result<()> {
    match command {
        Command::New(args) => new::run(&args, context),
        Command::Build(args) => build::run(&args, context),
        Command::Push(args) => push::run(&args, context),
        Command::Deploy(args) => deploy::run(&args, context),
        Command::Up(args) => up::run(&args, context),
        Command::Remove(args) => remove::run(&args, context),
        Command::List(args) => list::run(&args, context),
        Command::Describe(args) => describe::run(&args, context),
        Command::Invoke(args) => invoke::run(&args, context),
        Command::Logs(args) => logs::run(&args, context),
        Command::Queue(command) => queue::run(&command, context),
        Command::Login(args) => login::run(&args, context),
        Command::Logout(args) => logout::run(&args, context),
        Command::Secret(command) => secret::run(&command, context),
        Command::Namespace(command) => namespace::run(&command, context),
        Command::Namespaces(args) => namespace::run(&namespace::NamespaceCommand::List(args), context),
        Command::Template(command) => template::run(&command),
        Command::Store(command) => store::run(&command, context),
        Command::Ready(args) => ready::run(&args, context),
        Command::Version(args) => version::run(&args, context),
        Command::Completion(args) => completion::run(&args, context),
        Command::Serve(args) => serve::run(&args, context),
        #[cfg(feature = "kubernetes")]
        Command::Gateway(args) => kubernetes::gateway::run(&args, context),
        #[cfg(feature = "kubernetes")]
        Command::Operator(args) => kubernetes::operator::run(&args, context),
        #[cfg(feature = "kubernetes")]
        Command::QueueWorker(args) => kubernetes::queue_worker::run(&args, context),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }
}
