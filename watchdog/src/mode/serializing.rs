//! One process per request, with the whole body read first and the whole output gathered: of-watchdog's `serializing`.
//!
//! Bounded: the body at 64 MiB, beyond that 413; output as `output` says. A handler that fails, or is over its time, is
//! answered with 500 and the error in words; what it wrote until then is lost, as the peers have it.

use std::time::{Duration, Instant};

use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};

use super::fork::exchange::{Failure, Input, Running, whole, within};
use super::fork::{Ended, Fork, WHOLE};
use super::forking::Forking;
use crate::answer::{self, Answer, Side, describe_exit};
use crate::inbound::Inbound;
use crate::log;
use crate::output::{self, Output};

pub(super) async fn answer(forking: &Forking, request: Request<Inbound>) -> Answer {
    let (head, body) = request.into_parts();
    let body = match whole(body, WHOLE, forking.bounds.read_timeout).await {
        Ok(bytes) => bytes,
        Err(failure) => return Fork::refuse(failure, forking.bounds.exec_timeout),
    };
    let start = Instant::now();
    let ran = within(forking.bounds.exec_timeout, run(forking, &head, Input::Whole(body))).await;
    let mut answer = match ran.and_then(|ended| finish(forking, ended, start.elapsed())) {
        Ok(answer) => answer,
        // What Go says of a process that it killed.
        Err(Failure::Timeout) => failed("signal: killed"),
        Err(failure) => Fork::refuse(failure, forking.bounds.exec_timeout),
    };
    answer::stamp_duration(&mut answer, start.elapsed());
    answer
}

async fn run(forking: &Forking, head: &Parts, input: Input) -> Result<Ended, Failure> {
    let mut output = Output::new(forking.bounds.temp.clone());
    let variables = forking.variables(head);
    let running = Running::start(&forking.source, variables, input, Some(forking.errors())).await?;
    let (status, usage) = running.finish(&mut output).await?;
    Ok(Ended { status, output, usage })
}

fn finish(forking: &Forking, ended: Ended, elapsed: Duration) -> Result<Answer, Failure> {
    let Ended { status, output, usage } = ended;
    if !status.success() {
        return Ok(failed(&describe_exit(status)));
    }
    let body = output.into_body("").map_err(|error| Failure::Output(output::Error::Spool(error)))?;
    let mut answer = answer::with_body(StatusCode::OK, body);
    answer.headers_mut().insert(CONTENT_TYPE, forking.settings.content_type.clone());
    answer::stamp_usage(&mut answer, elapsed, usage);
    Ok(answer)
}

fn failed(error: &str) -> Answer {
    log::line(format_args!("the handler failed: {error}"));
    let answer = answer::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_owned());
    answer::blame(answer, Side::Handler, error)
}
