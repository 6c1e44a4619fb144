//! `faas queue list`.

use clap::Args;
use faas_api::{JobShelf, JobStatus, QueueDepth};
use jiff::Timestamp;
use serde_json::Value;

use super::send;
use crate::cli::Context;
use crate::client::Request;
use crate::commands::{GatewayArgs, NamespaceArgs};
use crate::{output, table, text};

/// Flags of `queue list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// List the jobs of this function
    function: Option<String>,
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// Jobs that were tried as often or as long as allowed, instead of those that wait or run
    #[arg(long, requires = "function")]
    dead: bool,
    /// So many jobs at most, the oldest first
    #[arg(long, value_name = "N", default_value_t = 100, requires = "function")]
    limit: u16,
    /// Print the gateway's answer as JSON
    #[arg(short, long)]
    json: bool,
}

/// Lists.
pub(crate) fn run(args: &ListArgs, context: &Context) -> anyhow::Result<()> {
    let client = args.gateway.client(context)?;
    let answer = send(&client, Request::get(path(args)), context)?.text();
    if args.json {
        let value: Value = client.parse(&answer)?;
        return output::line(serde_json::to_string_pretty(&value)?);
    }
    let now = Timestamp::now();
    let rows = match &args.function {
        None => depths(&client.parse::<Vec<QueueDepth>>(&answer)?, now),
        Some(_) => jobs(&client.parse::<Vec<JobStatus>>(&answer)?, now),
    };
    output::print(&table::align(&rows))
}

fn path(args: &ListArgs) -> String {
    let namespace = args.namespace.namespace.as_str();
    let Some(function) = &args.function else {
        return format!("/system/queue{}", text::query(&[("namespace", namespace)]));
    };
    let shelf = if args.dead { JobShelf::Dead } else { JobShelf::Live };
    let limit = args.limit.to_string();
    let query = [
        ("function", function.as_str()),
        ("namespace", namespace),
        ("state", shelf.as_str()),
        ("limit", &limit),
    ];
    format!("/system/queue/jobs{}", text::query(&query))
}

fn depths(depths: &[QueueDepth], now: Timestamp) -> Vec<Vec<String>> {
    let header = ["FUNCTION", "NAMESPACE", "WAITING", "RUNNING", "DEAD", "OLDEST", "RATE"];
    let row = |depth: &QueueDepth| {
        vec![
            depth.function_name.clone(),
            depth.namespace.clone(),
            depth.waiting.to_string(),
            depth.running.to_string(),
            depth.dead.to_string(),
            depth.oldest.map_or_else(|| "-".to_owned(), |oldest| age(oldest, now)),
            format!("{:.1}/s", depth.rate),
        ]
    };
    table_of(&header, depths.iter().map(row))
}

fn jobs(jobs: &[JobStatus], now: Timestamp) -> Vec<Vec<String>> {
    let header = ["CALL ID", "STATE", "AGE", "ATTEMPTS", "LAST", "NEXT"];
    let row = |job: &JobStatus| {
        let next = job.next_try_at.map(|at| if at > now { age(now, at) } else { "now".to_owned() });
        vec![
            job.call_id.clone(),
            job.state.as_str().to_owned(),
            age(job.accepted_at, now),
            job.attempts.len().to_string(),
            job.attempts.last().map_or_else(|| "-".to_owned(), super::job::outcome),
            next.unwrap_or_else(|| "-".to_owned()),
        ]
    };
    table_of(&header, jobs.iter().map(row))
}

fn table_of(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<Vec<String>> {
    let header = header.iter().map(|&cell| cell.to_owned()).collect();
    std::iter::once(header).chain(rows).collect()
}

/// From one time to the other, in its largest unit.
fn age(from: Timestamp, to: Timestamp) -> String {
    match to.duration_since(from).as_secs().max(0) {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7_200 => format!("{}m", seconds / 60),
        seconds @ 7_200..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (seconds, expect) in
            [(0, "0s"), (119, "119s"), (120, "2m"), (7_200, "2h"), (200_000, "2d"), (-5, "0s")]
        {
            assert_eq!(age(at(0), at(seconds)), expect);
        }
    }
}
