//! Sends the answer where the caller wants it: a POST with the function's response headers, and what the platform has to
//! say of the job. The body is read from the queue, once for the signature and once for each try.
//!
//! Redirects are followed if they keep the method (301, 302, 307 and 308 are all taken for that: a GET would lose the
//! answer), [`MOST_REDIRECTS`] times, each one checked as the first. A 303 says that the answer was taken. User and
//! password of a URL become Basic credentials, as in Go's client, and stay at the host that they are for.

use std::error::Error as StdError;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use faas_api::{Namespace, headers};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, LOCATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use jiff::Timestamp;
use tokio_rustls::rustls::ClientConfig;

use super::client::{self, Client, chain};
use super::destination::{Destinations, Refused};
use super::invoke::{AGENT, copy, upload};
use super::signature::HEADER as SIGNATURE;
use super::{Secrets, Settings, answer};
use crate::policy::{Delivery, Policy};
use crate::{Answer, Body, CallbackUrl, Job, OwnGateway, Queue, Record, annotation};

/// Redirects of one try.
const MOST_REDIRECTS: usize = 3;

/// Calls back.
pub(super) struct Caller {
    queue: Arc<dyn Queue>,
    secrets: Arc<dyn Secrets>,
    own: OwnGateway,
    client: Client,
    default_namespace: Namespace,
    limit: std::time::Duration,
    /// Bytes of an answer that are sent.
    most: u64,
}

/// One try.
struct Call<'a> {
    job: &'a Job,
    answer: &'a Answer,
    headers: HeaderMap,
}

impl Caller {
    pub(super) fn new(
        queue: Arc<dyn Queue>,
        secrets: Arc<dyn Secrets>,
        own: OwnGateway,
        tls: Arc<ClientConfig>,
        settings: &Settings,
    ) -> Self {
        let (allowed, refused) = (settings.allowed.clone(), settings.refused.clone());
        let client = client::guarded(tls, Arc::new(Destinations { own: own.clone(), allowed, refused }));
        let default_namespace = settings.default_namespace.clone();
        let (limit, most) = (settings.longest_callback, settings.most_called_back);
        Self { queue, secrets, own, client, default_namespace, limit, most }
    }

    /// One try, redirects included.
    pub(super) async fn deliver(&self, job: &Job, record: &Record, policy: &Policy) -> Delivery {
        let (Some(callback), Some(answer)) = (&job.callback, &record.answer) else {
            return Delivery::Refused("there is nothing to call back".to_owned());
        };
        let trying = Box::pin(async {
            let url = CallbackUrl::parse(callback).map_err(|error| Delivery::Refused(error.to_string()))?;
            let mut call = Call { job, answer, headers: self.headers(job, answer, record, policy) };
            self.sign(&mut call).await?;
            self.follow(url, call).await
        });
        match tokio::time::timeout(self.limit, trying).await {
            Ok(Ok(delivery) | Err(delivery)) => delivery,
            Err(_) => Delivery::Failed("no answer in time".to_owned()),
        }
    }

    async fn follow(&self, mut url: CallbackUrl, mut call: Call<'_>) -> Result<Delivery, Delivery> {
        let first = url.clone();
        for _ in 0..=MOST_REDIRECTS {
            self.own.check(&url).map_err(|error| Delivery::Refused(error.to_string()))?;
            authorize(&mut call, &first, &url);
            let response = self.send(&url, &call).await?;
            let Some(location) = redirect(&response) else { return Ok(answered(response).await) };
            url = url.join(location).map_err(|error| Delivery::Refused(format!("redirected: {error}")))?;
            tracing::debug!(function = %call.job.function, call_id = %call.job.id, callback = %url, "redirected");
        }
        Err(Delivery::Refused(format!("redirected more than {MOST_REDIRECTS} times")))
    }

