//! Every metric of a replica (contract 5.1) and the listener that shows them.
//!
//! | name | kind | labels |
//! |---|---|---|
//! | `http_requests_total` | counter | `code`, `method` (lower case) |
//! | `http_request_duration_seconds` | histogram, default buckets | the same |
//! | `http_requests_in_flight` | gauge | |
//! | `faas_handler_start_seconds` | histogram: from starting a handler process to its HELLO (`worker` mode) | |
//! | `faas_handler_restarts_total` | counter: handler processes that ended by themselves and were replaced | |
//! | `faas_handler_wait_seconds` | histogram: from a call's arrival to a process that takes it (`worker` mode) | |

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use prometheus::core::Collector;
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry, TextEncoder,
};
use tokio::net::TcpListener;

use crate::answer::{self, Answer};
use crate::log;

const LABELS: [&str; 2] = ["code", "method"];

/// The numbers; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics(Arc<Series>);

#[derive(Debug)]
struct Series {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    in_flight: IntGauge,
    starts: Histogram,
    restarts: IntCounter,
    waits: Histogram,
}

/// One request being measured. It counts when its answer is sent; one that never got an answer does not.
#[derive(Debug)]
pub(crate) struct Measured {
    metrics: Metrics,
    method: &'static str,
    start: Instant,
    pub(crate) code: Option<StatusCode>,
}

impl Metrics {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let requests = Opts::new("http_requests_total", "Total number of HTTP requests");
        let durations =
            HistogramOpts::new("http_request_duration_seconds", "Seconds spent serving HTTP requests.");
        let in_flight = IntGauge::new("http_requests_in_flight", "Number of HTTP requests being served.")?;
        let starts = HistogramOpts::new("faas_handler_start_seconds", "Seconds until a handler was loaded.");
        let restarts =
            IntCounter::new("faas_handler_restarts_total", "Handler processes that were replaced.")?;
        let waits =
            HistogramOpts::new("faas_handler_wait_seconds", "Seconds that calls waited for a process.")
                .buckets(vec![0.0001, 0.001, 0.01, 0.1, 1.0, 10.0]);
        Ok(Self(Arc::new(Series {
            requests: register(&registry, IntCounterVec::new(requests, &LABELS)?)?,
            durations: register(&registry, HistogramVec::new(durations, &LABELS)?)?,
            in_flight: register(&registry, in_flight)?,
            starts: register(&registry, Histogram::with_opts(starts)?)?,
            restarts: register(&registry, restarts)?,
            waits: register(&registry, Histogram::with_opts(waits)?)?,
            registry,
        })))
    }

    /// A handler was loaded.
    pub(crate) fn record_start(&self, took: Duration) {
        self.0.starts.observe(took.as_secs_f64());
    }

    /// A handler process ended by itself.
    pub(crate) fn record_restart(&self) {
        self.0.restarts.inc();
    }

    /// A call was given to a handler process.
    pub(crate) fn record_wait(&self, waited: Duration) {
        self.0.waits.observe(waited.as_secs_f64());
    }

    /// Begins to measure a request.
    pub(crate) fn measure(&self, method: &Method) -> Measured {
        self.0.in_flight.inc();
        Measured { metrics: self.clone(), method: method_label(method), start: Instant::now(), code: None }
    }

    fn render(&self) -> Answer {
        let mut text = Vec::new();
        let encoder = TextEncoder::new();
        if encoder.encode(&self.0.registry.gather(), &mut text).is_err() {
            return answer::empty(StatusCode::INTERNAL_SERVER_ERROR);
        }
        let mut answer = answer::text(StatusCode::OK, text);
        if let Ok(kind) = HeaderValue::from_str(encoder.format_type()) {
            answer.headers_mut().insert(CONTENT_TYPE, kind);
        }
        answer
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

impl Drop for Measured {
    fn drop(&mut self) {
        self.metrics.0.in_flight.dec();
        let Some(code) = self.code else { return };
        let labels = [code.as_str(), self.method];
        self.metrics.0.requests.with_label_values(&labels).inc();
        self.metrics.0.durations.with_label_values(&labels).observe(self.start.elapsed().as_secs_f64());
    }
}

/// A bounded set of values: callers may invent methods.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::HEAD => "head",
        Method::OPTIONS => "options",
        Method::CONNECT => "connect",
        Method::TRACE => "trace",
        _ => "unknown",
    }
}

/// Shows the metrics to whoever asks, for as long as the runtime runs.
pub(crate) async fn serve(listener: TcpListener, metrics: Metrics) {
    let metrics = Arc::new(metrics);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let metrics = Arc::clone(&metrics);
                let service = service_fn(move |request| {
                    let answer = respond(&metrics, &request);
                    async { Ok::<_, Infallible>(answer) }
                });
                let builder = hyper::server::conn::http1::Builder::new();
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
            Err(error) => {
                log::line(format_args!("metrics: failed to accept a connection: {error}"));
                tokio::time::sleep(crate::server::ACCEPT_PAUSE).await;
            }
        }
    }
}

fn respond(metrics: &Metrics, request: &Request<Incoming>) -> Response<crate::body::Body> {
    if request.uri().path() == "/metrics" { metrics.render() } else { answer::empty(StatusCode::NOT_FOUND) }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn requests_are_counted_by_code_and_method() {
        let metrics = Metrics::new().unwrap();
        metrics.measure(&Method::POST).code = Some(StatusCode::OK);
        drop(metrics.measure(&Method::GET));
        let running = metrics.measure(&Method::GET);
        let text = metrics.render().into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert!(text.contains("http_requests_total{code=\"200\",method=\"post\"} 1\n"), "{text}");
        assert!(
            text.contains("http_request_duration_seconds_count{code=\"200\",method=\"post\"} 1\n"),
            "{text}"
        );
        assert!(text.contains("http_requests_in_flight 1\n") && !text.contains("method=\"get\""), "{text}");
        drop(running);
    }
}
