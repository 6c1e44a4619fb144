//! `faas queue show` and `faas queue cancel`: one job.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use faas_api::{JobAttempt, JobStatus};
use serde_json::Value;
use ureq::http::Method;

use super::send;
use crate::cli::Context;
use crate::client::{Client, Request};
use crate::commands::GatewayArgs;
use crate::failure::failure;
use crate::{output, table, text};

/// Flags of `queue cancel`.
#[derive(Debug, Args)]
pub(crate) struct CallIdArgs {
    /// What the invocation was answered in X-Call-Id
    call_id: String,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// Flags of `queue show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    job: CallIdArgs,
    /// Print the gateway's answer as JSON
    #[arg(short, long)]
    json: bool,
}

/// Shows a job.
pub(crate) fn show(args: &ShowArgs, context: &Context) -> anyhow::Result<()> {
    let client = args.job.gateway.client(context)?;
    let answer = send(&client, Request::get(path(&args.job.call_id)), context)?.text();
    if args.json {
        let value: Value = client.parse(&answer)?;
        return output::line(serde_json::to_string_pretty(&value)?);
    }
    output::print(&render(&client.parse(&answer)?))
}

/// Ends a job.
pub(crate) fn cancel(args: &CallIdArgs, context: &Context) -> anyhow::Result<()> {
    let client = args.gateway.client(context)?;
    send(&client, Request::new(Method::DELETE, path(&args.call_id)), context)?;
    output::line(format!("Cancelled: {}", args.call_id))
}

/// What is known of a job.
pub(crate) fn find(client: &Client, call_id: &str, context: &Context) -> anyhow::Result<JobStatus> {
    client.parse(&send(client, Request::get(path(call_id)), context)?.text())
}

fn path(call_id: &str) -> String {
    format!("/async-function/{}", text::escape(call_id))
}

fn render(job: &JobStatus) -> String {
    let mut rows = vec![
        row("Call id:", &job.call_id),
        row("Function:", &format!("{}.{}", job.function_name, job.namespace)),
        row("State:", job.state.as_str()),
        row("Accepted:", &job.accepted_at.to_string()),
    ];
    rows.extend(job.next_try_at.map(|at| row("Next try:", &at.to_string())));
    rows.extend(attempts("Attempts:", &job.attempts));
    if job.busy > 0 {
        rows.push(row("Busy:", &format!("{} times since", job.busy)));
    }
    if let Some(callback) = &job.callback {
        rows.push(row("Callback:", callback.url.as_deref().unwrap_or("-")));
        rows.extend(attempts("Deliveries:", &callback.attempts));
    }
    if let Some(result) = &job.result {
        rows.push(row("Result:", &format!("{}, {}", result.status, text::human_bytes(result.size))));
        rows.extend(result.body.as_deref().and_then(readable).map(|body| row("Body:", &body)));
    }
    table::align(&rows)
}

fn row(heading: &str, value: &str) -> Vec<String> {
    vec![heading.to_owned(), value.to_owned()]
}

/// A body of one line; another is for `--json`, or for `faas invoke --async --wait`.
fn readable(body: &str) -> Option<String> {
    let text = String::from_utf8(STANDARD.decode(body).ok()?).ok()?;
    let line = text.trim_end();
    (!line.is_empty() && line.len() <= 200 && !line.contains(char::is_control)).then(|| line.to_owned())
}

fn attempts(heading: &str, attempts: &[JobAttempt]) -> Vec<Vec<String>> {
    let line =
        |attempt: &JobAttempt| format!("{}  {}  {:.3}s", attempt.at, outcome(attempt), attempt.seconds);
    let lines = attempts.iter().enumerate();
    lines.map(|(index, attempt)| row(if index == 0 { heading } else { "" }, &line(attempt))).collect()
}

/// How a try went.
pub(super) fn outcome(attempt: &JobAttempt) -> String {
    match (attempt.status, &attempt.failure) {
        (Some(status), None) => status.to_string(),
        (Some(status), Some(failure)) => format!("{status} ({failure})"),
        (None, Some(failure)) => failure.clone(),
        (None, None) => "-".to_owned(),
    }
}

/// The body of a job's answer; why there is none.
pub(crate) fn body(job: &JobStatus) -> anyhow::Result<Vec<u8>> {
    let Some(result) = &job.result else { return Ok(Vec::new()) };
    match &result.body {
        Some(body) => Ok(STANDARD.decode(body)?),
        None if result.size == 0 => Ok(Vec::new()),
        None => Err(failure(format!("the answer of {} was not kept", text::human_bytes(result.size)))
            .hint("a callback gets it whole: -H \"X-Callback-Url: URL\"")
            .into()),
    }
}
