//! `GET /async-function/{call-id}`: what is known of a job in each of its states.

use base64::Engine as _;
use bytes::Bytes;
use faas_queue::{Answer, Attempt, Body, Queue as _, Record, Taken, Then};
use jiff::Timestamp;
use serde_json::json;

use crate::queue::{Queued, id};

fn attempt(status: u16, failure: Option<&str>) -> Attempt {
    let failure = failure.map(str::to_owned);
    Attempt { at: Timestamp::UNIX_EPOCH, seconds: 0.5, status: Some(status), failure }
}

fn answer(status: u16, size: u64, kept: bool) -> Answer {
    let headers =
        [("Set-Cookie", "a"), ("set-cookie", "b")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    Answer { status, headers: headers.into(), size, kept }
}

impl Queued {
    fn settle(&self, taken: &Taken, record: &Record, then: Then) {
        self.wait(self.queue.settle(&taken.lease, record, then)).unwrap();
    }

    fn keep(&self, taken: &Taken, body: Body) {
        self.wait(self.queue.keep_result(&taken.lease, body)).unwrap();
    }
}

#[test]
fn a_job_is_followed_from_queued_to_done() {
    let queued = Queued::start();
    let callback = "X-Callback-Url: http://user:secret@a.example/b?token=1";
    let id = id(&queued.post("/async-function/f", &[callback], b"hello"));
    let path = format!("/async-function/{id}");
    let status = queued.json(&path);
    assert_eq!((&status["state"], &status["callId"]), (&json!("queued"), &json!(id.as_str())));
    assert_eq!((&status["functionName"], &status["namespace"]), (&json!("f"), &json!("openfaas-fn")));
    assert_eq!(status["callback"], json!({"url": "http://a.example/b", "attempts": []}));
    assert!(status["acceptedAt"].is_string() && status.get("result").is_none());

    let taken = queued.take();
    assert_eq!(queued.json(&path)["state"], "running");

    let record = Record { attempts: vec![attempt(500, Some("status 500"))], busy: 2, ..Record::default() };
    let later = Timestamp::now() + std::time::Duration::from_hours(1);
    queued.settle(&taken, &record, Then::Later(later));
    let status = queued.json(&path);
    assert_eq!((&status["state"], &status["nextTryAt"]), (&json!("queued"), &json!(later.to_string())));
    let expected =
        json!([{"at": "1970-01-01T00:00:00Z", "seconds": 0.5, "status": 500, "failure": "status 500"}]);
    assert_eq!((&status["attempts"], &status["busy"]), (&expected, &json!(2)));
}

#[test]
fn a_result_is_told_with_its_body_while_that_is_kept() {
    let queued = Queued::start();
    let long = vec![7; 2 << 20];
    for (body, kept) in
        [(Bytes::from_static(b"h\0i"), true), (long.into(), true), (Bytes::from_static(b"x"), false)]
    {
        let id = id(&queued.post("/async-function/f", &[], b""));
        let taken = queued.take();
        if kept {
            queued.keep(&taken, Body::Whole(body.clone()));
        }
        let record = Record {
            attempts: vec![attempt(201, None)],
            answer: Some(answer(201, body.len() as u64, kept)),
            callbacks: vec![attempt(204, None)],
            ..Record::default()
        };
        queued.settle(&taken, &record, Then::Done);
        let status = queued.json(&format!("/async-function/{id}"));
        assert_eq!(status["state"], "done");
        assert_eq!(status["callback"]["attempts"][0]["status"], 204);
        let result = &status["result"];
        assert_eq!((&result["status"], &result["size"]), (&json!(201), &json!(body.len())));
        assert_eq!(result["headers"], json!({"set-cookie": ["a", "b"]}));
        let expected = kept.then(|| base64::engine::general_purpose::STANDARD.encode(&body));
        assert!(
            result.get("body").and_then(|body| body.as_str()) == expected.as_deref(),
            "{} bytes",
            body.len()
        );
    }
}

#[test]
fn a_result_past_the_limit_is_told_without_its_body() {
    let queued = Queued::start();
    let id = id(&queued.post("/async-function/f", &[], b""));
    let taken = queued.take();
    queued.keep(&taken, Body::Whole(Bytes::from_static(b"as if it were long")));
    let record = Record { answer: Some(answer(200, (16 << 20) + 1, true)), ..Record::default() };
    queued.settle(&taken, &record, Then::Done);
    let result = &queued.json(&format!("/async-function/{id}"))["result"];
    assert_eq!((&result["size"], result.get("body")), (&json!((16 << 20) + 1), None));
}

#[test]
fn dead_and_cancelled_jobs_say_so() {
    let queued = Queued::start();
    let dead = id(&queued.post("/async-function/f", &[], b""));
    let taken = queued.take();
    queued.settle(
        &taken,
        &Record { attempts: vec![attempt(503, Some("busy"))], ..Record::default() },
        Then::Dead,
    );
    assert_eq!(queued.json(&format!("/async-function/{dead}"))["state"], "dead");
    let cancelled = id(&queued.post("/async-function/f", &[], b""));
    let path = format!("/async-function/{cancelled}");
    let answer = queued.api("DELETE", &path, "");
    assert_eq!((answer.status, answer.text()), (202, ""));
    assert_eq!(queued.json(&path)["state"], "cancelled");
    let answer = queued.api("DELETE", &path, "");
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(queued.live().is_empty());
}

#[test]
fn a_running_job_is_cancelled_too() {
    let queued = Queued::start();
    let id = id(&queued.post("/async-function/f", &[], b""));
    let taken = queued.take();
    assert_eq!(queued.api("DELETE", &format!("/async-function/{id}"), "").status, 202);
    assert!(queued.wait(queued.queue.extend(&taken.lease)).is_err());
}

#[test]
fn what_names_no_job_is_404() {
    let queued = Queued::start();
    for id in ["nothing", "f.openfaas-fn", &"a".repeat(129)] {
        for method in ["GET", "DELETE"] {
            let answer = queued.api(method, &format!("/async-function/{id}"), "");
            assert_eq!(answer.status, 404, "{method} {id}: {answer:?}");
            assert!(answer.text().contains(id), "{answer:?}");
        }
    }
}
