use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::annotation;

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn at(now: i64) -> Moment {
    Moment { now: second(now), first_taken_at: second(0), chance: 0.5 }
}

fn answer(status: u16, headers: &[(&str, &str)]) -> End {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    End::Answered(Answer { status, headers, size: 0, kept: false })
}

fn invoked(end: End) -> Invoked {
    Invoked { at: second(0), seconds: 0.1, end }
}

fn annotated(pairs: &[(&str, &str)]) -> (Policy, Vec<Malformed>) {
    let annotations: BTreeMap<_, _> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Policy::default().of(&annotations)
}

/// Seconds until the next try, after `before` failed ones.
fn wait_after(policy: &Policy, before: usize, end: End) -> Option<i64> {
    let mut record = Record::default();
    for _ in 0..before {
        (record, _) = policy.after_invocation(&record, invoked(End::Broken("x".into())), at(0));
    }
    match policy.after_invocation(&record, invoked(end), at(0)).1 {
        Then::Later(due) => Some(due.as_second() - second(0).as_second()),
        _ => None,
    }
}

#[test]
fn waits_double_from_ten_seconds_to_two_minutes_ten_times_in_all() {
    let policy = Policy::default();
    let waits: Vec<_> = (0..10).map(|before| wait_after(&policy, before, answer(500, &[]))).collect();
    let expected = [10, 20, 40, 80, 120, 120, 120, 120, 120].map(Some);
    assert_eq!(waits[..9], expected);
    assert_eq!(waits[9], None);
}

#[test]
fn what_is_retried_is_what_the_contract_names() {
    let internal = ("X-OpenFaaS-Internal", "proxy");
    for (status, headers, retried) in [
        (200, &[][..], false),
        (201, &[], false),
        (301, &[], false),
        (400, &[], false),
        (404, &[], false),
        (408, &[], true),
        (429, &[], true),
        (500, &[], true),
        (501, &[], false),
        (502, &[], true),
        (503, &[], true),
        (504, &[], true),
        (404, &[internal], true),
        (200, &[internal], true),
        (404, &[("x-faas-fault", "client; no such function")], false),
        (404, &[("x-faas-fault", "client; no such function"), internal], true),
        (503, &[("x-faas-fault", "client; odd")], true),
    ] {
        let wait = wait_after(&Policy::default(), 0, answer(status, headers));
        assert_eq!(wait.is_some(), retried, "{status} {headers:?}");
    }
    assert!(wait_after(&Policy::default(), 0, End::Broken("reset".into())).is_some());
}

#[test]
fn an_answer_ends_a_job_well_and_the_last_failure_makes_a_dead_letter_of_it() {
    let policy = Policy { attempts: 2, ..Policy::default() };
    let (record, then) = policy.after_invocation(&Record::default(), invoked(answer(404, &[])), at(0));
    assert_eq!((then, record.answer.unwrap().status), (Then::Done, 404));
    let (record, then) = policy.after_invocation(&Record::default(), invoked(answer(500, &[])), at(0));
    assert!(matches!(then, Then::Later(_)) && record.answer.is_none());
    let (record, then) = policy.after_invocation(&record, invoked(End::Broken("reset".into())), at(10));
    assert_eq!((then, record.answer.as_ref().unwrap().status), (Then::Dead, 503));
    let failures: Vec<_> =
        record.attempts.iter().map(|attempt| attempt.failure.as_deref().unwrap()).collect();
    assert_eq!(failures, ["answered 500", "reset"]);
}

#[test]
fn a_function_without_room_uses_up_no_attempt_but_one_that_says_429_itself_does() {
    let policy = Policy { attempts: 2, ..Policy::default() };
    let busy = || answer(429, &[("x-openfaas-internal", "faas-middleware")]);
    let mut record = Record::default();
    for times in 1..=20 {
        let then;
        (record, then) = policy.after_invocation(&record, invoked(busy()), at(0));
        assert!(matches!(then, Then::Later(_)), "{times}");
        assert_eq!((record.attempts.len(), record.busy), (0, times));
    }
    let (record, _) = policy.after_invocation(&record, invoked(answer(429, &[])), at(0));
    assert_eq!((record.attempts.len(), record.busy), (1, 0));
    let (_, then) = policy.after_invocation(&record, invoked(answer(429, &[])), at(0));
    assert_eq!(then, Then::Dead);
}

