//! `faas invoke`: standard input goes to the function and its answer to standard output, both as they come.
//!
//! The gateway's credential stays here: a function is not the gateway. There is no time limit of our own, unlike the
//! peers' minute: the function's timeout holds, and the gateway enforces it.

mod wait;

use std::io::Read;

use anyhow::Context as _;
use clap::Args;
use faas_api::DEFAULT_NAMESPACE;
use ureq::http::Method;

use crate::cli::Context;
use crate::client::{Answer, Request};
use crate::commands::{GatewayArgs, NamespaceArgs};
use crate::failure::{Failure, failure};
use crate::{hmac, output, text};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Those that can be queued; but for POST, if the function is annotated so.
const WITH_BODY: [&str; 3] = ["POST", "PUT", "PATCH"];

/// Flags of `invoke`.
#[derive(Debug, Args)]
pub(crate) struct InvokeArgs {
    /// Function to invoke
    name: String,
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// Type of the body
    #[arg(long, default_value = "text/plain")]
    content_type: String,
    /// Add to the query (KEY=VALUE, may be repeated)
    #[arg(long, value_name = "KEY=VALUE")]
    query: Vec<String>,
    /// Add a header ("KEY: VALUE", may be repeated)
    #[arg(short = 'H', long, value_name = "KEY: VALUE")]
    header: Vec<String>,
    /// HTTP method
    #[arg(short, long, default_value = "POST")]
    method: String,
    /// Queue the invocation, do not wait for it
    #[arg(short, long)]
    r#async: bool,
    /// With --async: wait for its result and print that
    #[arg(long, requires = "async")]
    wait: bool,
    /// Header that carries a signature of the body
    #[arg(long, value_name = "HEADER")]
    sign: Option<String>,
    /// Key to sign the body with
    #[arg(long, value_name = "SECRET", allow_hyphen_values = true)]
    key: Option<String>,
    /// Not there yet
    #[arg(long, hide = true)]
    auth: bool,
}

/// Invokes.
pub(crate) fn run(args: &InvokeArgs, context: &Context) -> anyhow::Result<()> {
    let request = build_request(args)?;
    let client = args.gateway.client(context)?;
    if output::stdin_is_terminal() {
        output::talk("Reading from STDIN - hit (Control + D) to stop.");
    }
    let request = add_body(request, args)?;
    let mut answer = client.send_any(request)?;
    if args.r#async && answer.status.as_u16() == 202 {
        return if args.wait { wait::wait(&client, &answer, context) } else { wait::submitted(&answer) };
    }
    if args.r#async && answer.status.as_u16() == 404 {
        return Err(no_queue(&mut answer).into());
    }
    if args.r#async && answer.status.as_u16() == 405 {
        let hint = "asynchronously the function takes POST alone: deploy it with --annotation com.openfaas.async.method=original";
        return Err(answer.unexpected().hint(hint).into());
    }
    if !answer.status.is_success() {
        return Err(answer.unexpected().into());
    }
    output::copy(&mut answer.reader())
}

/// A function that is not there is told in the body; an empty one means that there is no such route.
fn no_queue(answer: &mut Answer) -> Failure {
    let text = answer.text();
    let message = format!("server returned unexpected status code: 404 - {}", text.trim_end());
    match text.trim() {
        "" => failure(message).hint("this gateway has no queue: invoke without --async"),
        _ => failure(message),
    }
}

fn build_request(args: &InvokeArgs) -> anyhow::Result<Request<'static>> {
    if args.auth {
        return Err(failure("--auth is not there yet")
            .hint("-H \"Authorization: …\" sends a credential")
            .into());
    }
    if args.sign.is_some() != args.key.is_some() {
        return Err(failure("signing requires both --sign <header-value> and --key <key-value>").into());
    }
    let method = args.method.to_ascii_uppercase();
    if !METHODS.contains(&method.as_str()) {
        let message = format!("invalid --method {:?}: expected one of {}", args.method, METHODS.join(", "));
        return Err(failure(message).into());
    }
    if args.r#async && !WITH_BODY.contains(&method.as_str()) {
        let message = format!("--async: expected one of {}, got --method {method}", WITH_BODY.join(", "));
        return Err(failure(message).hint("without --async the function sees any method").into());
    }
    let method = Method::from_bytes(method.as_bytes())?;
    let mut request = Request::new(method, path(args)?).unlimited().without_credential();
    request = request.user_agent(format!(
        "faas-cli/{} (openfaas; {}; {})",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    ));
    let mut content_type = args.content_type.clone();
    for header in &args.header {
        let (name, value) = parse_header(header)?;
        if name.eq_ignore_ascii_case("content-type") {
            content_type = value;
        } else {
            request = request.header(name, value);
        }
    }
    Ok(request.header("Content-Type", content_type))
}

/// The namespace always stands in the path; a name may bring its own.
fn path(args: &InvokeArgs) -> anyhow::Result<String> {
    let namespace = Some(args.namespace.namespace.as_str()).filter(|name| !name.is_empty());
    let name = match (args.name.contains('.'), namespace) {
        (true, None) => args.name.clone(),
        (_, namespace) => format!("{}.{}", args.name, namespace.unwrap_or(DEFAULT_NAMESPACE)),
    };
    let pairs: Result<Vec<_>, _> = args.query.iter().map(|pair| text::parse_pair(pair, "query")).collect();
    let pairs: Vec<_> = pairs?
        .into_iter()
        .map(|(key, value)| format!("{}={}", text::escape(&key), text::escape(&value)))
        .collect();
    let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
    let route = if args.r#async { "async-function" } else { "function" };
    Ok(format!("/{route}/{}{query}", text::escape(&name)))
}

/// `K: V`, or the older `K=V`.
fn parse_header(header: &str) -> anyhow::Result<(String, String)> {
    let colon = header.find(':').unwrap_or(usize::MAX);
    let equals = header.find('=').unwrap_or(usize::MAX);
    let pair = if colon < equals { header.split_once(':') } else { header.split_once('=') };
    if equals < colon {
        output::talk(format!("WARNING! --header {header:?} is written \"KEY: VALUE\" now"));
    }
    match pair {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(failure(format!("header format is not correct, needs \"KEY: VALUE\": {header:?}")).into()),
    }
}

/// Only a signature needs the whole body before the first byte goes out.
fn add_body<'a>(request: Request<'a>, args: &InvokeArgs) -> anyhow::Result<Request<'a>> {
    if args.method.eq_ignore_ascii_case("HEAD") {
        return Ok(request);
    }
    let (Some(header), Some(key)) = (&args.sign, &args.key) else {
        return Ok(request.stream(std::io::stdin(), None));
    };
    let mut body = Vec::new();
    std::io::stdin().lock().read_to_end(&mut body).context("failed to read standard input")?;
    let signature = format!("sha256={}", hmac::sha256_hex(key.as_bytes(), &body));
    Ok(request.header(header, signature).bytes(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_in_both_spellings() {
        for (text, name, value) in [
            ("X-A: b=c", "X-A", "b=c"),
            ("X-A:b", "X-A", "b"),
            ("X-A=b:c", "X-A", "b:c"),
            ("X-A:", "X-A", ""),
        ] {
            assert_eq!(parse_header(text).unwrap(), (name.to_owned(), value.to_owned()), "{text}");
        }
        assert!(parse_header("X-A").is_err() && parse_header(": b").is_err());
    }
}