    async fn send(&self, url: &CallbackUrl, call: &Call<'_>) -> Result<Response<Incoming>, Delivery> {
        let body = self.body(call).await?.unwrap_or_else(|| Body::Whole(Bytes::new()));
        let mut request = Request::new(upload(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.uri().clone();
        *request.headers_mut() = call.headers.clone();
        self.client.request(request).await.map_err(|error| {
            let text = chain(&error);
            if is_refused(&error) { Delivery::Refused(text) } else { Delivery::Failed(text) }
        })
    }

    /// The answer's, or `None` if it has none.
    async fn body(&self, call: &Call<'_>) -> Result<Option<Body>, Delivery> {
        if !call.answer.kept || call.answer.size == 0 {
            return Ok(None);
        }
        match self.queue.result(&call.job.id).await {
            Ok(Some(body)) => Ok(Some(body)),
            Ok(None) => Err(Delivery::Refused("the answer is not kept any more".to_owned())),
            Err(error) => Err(Delivery::Failed(chain(&error))),
        }
    }

    /// Nothing goes out unsigned that is to be signed.
    async fn sign(&self, call: &mut Call<'_>) -> Result<(), Delivery> {
        let Some(name) = call.job.annotations.get(annotation::CALLBACK_SECRET) else { return Ok(()) };
        let function = &call.job.function;
        let key = match self.secrets.callback_key(function, name).await {
            Ok(Some(key)) if !key.is_empty() => key,
            Ok(_) => {
                return Err(Delivery::Failed(format!(
                    "no secret {name:?} to sign with: it is not among those of {function}, not in its namespace, or empty"
                )));
            }
            Err(error) => {
                let why = chain(error.as_ref());
                return Err(Delivery::Failed(format!("failed to read secret {name:?} of {function}: {why}")));
            }
        };
        let signed = key.sign(Timestamp::now(), self.body(call).await?).await;
        let value = signed.map_err(|error| Delivery::Failed(chain(&error)))?;
        set(&mut call.headers, SIGNATURE, &value);
        Ok(())
    }

    fn headers(&self, job: &Job, answer: &Answer, record: &Record, policy: &Policy) -> HeaderMap {
        let mut headers = HeaderMap::new();
        copy(&answer.headers, &mut headers);
        let lost = answer.size > 0 && !answer.kept;
        let status = if lost { 502 } else { answer.status };
        let seconds = record.attempts.last().map_or(0.0, |attempt| attempt.seconds);
        let function = if job.function.namespace == self.default_namespace {
            job.function.name.to_string()
        } else {
            job.function.to_string()
        };
        for (name, value) in [
            (CONTENT_LENGTH.as_str(), if lost { 0 } else { answer.size }.to_string()),
            (USER_AGENT.as_str(), AGENT.to_owned()),
            (headers::CALL_ID, job.id.to_string()),
            (headers::DURATION_SECONDS, format!("{seconds:.6}")),
            ("x-function-status", status.to_string()),
            ("x-function-name", function),
            ("x-retry", record.attempts.len().to_string()),
            ("x-retry-max", policy.attempts.max(1).to_string()),
        ] {
            set(&mut headers, name, &value);
        }
        if lost {
            let too_long = answer.size > self.most;
            let why = if too_long { "is longer than what is called back" } else { "could not be kept" };
            set(&mut headers, headers::FAULT, &format!("queue; the answer {why}"));
        }
        headers
    }
}

/// Credentials go where the caller said, and nowhere else.
fn authorize(call: &mut Call<'_>, first: &CallbackUrl, url: &CallbackUrl) {
    let Some(user_info) = first.user_info() else { return };
    call.headers.remove(AUTHORIZATION);
    if url.has_origin_of(first) {
        let credentials = STANDARD.encode(percent_decode(user_info));
        if let Ok(mut value) = HeaderValue::from_str(&format!("Basic {credentials}")) {
            value.set_sensitive(true);
            call.headers.insert(AUTHORIZATION, value);
        }
    }
}

fn redirect(response: &Response<Incoming>) -> Option<&HeaderValue> {
    let followed = matches!(response.status().as_u16(), 301 | 302 | 307 | 308);
    response.headers().get(LOCATION).filter(|_| followed)
}

async fn answered(response: Response<Incoming>) -> Delivery {
    let status = response.status().as_u16();
    let retry_after = response.headers().get(RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()).map(str::to_owned);
    // Its head is all that counts.
    let _ = answer::discard(response.into_body()).await;
    Delivery::Answered { status, retry_after }
}

fn is_refused(error: &(dyn StdError + 'static)) -> bool {
    let mut source = Some(error);
    while let Some(error) = source {
        if error.is::<Refused>() {
            return true;
        }
        source = error.source();
    }
    false
}

fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

/// `%41` is `A`; what is no such escape stays.
fn percent_decode(text: &str) -> Vec<u8> {
    let (bytes, mut decoded, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).filter(|_| byte == b'%');
        let escaped = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let escaped =
            escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        decoded.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    decoded
}