#[test]
fn a_gateway_that_takes_no_connection_uses_up_no_attempt_but_age() {
    let policy = Policy::default();
    let unreached = || invoked(End::Unreached("connection refused".into()));
    let (record, then) = policy.after_invocation(&Record::default(), unreached(), at(0));
    assert!(record.attempts.is_empty() && matches!(then, Then::Later(_)));
    let (record, then) = policy.after_invocation(&record, unreached(), at(6 * 3600));
    assert_eq!((then, record.answer.unwrap().status), (Then::Dead, 503));
}

#[test]
fn retry_after_is_honoured_where_it_may_be_asked_and_never_below_the_least_wait() {
    for (status, value, wait) in [
        (503, "60", 60),
        (429, "60", 60),
        (503, "1", 10),
        (503, "600", 600),
        (503, "Tue, 14 Nov 2023 22:15:00 GMT", 100),
        (503, "Tue, 14 Nov 2023 22:00:00 GMT", 10),
        (500, "60", 10),
        (503, "soon", 10),
        (503, "-5", 10),
        (503, "", 10),
    ] {
        let waited = wait_after(&Policy::default(), 0, answer(status, &[("Retry-After", value)]));
        assert_eq!(waited, Some(wait), "{status} {value}");
    }
}

#[test]
fn a_retry_after_past_the_greatest_age_ends_the_job() {
    for value in ["21601", "99999999999999999999999", "Mon, 14 Nov 2033 22:15:00 GMT"] {
        assert_eq!(
            wait_after(&Policy::default(), 0, answer(503, &[("retry-after", value)])),
            None,
            "{value}"
        );
    }
}

#[test]
fn annotations_override_and_malformed_ones_are_named() {
    let (policy, malformed) = annotated(&[
        (annotation::RETRY_ATTEMPTS, "3"),
        (annotation::RETRY_CODES, "418, 500"),
        (annotation::RETRY_MIN_WAIT, "1m30s"),
        (annotation::RETRY_MAX_WAIT, "1h"),
        (annotation::RETRY_BACKOFF, "full"),
        ("com.openfaas.retry.other", "x"),
    ]);
    assert_eq!(malformed, []);
    assert_eq!((policy.attempts, policy.codes.as_slice()), (3, &[418, 500][..]));
    assert_eq!((policy.min_wait.as_secs(), policy.max_wait.as_secs()), (90, 3600));
    assert_eq!(policy.backoff, Backoff::Full);
    for (name, value) in [
        (annotation::RETRY_ATTEMPTS, "many"),
        (annotation::RETRY_ATTEMPTS, "-1"),
        (annotation::RETRY_ATTEMPTS, "1001"),
        (annotation::RETRY_CODES, "500,abc"),
        (annotation::RETRY_CODES, "99"),
        (annotation::RETRY_CODES, "500,"),
        (annotation::RETRY_MIN_WAIT, "ten"),
        (annotation::RETRY_MAX_WAIT, "-1s"),
        (annotation::RETRY_BACKOFF, "linear"),
    ] {
        let (policy, malformed) = annotated(&[(name, value)]);
        assert_eq!(policy, Policy::default(), "{name}: {value}");
        assert_eq!(malformed.len(), 1, "{name}: {value}");
        assert!(malformed[0].to_string().contains(name), "{}", malformed[0]);
    }
}

#[test]
fn callbacks_are_tried_again_after_what_may_pass_and_given_up_with_the_failure_written_down() {
    let policy = Policy { callback_attempts: 3, ..Policy::default() };
    let done = Record { answer: Some(no_answer()), ..Record::default() };
    let status = |status| Delivery::Answered { status, retry_after: None };
    for (delivery, again) in [
        (status(200), false),
        (status(204), false),
        (status(303), false),
        (status(400), false),
        (status(410), false),
        (status(408), true),
        (status(429), true),
        (status(500), true),
        (Delivery::Failed("reset".into()), true),
        (Delivery::Refused("loopback".into()), false),
    ] {
        let (record, then) = policy.after_callback(&done, second(0), 0.1, &delivery, at(0));
        assert_eq!(matches!(then, Then::Later(_)), again, "{delivery:?}");
        assert_eq!(record.callbacks.len(), 1);
        assert!(again || then == Then::Done);
    }
    let (mut record, mut then) = (done, Then::Hold);
    for _ in 0..3 {
        (record, then) = policy.after_callback(&record, second(0), 0.1, &status(500), at(0));
    }
    assert_eq!((then, record.callbacks.len()), (Then::Done, 3));
    assert_eq!(record.callbacks[2].failure.as_deref(), Some("answered 500"));
}

