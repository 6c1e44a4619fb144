//! `faas invoke --async`: the call id, and with `--wait` what becomes of it.

use std::time::Duration;

use faas_api::{JobState, JobStatus};

use crate::cli::Context;
use crate::client::{Answer, Client};
use crate::commands::queue;
use crate::failure::{Failure, failure};
use crate::output;

/// Between the first two looks.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Between two later ones.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Looks that may fail one after the other: a gateway is replaced in less, and the job does not depend on it.
const MOST_MISSES: usize = 12;

/// It was accepted: its id is the data, for `faas queue show`.
pub(super) fn submitted(answer: &Answer) -> anyhow::Result<()> {
    output::talk("Function submitted asynchronously.");
    answer.header("x-call-id").map_or(Ok(()), output::line)
}

/// Asks until the job has ended, then prints what the function answered. A failure is exit code 1, as without `--async`.
pub(super) fn wait(client: &Client, answer: &Answer, context: &Context) -> anyhow::Result<()> {
    let id = answer.header("x-call-id");
    let id = id.ok_or_else(|| failure("the gateway did not say which call it is: invoke without --wait"))?;
    output::talk(format!("Function submitted asynchronously, waiting for call {id}"));
    let (mut pause, mut misses) = (FIRST_PAUSE, 0);
    loop {
        match queue::find(client, id, context) {
            Ok(job) if job.state.is_over() => return ended(&job, context),
            Ok(_) => misses = 0,
            Err(error) if misses == MOST_MISSES || is_final(&error) => return Err(error),
            Err(_) => misses += 1,
        }
        std::thread::sleep(pause);
        pause = pause.mul_f64(1.5).min(LONGEST_PAUSE);
    }
}

fn is_final(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Failure>().is_some_and(Failure::is_final)
}

fn ended(job: &JobStatus, context: &Context) -> anyhow::Result<()> {
    let status = job.result.as_ref().map(|result| result.status);
    match (job.state, status) {
        (JobState::Cancelled, _) => Err(failure(format!("call {} was cancelled", job.call_id)).into()),
        (JobState::Done, None | Some(200..=299)) => output::print_bytes(&queue::body(job)?),
        (_, status) => Err(failed(job, status, context).into()),
    }
}

/// In the words of an invocation that was waited for.
fn failed(job: &JobStatus, status: Option<u16>, context: &Context) -> Failure {
    let body = queue::body(job).unwrap_or_default();
    let why = job.attempts.last().and_then(|attempt| attempt.failure.clone()).unwrap_or_default();
    let text = if body.is_empty() { why.into() } else { String::from_utf8_lossy(&body) };
    let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
    let message = format!("server returned unexpected status code: {status} - {}", text.trim_end());
    match job.state {
        JobState::Dead => failure(message).hint(format!(
            "it was tried {} times and is kept: \"{} queue retry {}.{} {}\" tries again",
            job.attempts.len(),
            context.env.program,
            job.function_name,
            job.namespace,
            job.call_id
        )),
        _ => failure(message),
    }
}
