//! `faas list`.

use clap::{Args, ValueEnum};
use faas_api::FunctionStatus;
use serde_json::Value;

use crate::cli::Context;
use crate::client::Request;
use crate::commands::{GatewayArgs, NamespaceArgs};
use crate::{output, text};

/// Flags of `list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// Show images and creation times too
    #[arg(short, long)]
    verbose: bool,
    /// Show names only
    #[arg(short, long)]
    quiet: bool,
    /// What to sort by
    #[arg(long, value_enum, default_value = "name")]
    sort: Sort,
    /// Print the gateway's answer as JSON
    #[arg(short, long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    Name,
    Invocations,
    Creation,
}

/// Prints the functions.
pub(crate) fn run(args: &ListArgs, context: &Context) -> anyhow::Result<()> {
    let client = args.gateway.client(context)?;
    let path = format!("/system/functions{}", text::query(&[("namespace", &args.namespace.namespace)]));
    let answer = client.send_expecting(Request::get(path), &[200])?.text();
    if args.json {
        let value: Value = client.parse(&answer)?;
        return output::line(serde_json::to_string_pretty(&value)?);
    }
    let mut functions: Vec<FunctionStatus> = client.parse(&answer)?;
    sort(&mut functions, args.sort);
    output::print(&render(&functions, args))
}

fn sort(functions: &mut [FunctionStatus], by: Sort) {
    functions.sort_by(|left, right| {
        let first = match by {
            Sort::Name => std::cmp::Ordering::Equal,
            Sort::Invocations => right.invocation_count.total_cmp(&left.invocation_count),
            Sort::Creation => left.created_at.cmp(&right.created_at),
        };
        first.then_with(|| left.name.cmp(&right.name))
    });
}

fn render(functions: &[FunctionStatus], args: &ListArgs) -> String {
    if args.quiet {
        return text::lines(functions.iter().map(|function| &function.name));
    }
    if args.verbose { render_verbose(functions) } else { render_short(functions) }
}

fn render_short(functions: &[FunctionStatus]) -> String {
    let header = format!("{:<30}\t{:<15}\t{:<5}\n", "Function", "Invocations", "Replicas");
    let row = |function: &FunctionStatus| {
        format!("{:<30}\t{:<15.0}\t{:<5}\n", function.name, function.invocation_count, function.replicas)
    };
    header + &functions.iter().map(row).collect::<String>()
}

fn render_verbose(functions: &[FunctionStatus]) -> String {
    let width = functions.iter().map(|function| function.image.len()).max().unwrap_or_default().max(40);
    let header = format!(
        "{:<30}\t{:<width$}\t{:<15}\t{:<5}\t{:<5}\n",
        "Function", "Image", "Invocations", "Replicas", "CreatedAt"
    );
    let row = |function: &FunctionStatus| {
        format!(
            "{:<30}\t{:<width$}\t{:<15.0}\t{:<5}\t{:<5}\n",
            function.name,
            function.image,
            function.invocation_count,
            function.replicas,
            created_at(function)
        )
    };
    header + &functions.iter().map(row).collect::<String>()
}

/// As Go prints a time.
fn created_at(function: &FunctionStatus) -> String {
    function.created_at.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions() -> Vec<FunctionStatus> {
        let function = |name: &str, count: f64, created: &str| FunctionStatus {
            name: name.into(),
            image: format!("{name}:latest"),
            invocation_count: count,
            replicas: 1,
            created_at: created.parse().unwrap(),
            ..FunctionStatus::default()
        };
        vec![
            function("b", 3.0, "2026-01-02T03:04:05Z"),
            function("a", 3.0, "2026-01-01T00:00:00Z"),
            function("c", 1_000_000.0, "2025-01-01T00:00:00.5Z"),
        ]
    }

    fn sorted(by: Sort) -> Vec<String> {
        let mut functions = functions();
        sort(&mut functions, by);
        functions.into_iter().map(|function| function.name).collect()
    }

    #[test]
    fn the_order_is_by_name_invocations_or_age() {
        assert_eq!(sorted(Sort::Name), ["a", "b", "c"]);
        assert_eq!(sorted(Sort::Invocations), ["c", "a", "b"]);
        assert_eq!(sorted(Sort::Creation), ["c", "a", "b"]);
    }

    #[test]
    fn the_columns_are_those_of_the_peers() {
        let short = render_short(&functions());
        let lines: Vec<_> = short.lines().collect();
        assert_eq!(lines[0], "Function                      \tInvocations    \tReplicas");
        assert_eq!(lines[3], "c                             \t1000000        \t1    ");
        let verbose = render_verbose(&functions());
        assert!(verbose.lines().nth(1).unwrap().ends_with("\t2026-01-02 03:04:05 +0000 UTC"));
    }
}
