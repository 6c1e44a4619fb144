//! The gateway's API over HTTP.
//!
//! Requests carry a credential where there is one; redirects are followed. API calls end after a minute, uploads, logs
//! and invocations when the server ends them. Errors: a gateway that cannot be reached, 401 and unexpected statuses,
//! each in the contract's words.

use std::cell::Cell;
use std::io::Read;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::{self, HeaderMap, Method, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, AsSendBody, Body, Proxy, SendBody};

use crate::auth::Credential;
use crate::env::Env;
use crate::failure::{Failure, failure};
use crate::output;

/// How long an API call may take, as with the peers.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(1);
/// The most of a body that is read where a whole one is wanted.
const LARGEST_ANSWER: u64 = 64 << 20;

/// What a client is made from.
pub(crate) struct Settings<'a> {
    /// Normal form, see `gateway::normalise`.
    pub(crate) gateway: String,
    /// Sent with each request.
    pub(crate) credential: Option<Credential>,
    /// Accept any certificate.
    pub(crate) tls_no_verify: bool,
    /// How long an API call may take.
    pub(crate) timeout: Duration,
    /// The process's environment.
    pub(crate) env: &'a Env,
}

/// A connection to one gateway.
pub(crate) struct Client {
    agent: Agent,
    /// The gateway's URL.
    pub(crate) gateway: String,
    credential: Option<Credential>,
    timeout: Duration,
    debug: bool,
    unauthorized: Cell<Unauthorized>,
    program: String,
}

/// What a 401 is called: the peers' commands differ.
#[derive(Clone, Copy)]
pub(crate) enum Unauthorized {
    /// Most commands.
    Access,
    /// Namespace commands.
    Action,
}

/// A request in the making.
pub(crate) struct Request<'a> {
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<(Box<dyn Read + 'a>, Option<u64>)>,
    user_agent: Option<String>,
    debug_body: String,
    with_credential: bool,
    unlimited: bool,
}

impl<'a> Request<'a> {
    /// `path` begins with a slash and carries its query.
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: Vec::new(),
            body: None,
            user_agent: None,
            debug_body: String::new(),
            with_credential: true,
            unlimited: false,
        }
    }

    /// A GET.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sends `value` as JSON.
    pub(crate) fn json(mut self, value: &impl Serialize) -> anyhow::Result<Self> {
        let bytes = serde_json::to_vec(value)?;
        self.debug_body = String::from_utf8_lossy(&bytes).into_owned();
        Ok(self.header("Content-Type", "application/json").bytes(bytes))
    }

    /// Sends these bytes.
    pub(crate) fn bytes(self, bytes: Vec<u8>) -> Self {
        let length = bytes.len() as u64;
        self.stream(std::io::Cursor::new(bytes), Some(length))
    }

    /// Sends what `reader` yields, in chunks where the length is not known before.
    pub(crate) fn stream(mut self, reader: impl Read + 'a, length: Option<u64>) -> Self {
        self.body = Some((Box::new(reader), length));
        self
    }

    /// Ends when the server ends it.
    pub(crate) fn unlimited(mut self) -> Self {
        self.unlimited = true;
        self
    }

    /// Sends no credential: functions are not the gateway.
    pub(crate) fn without_credential(mut self) -> Self {
        self.with_credential = false;
        self
    }

    /// Names the program in another way than usual.
    pub(crate) fn user_agent(mut self, name: String) -> Self {
        self.user_agent = Some(name);
        self
    }
}

/// What came back.
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    body: Body,
}

