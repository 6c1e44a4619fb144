//! The request that a job is: through the gateway, to the function by its whole name.

use std::io;

use futures_util::StreamExt;
use http::header::{CONTENT_LENGTH, HOST, USER_AGENT};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;

use super::Settings;
use super::client::{Client, Upload, chain};
use crate::policy::End;
use crate::{Body, CallbackUrl, InvalidCallback, Job, annotation};

/// How the worker names itself, unless the caller of the function did.
pub(super) const AGENT: &str = concat!("queue-worker/", env!("CARGO_PKG_VERSION"));
/// Fields of one connection, and those that the client sets.
const NOT_END_TO_END: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Invokes functions.
pub(super) struct Invoker {
    client: Client,
    scheme: Scheme,
    authority: Authority,
    /// In front of `/function/`; mostly empty.
    prefix: String,
}

impl Invoker {
    pub(super) fn new(client: Client, settings: &Settings) -> Result<Self, InvalidCallback> {
        let url = CallbackUrl::parse(&settings.gateway_url)?;
        let parts = url.uri().clone().into_parts();
        let prefix = url.uri().path().trim_end_matches('/').to_owned();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(InvalidCallback::Url);
        };
        Ok(Self { client, scheme, authority, prefix })
    }

    /// Where it asks.
    pub(super) fn gateway(&self) -> &Authority {
        &self.authority
    }

    /// Asks the function. What comes back instead of an answer is how the invocation ended.
    pub(super) async fn invoke(&self, job: &Job, body: Body) -> Result<Response<Incoming>, End> {
        let request = self.request(job, body).map_err(|error| End::Broken(chain(&error)))?;
        self.client.request(request).await.map_err(|error| {
            let text = chain(&error);
            if error.is_connect() { End::Unreached(text) } else { End::Broken(text) }
        })
    }

    fn request(&self, job: &Job, body: Body) -> Result<Request<Upload>, http::Error> {
        let mut request = Request::new(upload(body));
        *request.uri_mut() = self.uri(job)?;
        *request.method_mut() = method(job);
        let headers = request.headers_mut();
        copy(&job.headers, headers);
        // Known to the engine or not, it tells the function how much there is.
        if let Some((_, length)) = job.headers.iter().find(|(name, _)| *name == CONTENT_LENGTH.as_str()) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_str(length)?);
        }
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        if let Ok(host) = HeaderValue::from_str(&job.host)
            && !job.host.is_empty()
        {
            headers.entry(faas_api::headers::FORWARDED_HOST).or_insert(host);
        }
        headers.insert(faas_api::headers::CALL_ID, HeaderValue::from_str(job.id.as_str())?);
        headers.insert(faas_api::headers::QUEUE, HeaderValue::from_static("1"));
        Ok(request)
    }

    fn uri(&self, job: &Job) -> Result<Uri, http::Error> {
        let (prefix, function) = (&self.prefix, &job.function);
        let path = if job.path.is_empty() { "/" } else { &job.path };
        let mark = if job.query.is_empty() { "" } else { "?" };
        let whole: PathAndQuery = format!("{prefix}/function/{function}{path}{mark}{}", job.query).parse()?;
        let base = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        base.path_and_query(whole).build()
    }
}

/// POST, unless the function wants the caller's.
fn method(job: &Job) -> Method {
    let original = job.annotations.get(annotation::METHOD).is_some_and(|method| method == "original");
    let method = original.then(|| Method::from_bytes(job.method.as_bytes()).ok()).flatten();
    method.filter(|method| *method != Method::CONNECT).unwrap_or(Method::POST)
}

/// As a request's body.
pub(super) fn upload(body: Body) -> Upload {
    match body {
        Body::Whole(bytes) => Full::new(bytes).map_err(|never| match never {}).boxed_unsync(),
        Body::Stream(stream) => {
            UnsyncBoxBody::new(StreamBody::new(stream.map(|part: io::Result<_>| part.map(Frame::data))))
        }
    }
}

/// Those that go end to end, as UTF-8.
pub(super) fn copy(from: &[(String, String)], into: &mut HeaderMap) {
    for (name, value) in from {
        let name = HeaderName::from_bytes(name.as_bytes()).ok().filter(is_end_to_end);
        if let (Some(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            into.append(name, value);
        }
    }
}

/// The other way.
pub(super) fn read(from: &HeaderMap) -> Vec<(String, String)> {
    let end_to_end =
        from.iter().filter(|(name, _)| is_end_to_end(name) && name.as_str() != faas_api::headers::CAPACITY);
    let text = |value: &HeaderValue| match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().iter().copied().map(char::from).collect(),
    };
    end_to_end.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

fn is_end_to_end(name: &HeaderName) -> bool {
    *name != HOST && !NOT_END_TO_END.contains(&name.as_str())
}
