//! The tables 4.1, 4.2 and 4.3 of the OpenFaaS contract, a test for each row, named after it.
//!
//! A row of one request is data: a handler, variables, a request, and what comes of it. Whatever needs more than one
//! request is a test beside them, named likewise.

use crate::harness::{Answer, Watchdog, binary, outcome};

/// One row, one test: handler, variables, request, outcome.
macro_rules! rows {
    ($($row:ident: $handler:expr, [$($name:ident = $value:expr),*], $request:expr => $($expect:expr),+;)+) => {
        $(
            #[test]
            fn $row() {
                let variables: &[(&str, &str)] = &[$((stringify!($name), $value)),*];
                crate::contract::check(&$handler, variables, &$request, &[$($expect),+]);
            }
        )+
    };
}

/// Rows that end before anything listens: variables, and the line that says why.
macro_rules! refusals {
    ($($row:ident: [$($name:ident = $value:expr),*] => $message:expr;)+) => {
        $(
            #[test]
            fn $row() {
                crate::contract::check_refused(&[$((stringify!($name), $value)),*], $message);
            }
        )+
    };
}

mod classic;
mod common;
mod forking;
mod http;
pub(crate) mod of_watchdog;

/// What answers.
enum Handler {
    /// A command, split plainly.
    Run(&'static str),
    /// The text of a shell script.
    Shell(&'static str),
    /// The server of mode `http`.
    Python,
    /// Nothing: the variables say it all.
    Nothing,
}

struct Request {
    method: &'static str,
    target: &'static str,
    /// Whole lines.
    headers: &'static str,
    body: &'static str,
}

fn get(target: &'static str) -> Request {
    send("GET", target, "", "")
}

fn post(body: &'static str) -> Request {
    send("POST", "/", "", body)
}

fn send(method: &'static str, target: &'static str, headers: &'static str, body: &'static str) -> Request {
    Request { method, target, headers, body }
}

/// What is to come of a request.
enum Expect {
    Status(u16),
    /// The whole body.
    Body(&'static str),
    /// A whole line of the body.
    Line(&'static str),
    /// Part of the body.
    Has(&'static str),
    Lacks(&'static str),
    Header(&'static str, &'static str),
    NoHeader(&'static str),
    /// Seconds with six digits after the point.
    Duration,
    /// Part of a log line.
    Logged(&'static str),
    /// What no log line may have in it, once another one is there.
    NeverLogged(&'static str, &'static str),
}

fn check(handler: &Handler, variables: &[(&str, &str)], request: &Request, expect: &[Expect]) {
    let watchdog = start(handler, variables);
    let Request { method, target, headers, body } = request;
    let answer = watchdog.send(method, target, headers, body.as_bytes());
    for expect in expect {
        check_one(expect, &answer, &watchdog);
    }
}

fn start(handler: &Handler, variables: &[(&str, &str)]) -> Watchdog {
    match handler {
        Handler::Run(command) => Watchdog::start(&[&[("fprocess", *command)], variables].concat()),
        Handler::Shell(text) => crate::fork::shell(text, variables),
        Handler::Python => crate::http::python(variables),
        Handler::Nothing => Watchdog::start(variables),
    }
}

fn check_one(expect: &Expect, answer: &Answer, watchdog: &Watchdog) {
    let shown = || format!("{answer:?}\n{}", watchdog.log());
    match *expect {
        Expect::Status(status) => assert_eq!(answer.status, status, "{}", shown()),
        Expect::Body(body) => assert_eq!(answer.text(), body, "{}", shown()),
        Expect::Line(line) => {
            assert!(answer.text().lines().any(|found| found == line), "{line}: {}", shown());
        }
        Expect::Has(part) => assert!(answer.text().contains(part), "{part}: {}", shown()),
        Expect::Lacks(part) => assert!(!answer.text().contains(part), "{part}: {}", shown()),
        Expect::Header(name, value) => assert_eq!(answer.header(name), Some(value), "{}", shown()),
        Expect::NoHeader(name) => assert_eq!(answer.header(name), None, "{}", shown()),
        Expect::Duration => {
            let seconds = answer.header("x-duration-seconds").unwrap_or_default();
            assert_eq!(seconds.split_once('.').map(|(_, digits)| digits.len()), Some(6), "{}", shown());
        }
        Expect::Logged(part) => drop(watchdog.logged(part)),
        Expect::NeverLogged(part, after) => {
            watchdog.logged(after);
            assert!(!watchdog.log().contains(part), "{part}: {}", shown());
        }
    }
}

fn check_refused(variables: &[(&str, &str)], message: &str) {
    let (code, _, log) = outcome(binary().envs(variables.iter().copied()));
    assert!(code == Some(64) && log.contains(message) && !log.contains("Listening"), "{code:?} {log}");
}