impl Answer {
    /// A header's value, if it is there and text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The whole body as text. What cannot be read is cut off: a status says more than a broken body.
    pub(crate) fn text(&mut self) -> String {
        let bytes = self.body.with_config().limit(LARGEST_ANSWER).read_to_vec().unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The body as it arrives.
    pub(crate) fn reader(self) -> impl Read {
        self.body.into_reader()
    }

    /// `202 Accepted`.
    pub(crate) fn status_line(&self) -> String {
        let reason = self.status.canonical_reason().unwrap_or_default();
        format!("{} {reason}", self.status.as_u16()).trim_end().to_owned()
    }

    /// `server returned unexpected status code: 500 - why`.
    pub(crate) fn unexpected(&mut self) -> Failure {
        let text = self.text();
        failure(format!(
            "server returned unexpected status code: {} - {}",
            self.status.as_u16(),
            text.trim_end()
        ))
    }
}

impl Client {
    /// Opens nothing yet.
    pub(crate) fn new(settings: Settings<'_>) -> Self {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .disable_verification(settings.tls_no_verify)
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(tls)
            .proxy(proxy_for(&settings.gateway, settings.env))
            .user_agent(format!("faas-cli/{}", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .allow_non_standard_methods(true)
            .build();
        Self {
            agent: config.into(),
            gateway: settings.gateway,
            credential: settings.credential,
            timeout: settings.timeout,
            debug: settings.env.debug(),
            unauthorized: Cell::new(Unauthorized::Access),
            program: settings.env.program.clone(),
        }
    }

    /// Chooses what a 401 is called.
    pub(crate) fn call_unauthorized(&self, words: Unauthorized) {
        self.unauthorized.set(words);
    }

    /// Sends a request; any status is an answer, 401 too.
    pub(crate) fn send_any(&self, request: Request<'_>) -> anyhow::Result<Answer> {
        if self.debug {
            self.print_request(&request);
        }
        // Zero is no limit, as with the peers.
        let timeout = Some(self.timeout).filter(|timeout| !request.unlimited && !timeout.is_zero());
        let (body, builder) = self.build(request);
        let response = match body {
            Some(mut reader) => self.run(builder.body(SendBody::from_reader(reader.as_mut())), timeout),
            None => self.run(builder.body(()), timeout),
        };
        let (parts, body) = response?.into_parts();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    fn run<S: AsSendBody>(
        &self,
        request: http::Result<http::Request<S>>,
        timeout: Option<Duration>,
    ) -> anyhow::Result<http::Response<Body>> {
        let request = request.context("failed to build the request")?;
        let configured = self.agent.configure_request(request).timeout_global(timeout).build();
        self.agent.run(configured).map_err(|error| self.transport_error(error))
    }

    /// Sends a request; 401 is an error.
    pub(crate) fn send(&self, request: Request<'_>) -> anyhow::Result<Answer> {
        let answer = self.send_any(request)?;
        if answer.status == StatusCode::UNAUTHORIZED {
            return Err(self.unauthorized().into());
        }
        Ok(answer)
    }

    /// Sends a request; any status but one of `expected` is an error.
    pub(crate) fn send_expecting(&self, request: Request<'_>, expected: &[u16]) -> anyhow::Result<Answer> {
        let mut answer = self.send(request)?;
        if expected.contains(&answer.status.as_u16()) { Ok(answer) } else { Err(answer.unexpected().into()) }
    }

    /// GETs a JSON value.
    pub(crate) fn get_json<T: DeserializeOwned>(&self, path: impl Into<String>) -> anyhow::Result<T> {
        let mut answer = self.send_expecting(Request::get(path), &[200])?;
        self.parse(&answer.text())
    }

    /// Reads a JSON body.
    pub(crate) fn parse<T: DeserializeOwned>(&self, text: &str) -> anyhow::Result<T> {
        serde_json::from_str(text).map_err(|error| {
            failure(format!("cannot parse result from OpenFaaS on URL: {}\n{error}", self.gateway)).into()
        })
    }

    fn build<'a>(&self, request: Request<'a>) -> (Option<Box<dyn Read + 'a>>, http::request::Builder) {
        let mut builder =
            http::Request::builder().method(request.method).uri(format!("{}{}", self.gateway, request.path));
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        if let Some(name) = request.user_agent {
            builder = builder.header(header::USER_AGENT, name);
        }
        if let Some(credential) = self.credential.as_ref().filter(|_| request.with_credential) {
            builder = builder.header(header::AUTHORIZATION, credential.to_header());
        }
        let (body, length) = request.body.unzip();
        if let Some(length) = length.flatten() {
            builder = builder.header(header::CONTENT_LENGTH, length);
        }
        (body, builder)
    }

    fn print_request(&self, request: &Request<'_>) {
        output::talk(format!("{} {}{}", request.method, self.gateway, request.path));
        for (name, value) in &request.headers {
            output::talk(format!("{name}: [{value}]"));
        }
        if request.with_credential && self.credential.is_some() {
            output::talk("Authorization: [REDACTED]");
        }
        if !request.debug_body.is_empty() && !request.path.starts_with("/system/secrets") {
            output::talk(&request.debug_body);
        }
    }

    /// The contract's words for a 401.
    pub(crate) fn unauthorized(&self) -> Failure {
        let failure = match self.unauthorized.get() {
            Unauthorized::Action => {
                failure("unauthorized action, please setup authentication for this server")
                    .hint(format!("run \"{} login\"", self.program))
            }
            Unauthorized::Access => failure(format!(
                "unauthorized access, run \"{} login\" to setup authentication for this server",
                self.program
            )),
        };
        failure.of_gateway().for_good()
    }

    fn transport_error(&self, error: ureq::Error) -> anyhow::Error {
        let gateway = &self.gateway;
        match error {
            ureq::Error::Timeout(_) => failure(format!(
                "cannot connect to OpenFaaS on URL: {gateway}. no answer within {}",
                faas_api::format_duration(self.timeout)
            ))
            .of_gateway()
            .into(),
            ureq::Error::Io(cause) if cause.kind() == std::io::ErrorKind::ConnectionRefused => {
                failure(format!("cannot connect to OpenFaaS on URL: {gateway}"))
                    .hint("Is OpenFaaS deployed? Do you need to specify the --gateway flag?")
                    .of_gateway()
                    .into()
            }
            ureq::Error::HostNotFound => failure(format!("cannot connect to OpenFaaS on URL: {gateway}"))
                .hint("its host name is not known: check the --gateway flag")
                .of_gateway()
                .into(),
            other => {
                anyhow::Error::new(other).context(format!("cannot connect to OpenFaaS on URL: {gateway}"))
            }
        }
    }
}

/// Whether any other request to the gateway would fail like this one: it cannot be reached, or knows us not.
pub(crate) fn is_gateways(error: &anyhow::Error) -> bool {
    let is_ours = |cause: &(dyn std::error::Error + 'static)| {
        cause.is::<ureq::Error>() || cause.downcast_ref::<Failure>().is_some_and(Failure::is_gateways)
    };
    error.chain().any(is_ours)
}

/// The proxy for a gateway: none for this machine, as with the peers.
fn proxy_for(gateway: &str, env: &Env) -> Option<Proxy> {
    let uri: http::Uri = gateway.parse().ok()?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let is_local =
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if is_local || is_excluded(&host, env.no_proxy()) {
        return None;
    }
    Proxy::new(env.proxy(uri.scheme_str()?)?).ok()
}

fn is_excluded(host: &str, no_proxy: &str) -> bool {
    no_proxy.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let suffix = entry.trim_start_matches('*').trim_start_matches('.');
        entry == "*" || host == suffix || host.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_and_excluded_hosts_are_reached_directly() {
        let env = Env::of(&[("http_proxy", "http://proxy:3128"), ("NO_PROXY", "corp.example, 10.0.0.1")]);
        for direct in [
            "http://127.0.0.1:8080",
            "http://localhost",
            "http://[::1]:1",
            "http://gw.corp.example",
            "https://gw",
        ] {
            assert!(proxy_for(direct, &env).is_none(), "{direct}");
        }
        assert!(proxy_for("http://gw.example", &env).is_some());
        assert!(proxy_for("http://notcorp.example", &env).is_some());
    }
}
