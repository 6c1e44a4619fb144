//! `faas logs`: the gateway's stream, line by line, until it ends or the user leaves.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use faas_api::LogMessage;
use jiff::Timestamp;

use crate::auth::Preference;
use crate::cli::Context;
use crate::client::{self, Request};
use crate::commands::{GatewayArgs, NamespaceArgs, duration};
use crate::failure::failure;
use crate::{gateway, go_flags, output, text};

mod time_format;

/// Flags of `logs`.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Function whose logs are shown
    name: String,
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// Keep showing lines as they are written
    #[arg(short, long, value_name = "BOOL", default_value = "true", default_missing_value = "true", num_args = 0..=1,
          require_equals = true, value_parser = go_flags::parse_bool, action = clap::ArgAction::Set)]
    tail: bool,
    /// Show the last N lines; -1 shows all
    #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
    lines: i64,
    /// Show lines younger than this
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<Duration>,
    /// Show lines written after this time (RFC 3339)
    #[arg(long, value_name = "TIME", conflicts_with = "since")]
    since_time: Option<Timestamp>,
    /// How to show a line
    #[arg(short, long, value_enum, default_value = "plain")]
    output: Format,
    /// How to show times: a layout of Go, or the name of one
    #[arg(
        long,
        value_name = "LAYOUT",
        default_value = "2006-01-02T15:04:05Z07:00",
        hide_default_value = true
    )]
    time_format: String,
    /// Show the function's name on each line
    #[arg(long = "name", id = "show_name")]
    show_name: bool,
    /// Show the replica's name on each line
    #[arg(long = "instance", id = "show_instance")]
    show_instance: bool,
    /// Short for --output=json
    #[arg(short, long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Plain,
    #[value(alias = "kv")]
    Keyvalue,
    Json,
}

/// Prints the stream.
pub(crate) fn run(args: &LogsArgs, context: &Context) -> anyhow::Result<()> {
    let stack = args.gateway.load_stack(context)?;
    // Unlike elsewhere, a flag that names the default still names it.
    let url = match &args.gateway.gateway {
        Some(url) => gateway::normalise(url),
        None => args.gateway.url(stack.as_ref(), context),
    };
    let client = args.gateway.client_for(url, Preference::Saved, client::TIMEOUT, context)?;
    let mut answer = client.send(Request::get(path(args)).unlimited())?;
    match answer.status.as_u16() {
        200 => {}
        404 => return Err(failure(format!("no such function: {}", args.name)).into()),
        _ => return Err(answer.unexpected().into()),
    }
    let strftime = time_format::to_strftime(&args.time_format);
    let mut lines = BufReader::new(answer.reader());
    let mut line = String::new();
    while lines.read_line(&mut line).context("the log stream broke off")? > 0 {
        if !line.trim().is_empty() {
            let message: LogMessage = client.parse(&line)?;
            output::print(&render(&message, args, &strftime)?)?;
        }
        line.clear();
    }
    Ok(())
}

fn path(args: &LogsArgs) -> String {
    let since = args.since_time.or_else(|| Timestamp::now().checked_sub(args.since?).ok());
    let since = since.map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default();
    let query = text::query(&[
        ("name", &args.name),
        ("namespace", &args.namespace.namespace),
        ("follow", if args.tail { "true" } else { "false" }),
        ("since", &since),
        ("tail", &args.lines.to_string()),
    ]);
    format!("/system/logs{query}")
}

fn render(message: &LogMessage, args: &LogsArgs, strftime: &str) -> anyhow::Result<String> {
    let format = if args.json { Format::Json } else { args.output };
    let line = match format {
        Format::Json => serde_json::to_string(message)?,
        Format::Plain => render_plain(message, args, strftime),
        Format::Keyvalue => render_keyvalue(message, args, strftime),
    };
    Ok(line + "\n")
}

fn render_plain(message: &LogMessage, args: &LogsArgs, strftime: &str) -> String {
    let mut line = String::new();
    if !strftime.is_empty() {
        let _ = write!(line, "{} ", message.timestamp.strftime(strftime));
    }
    if args.show_name {
        let _ = write!(line, "{} ", message.name);
    }
    if args.show_instance {
        let _ = write!(line, "({}) ", message.instance);
    }
    line + message.text.trim_end_matches('\n')
}

fn render_keyvalue(message: &LogMessage, args: &LogsArgs, strftime: &str) -> String {
    let mut line = String::new();
    if !strftime.is_empty() {
        let _ = write!(line, "timestamp=\"{}\" ", message.timestamp.strftime(strftime));
    }
    if args.show_name {
        let _ = write!(line, "name=\"{}\" ", message.name);
    }
    if args.show_instance {
        let _ = write!(line, "instance=\"{}\" ", message.instance);
    }
    line + &format!("text=\"{}\" ", message.text.trim_end_matches('\n'))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: LogsArgs,
    }

    fn args(line: &[&str]) -> LogsArgs {
        Line::parse_from(["logs", "f"].iter().chain(line)).args
    }

    fn rendered(line: &[&str]) -> String {
        let args = args(line);
        let message = LogMessage {
            name: "f".into(),
            namespace: "n".into(),
            instance: "f-1".into(),
            timestamp: "2026-01-02T03:04:05.5Z".parse().unwrap(),
            text: "hello\n".into(),
        };
        render(&message, &args, &time_format::to_strftime(&args.time_format)).unwrap()
    }

    #[test]
    fn lines_are_shown_as_asked() {
        for (line, expect) in [
            (vec![], "2026-01-02T03:04:05Z hello\n"),
            (vec!["--name", "--instance"], "2026-01-02T03:04:05Z f (f-1) hello\n"),
            (vec!["--time-format="], "hello\n"),
            (vec!["--time-format=15:04"], "03:04 hello\n"),
            (
                vec!["-o", "keyvalue", "--name"],
                "timestamp=\"2026-01-02T03:04:05Z\" name=\"f\" text=\"hello\" \n",
            ),
        ] {
            assert_eq!(rendered(&line), expect, "{line:?}");
        }
        assert!(rendered(&["-j"]).starts_with(r#"{"name":"f","namespace":"n""#));
    }

    #[test]
    fn the_query_is_that_of_the_peers() {
        assert_eq!(path(&args(&[])), "/system/logs?name=f&follow=true&tail=-1");
        assert_eq!(
            path(&args(&["--tail=false", "--lines", "5", "-n", "dev"])),
            "/system/logs?name=f&namespace=dev&follow=false&tail=5"
        );
        assert_eq!(
            path(&args(&["-t=false", "--since-time", "2026-01-02T03:04:05+01:00"])),
            "/system/logs?name=f&follow=false&since=2026-01-02T02%3A04%3A05Z&tail=-1"
        );
        assert!(path(&args(&["--since", "5m"])).contains("&since=20"));
    }
}
