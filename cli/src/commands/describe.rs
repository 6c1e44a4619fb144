//! `faas describe`.

use std::collections::BTreeMap;

use clap::Args;
use faas_api::{Condition, FunctionStatus, Resources};
use serde_json::{Value, json};

use crate::cli::Context;
use crate::client::{Client, Request};
use crate::commands::{GatewayArgs, NamespaceArgs, suffix};
use crate::failure::failure;
use crate::{output, table, text};

/// Flags of `describe`.
#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// Function to describe
    name: String,
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// Show what is empty too
    #[arg(short, long)]
    verbose: bool,
    /// Print JSON
    #[arg(short, long)]
    json: bool,
}

/// A function, and what the gateway's answer does not say of it.
struct Described {
    status: FunctionStatus,
    invocations: f64,
    url: String,
    async_url: String,
}

/// Prints a function.
pub(crate) fn run(args: &DescribeArgs, context: &Context) -> anyhow::Result<()> {
    let client = args.gateway.client(context)?;
    let answer = fetch(&client, args)?;
    let status: FunctionStatus = client.parse(&answer)?;
    let url =
        |kind: &str| format!("{}/{kind}/{}{}", client.gateway, args.name, suffix(&args.namespace.namespace));
    let described = Described {
        invocations: fetch_invocations(&client, args)?,
        status,
        url: url("function"),
        async_url: url("async-function"),
    };
    if args.json {
        let json = to_json(client.parse(&answer)?, &described);
        return output::line(serde_json::to_string_pretty(&json)?);
    }
    output::print(&table::align(&rows(&described, args.verbose)))
}

fn fetch(client: &Client, args: &DescribeArgs) -> anyhow::Result<String> {
    let query = text::query(&[("namespace", &args.namespace.namespace), ("usage", "1")]);
    let path = format!("/system/function/{}{query}", text::escape(&args.name));
    let mut answer = client.send(Request::get(path))?;
    match answer.status.as_u16() {
        200 => Ok(answer.text()),
        404 => Err(failure(format!("no such function: {}", args.name)).into()),
        _ => Err(answer.unexpected().into()),
    }
}

/// Only the list counts invocations. A name may bring its namespace.
fn fetch_invocations(client: &Client, args: &DescribeArgs) -> anyhow::Result<f64> {
    let (name, own) = args.name.split_once('.').unwrap_or((&args.name, ""));
    let namespace = Some(args.namespace.namespace.as_str()).filter(|namespace| !namespace.is_empty());
    let query = text::query(&[("namespace", namespace.unwrap_or(own))]);
    let all: Vec<FunctionStatus> = client.get_json(format!("/system/functions{query}"))?;
    let found = all.into_iter().find(|function| function.name == name);
    Ok(found.map(|function| function.invocation_count).unwrap_or_default())
}

fn ready_word(status: &FunctionStatus) -> &'static str {
    if status.available_replicas > 0 { "Ready" } else { "Not Ready" }
}

fn to_json(mut status: Value, described: &Described) -> Value {
    if let Some(fields) = status.as_object_mut() {
        fields.insert("Status".to_owned(), json!(ready_word(&described.status)));
        fields.insert("InvocationCount".to_owned(), json!(described.invocations));
        fields.insert("URL".to_owned(), json!(described.url));
        fields.insert("AsyncURL".to_owned(), json!(described.async_url));
    }
    status
}

fn rows(described: &Described, verbose: bool) -> Vec<Vec<String>> {
    let status = &described.status;
    let or_default = |text: &str| if text.is_empty() { "<default>".to_owned() } else { text.to_owned() };
    let mut block = Block { rows: Vec::new(), verbose };
    block.one("Name:", &status.name);
    block.one("Status:", ready_word(status));
    for reason in reasons(status) {
        block.one("Reason:", &reason);
    }
    block.one("Replicas:", &status.replicas.to_string());
    block.one("Available Replicas:", &status.available_replicas.to_string());
    block.one("Invocations:", &format!("{:.0}", described.invocations));
    block.one("Image:", &status.image);
    block.some("Package:", status.package.as_ref().map(ToString::to_string));
    block.some("Runtime:", Some(status.runtime.clone()).filter(|runtime| !runtime.is_empty()));
    block.one("Function Process:", &or_default(&status.env_process));
    block.some("Timeout:", Some(status.timeout.clone()).filter(|timeout| !timeout.is_empty()));
    block.one("URL:", &described.url);
    block.one("Async URL:", &described.async_url);
    block.map("Labels:", &status.labels);
    block.map("Annotations:", &status.annotations);
    block.many("Constraints:", status.constraints.clone());
    block.map("Environment:", &status.env_vars);
    block.many("Secrets:", status.secrets.clone());
    block.resources("Requests:", status.requests.as_ref());
    block.resources("Limits:", status.limits.as_ref());
    block.many("Usage:", usage(status));
    block.rows
}

