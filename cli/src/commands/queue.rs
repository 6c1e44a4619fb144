//! `faas queue`: asynchronous invocations that wait, run or are dead.

mod job;
mod list;

use clap::{Args, Subcommand};
use faas_api::{JobCount, JobShelf, PurgeRequest, RedriveRequest};
use serde::Serialize;
use ureq::http::Method;

use crate::cli::Context;
use crate::client::{Answer, Client, Request};
use crate::commands::{GatewayArgs, NamespaceArgs, suffix};
use crate::failure::{Failure, failure};
use crate::output;

pub(crate) use job::{body, find};

/// Commands on the queue.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// List what each function has in the queue, or the jobs of one
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    /// Show a job: its state, attempts and result
    Show(job::ShowArgs),
    /// End a job that waits or runs
    Cancel(job::CallIdArgs),
    /// Try dead jobs of a function again, as if they were new
    Retry(RetryArgs),
    /// Forget jobs of a function
    Purge(PurgeArgs),
}

/// Flags of `queue retry`.
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// The function
    function: String,
    /// This job alone
    call_id: Option<String>,
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
}

/// Flags of `queue purge`.
#[derive(Debug, Args)]
pub(crate) struct PurgeArgs {
    /// The function
    function: String,
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// Those that were tried as often or as long as allowed
    #[arg(long, conflicts_with = "live", required_unless_present = "live")]
    dead: bool,
    /// Those that wait; the ones that run are let be
    #[arg(long)]
    live: bool,
    /// Do it; without this, only say what would be forgotten
    #[arg(short, long)]
    yes: bool,
}

/// Runs one.
pub(crate) fn run(command: &QueueCommand, context: &Context) -> anyhow::Result<()> {
    match command {
        QueueCommand::List(args) => list::run(args, context),
        QueueCommand::Show(args) => job::show(args, context),
        QueueCommand::Cancel(args) => job::cancel(args, context),
        QueueCommand::Retry(args) => retry(args, context),
        QueueCommand::Purge(args) => purge(args, context),
    }
}

fn retry(args: &RetryArgs, context: &Context) -> anyhow::Result<()> {
    let request = RedriveRequest {
        function_name: args.function.clone(),
        namespace: args.namespace.namespace.clone(),
        call_id: args.call_id.clone().unwrap_or_default(),
    };
    let client = args.gateway.client(context)?;
    let jobs = count(&client, "/system/queue/redrive", &request, context)?;
    output::line(format!("{} of {} will be tried again", plural(jobs), args.function))
}

fn purge(args: &PurgeArgs, context: &Context) -> anyhow::Result<()> {
    let (client, namespace) = (args.gateway.client(context)?, &args.namespace.namespace);
    let request = PurgeRequest {
        function_name: args.function.clone(),
        namespace: namespace.clone(),
        state: if args.dead { JobShelf::Dead } else { JobShelf::Live },
        dry_run: !args.yes,
    };
    let jobs = count(&client, "/system/queue/purge", &request, context)?;
    if args.yes {
        return output::line(format!("{} of {} forgotten", plural(jobs), args.function));
    }
    let name = format!("{}{}", args.function, suffix(namespace));
    Err(failure(format!("{} of {name} would be forgotten", plural(jobs))).hint("add --yes to do it").into())
}

fn count(client: &Client, path: &str, body: &impl Serialize, context: &Context) -> anyhow::Result<u64> {
    let mut answer = send(client, Request::new(Method::POST, path).json(body)?, context)?;
    Ok(client.parse::<JobCount>(&answer.text())?.jobs)
}

/// Sends a request that needs the queue.
fn send(client: &Client, request: Request<'_>, context: &Context) -> anyhow::Result<Answer> {
    let mut answer = client.send(request)?;
    match answer.status.as_u16() {
        200 | 202 => Ok(answer),
        status => Err(refused(status, answer.text().trim(), context).into()),
    }
}

/// A job that is not there is told in the body; an empty one means that there is no such route.
fn refused(status: u16, text: &str, context: &Context) -> Failure {
    let failure = match (status, text) {
        (404, "") => failure("this gateway has no queue").hint(format!(
            "\"{} version\" shows which gateway answers, --gateway names another",
            context.env.program
        )),
        (404 | 409, text) => {
            failure(text).hint(format!("\"{} queue list FUNCTION\" shows what there is", context.env.program))
        }
        (status, text) => failure(format!("server returned unexpected status code: {status} - {text}")),
    };
    if status < 500 { failure.for_good() } else { failure }
}

fn plural(jobs: u64) -> String {
    if jobs == 1 { "1 job".to_owned() } else { format!("{jobs} jobs") }
}