#[test]
fn a_callback_ends_a_dead_job_as_one() {
    let policy = Policy { attempts: 1, ..Policy::default() };
    let (record, then) = policy.after_invocation(&Record::default(), invoked(answer(500, &[])), at(0));
    assert_eq!(then, Then::Dead);
    let delivery = Delivery::Answered { status: 200, retry_after: None };
    assert_eq!(policy.after_callback(&record, second(0), 0.1, &delivery, at(0)).1, Then::Dead);
}

#[test]
fn a_callbacks_age_counts_from_its_own_first_try() {
    let policy = Policy::default();
    let late = Record { answer: Some(no_answer()), ..Record::default() };
    let asked = |seconds: &str| Delivery::Answered { status: 503, retry_after: Some(seconds.to_owned()) };
    let (_, then) = policy.after_callback(&late, second(90_000), 0.1, &asked("60"), at(90_000));
    assert_eq!(then, Then::Later(second(90_060)));
    let (_, then) = policy.after_callback(&late, second(90_000), 0.1, &asked("99999"), at(90_000));
    assert_eq!(then, Then::Done);
}

fn backoffs() -> impl Strategy<Value = Backoff> {
    prop_oneof![Just(Backoff::Exponential), Just(Backoff::Full), Just(Backoff::Equal)]
}

prop_compose! {
    fn policies()(attempts in 0_u32..20, min in 0_u64..1000, max in 0_u64..1000, age in 0_u64..100_000,
        backoff in backoffs()) -> Policy {
        Policy {
            attempts,
            min_wait: Duration::from_secs(min),
            max_wait: Duration::from_secs(max),
            max_age: Duration::from_secs(age),
            backoff,
            ..Policy::default()
        }
    }
}

fn ends() -> impl Strategy<Value = End> {
    let header = prop_oneof![
        Just(None),
        (0_u32..1000).prop_map(|seconds| Some(("retry-after".to_owned(), seconds.to_string()))),
        "\\PC{0,30}".prop_map(|text| Some(("retry-after".to_owned(), text))),
        Just(Some(("x-openfaas-internal".to_owned(), "proxy".to_owned()))),
    ];
    let answered = (100_u16..1000, header).prop_map(|(status, header)| {
        End::Answered(Answer { status, headers: header.into_iter().collect(), size: 0, kept: false })
    });
    prop_oneof![
        4 => answered,
        1 => "\\PC{0,300}".prop_map(End::Broken),
        1 => Just(End::Unreached("refused".into())),
    ]
}

proptest! {
    #[test]
    fn every_job_ends_within_its_attempts_and_its_age(policy in policies(), ends in prop::collection::vec(ends(), 1..60),
        chance in 0.0..1.0_f64) {
        let (mut record, mut now) = (Record::default(), second(0));
        for end in ends {
            let moment = Moment { now, first_taken_at: second(0), chance };
            let before = record.clone();
            let then;
            (record, then) = policy.after_invocation(&record, invoked(end), moment);
            prop_assert!(record.attempts.len() <= (policy.attempts.max(1)) as usize);
            let (grown, busier) = (record.attempts.len() > before.attempts.len(), record.busy > before.busy);
            prop_assert!(grown != busier);
            prop_assert_eq!(record.answer.is_some(), !matches!(then, Then::Later(_)));
            for attempt in &record.attempts {
                prop_assert!(attempt.failure.as_ref().is_none_or(|text| text.chars().count() <= 200));
            }
            match then {
                Then::Later(due) => {
                    prop_assert!(due >= now);
                    prop_assert!(due.duration_since(second(0)) <= policy.max_age.try_into().unwrap());
                    now = due;
                }
                then => {
                    prop_assert_eq!(then, end_of(&record));
                    break;
                }
            }
        }
    }

    #[test]
    fn waits_lie_between_their_bounds(policy in policies(), before in 0_usize..40, chance in 0.0..=1.0_f64) {
        let most = policy.max_wait.max(policy.min_wait);
        let wait = policy.wait(before, chance);
        prop_assert!(wait <= most);
        prop_assert!(policy.backoff != Backoff::Exponential || wait >= policy.min_wait);
        prop_assert!(policy.backoff != Backoff::Equal || wait >= policy.min_wait / 2);
        prop_assert!(policy.wait_busy(u32::try_from(before).unwrap(), chance) <= most.max(policy.busy_wait));
    }

    #[test]
    fn no_annotation_panics_or_leaves_a_policy_unbounded(value in "\\PC{0,20}") {
        let (policy, _) = annotated(&annotation::ALL.map(|name| (name, value.as_str())));
        prop_assert!(policy.attempts <= MOST_ATTEMPTS);
        prop_assert!(policy.codes.iter().all(|code| (100..1000).contains(code)));
    }
}