/// Why it is not ready: every condition that does not hold as it should, its reason and message.
fn reasons(status: &FunctionStatus) -> Vec<String> {
    let is_bad = |condition: &&Condition| match condition.kind.as_str() {
        "Stalled" => condition.status == "True",
        // An update that is on its way is no trouble; one that does not start is.
        "Reconciling" => condition.status == "True" && condition.reason != "Rollout",
        _ => condition.status != "True",
    };
    let bad = status.conditions.iter().filter(is_bad);
    let mut reasons: Vec<String> = Vec::new();
    for condition in bad {
        let text = [condition.reason.as_str(), condition.message.as_str()];
        let text = text.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
        // Conditions repeat each other, some with less.
        if !text.is_empty() && !reasons.iter().any(|kept| kept.starts_with(&text)) {
            reasons.retain(|kept| !text.starts_with(kept.as_str()));
            reasons.push(text);
        }
    }
    reasons
}

fn usage(status: &FunctionStatus) -> Vec<String> {
    let Some(usage) = &status.usage else { return Vec::new() };
    let megabytes = usage.total_memory_bytes / 1024.0 / 1024.0;
    vec![format!("RAM: {megabytes:.2} MB"), format!("CPU: {:.0} Mi", usage.cpu)]
}

/// Rows of a heading and what belongs to it.
struct Block {
    rows: Vec<Vec<String>>,
    verbose: bool,
}

impl Block {
    /// The lines of a text stand under each other.
    fn one(&mut self, heading: &str, text: &str) {
        let mut lines = text.lines();
        self.rows.push(vec![heading.to_owned(), lines.next().unwrap_or_default().to_owned()]);
        self.rows.extend(lines.map(|line| vec![String::new(), line.to_owned()]));
    }

    fn some(&mut self, heading: &str, text: Option<String>) {
        if let Some(text) = text {
            self.one(heading, &text);
        }
    }

    fn many(&mut self, heading: &str, items: Vec<String>) {
        if items.is_empty() && self.verbose {
            self.one(heading, "<none>");
        }
        for (index, item) in items.into_iter().enumerate() {
            let heading = if index == 0 { heading } else { "" };
            self.rows.push(vec![heading.to_owned(), item]);
        }
    }

    fn map(&mut self, heading: &str, map: &BTreeMap<String, String>) {
        self.many(heading, map.iter().map(|(key, value)| format!("{key}: {value}")).collect());
    }

    fn resources(&mut self, heading: &str, resources: Option<&Resources>) {
        let Some(resources) = resources else { return self.many(heading, Vec::new()) };
        let pairs = [("CPU", resources.cpu.as_str()), ("Memory", &resources.memory)];
        let set = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        self.many(
            heading,
            set.chain(resources.gpus()).map(|(name, value)| format!("{name}: {value}")).collect(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described() -> Described {
        let status = serde_json::from_value(json!({
            "name": "hello", "image": "hello:latest", "replicas": 1, "createdAt": "2026-01-01T00:00:00Z",
            "labels": {"faas_function": "hello", "team": "a"}, "secrets": ["s1", "s2"],
            "limits": {"memory": "128Mi"}, "usage": {"cpu": 5.0, "totalMemoryBytes": 1_048_576.0},
            "conditions": [
                {"type": "Ready", "status": "False", "reason": "HandlerFailed",
                 "message": "exit status 1\nImportError: x", "lastTransitionTime": "2026-01-01T00:00:00Z"},
                {"type": "Available", "status": "False", "reason": "HandlerFailed", "message": "exit status 1",
                 "lastTransitionTime": "2026-01-01T00:00:00Z"},
                {"type": "Healthy", "status": "True", "reason": "Fine", "message": "",
                 "lastTransitionTime": "2026-01-01T00:00:00Z"},
            ],
        }));
        Described {
            status: status.unwrap(),
            invocations: 3.0,
            url: "http://gw/function/hello".into(),
            async_url: "http://gw/async-function/hello".into(),
        }
    }

    #[test]
    fn a_function_that_is_not_ready_says_why() {
        insta::assert_snapshot!(table::align(&rows(&described(), false)));
    }

    #[test]
    fn verbose_shows_what_is_empty() {
        let text = table::align(&rows(&described(), true));
        for heading in ["Annotations:", "Constraints:", "Environment:", "Requests:"] {
            let line = text.lines().find(|line| line.starts_with(heading)).unwrap();
            assert!(line.ends_with("<none>"), "{line}");
        }
    }

    #[test]
    fn json_keeps_the_answer_and_adds_to_it() {
        let json = to_json(json!({"name": "hello", "newField": 1}), &described());
        assert_eq!((&json["newField"], &json["Status"]), (&json!(1), &json!("Not Ready")));
        assert_eq!(
            (&json["InvocationCount"], &json["URL"]),
            (&json!(3.0), &json!("http://gw/function/hello"))
        );
    }
}
