//! What a function's settings say of its invocations; one reading for every provider and for the operator.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crate::parse_duration;

/// On a function that speaks HTTP/2 without TLS; the value is `h2c`. What gRPC needs.
const PROTOCOL: &str = "com.openfaas.protocol";

/// How annotations begin that say how an asynchronous invocation is made, retried, called back and queued.
const QUEUE: [&str; 4] =
    ["com.openfaas.retry.", "com.openfaas.async.", "com.openfaas.callback.", "com.openfaas.queue"];

/// How a function wants to be invoked. Settings that do not parse count as absent, as with the peers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// How long one invocation may take: the function's timeout, else its watchdog's variables; never zero.
    pub timeout: Option<Duration>,
    /// Invocations that one replica takes at a time, the rest get 429; `None` is no limit.
    pub max_inflight: Option<NonZeroUsize>,
    /// Whether it speaks HTTP/2 with prior knowledge, rather than HTTP/1.1.
    pub h2c: bool,
    /// Its annotations that are for the queue, as they are. `None` without any, as almost always: a table holds
    /// thousands of these.
    pub queue: Option<Arc<BTreeMap<String, String>>>,
}

impl Terms {
    /// From a deployment's `timeout`, its environment and its annotations.
    pub fn new(
        timeout: &str,
        environment: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
    ) -> Self {
        let variable = |name: &str| environment.get(name).map_or("", String::as_str);
        let timeouts = [timeout, variable("exec_timeout"), variable("write_timeout")];
        let parsed = timeouts.into_iter().filter_map(|text| parse_duration(text).ok());
        Self {
            timeout: parsed.into_iter().find(|timeout| !timeout.is_zero()),
            max_inflight: variable("max_inflight").trim().parse().ok(),
            h2c: annotations.get(PROTOCOL).is_some_and(|protocol| protocol.trim() == "h2c"),
            queue: for_queue(annotations),
        }
    }
}

fn for_queue(annotations: &BTreeMap<String, String>) -> Option<Arc<BTreeMap<String, String>>> {
    let mut chosen = annotations.iter().filter(|(name, _)| QUEUE.iter().any(|begin| name.starts_with(begin)));
    let first = chosen.next()?;
    let own = |(name, value): (&String, &String)| (name.clone(), value.clone());
    Some(Arc::new(std::iter::once(first).chain(chosen).map(own).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn timeout(own: &str, environment: &[(&str, &str)]) -> Option<u64> {
        Terms::new(own, &map(environment), &map(&[])).timeout.map(|timeout| timeout.as_secs())
    }

    #[test]
    fn a_functions_own_timeout_comes_before_its_watchdogs() {
        let both = [("exec_timeout", "5s"), ("write_timeout", "9s")];
        assert_eq!(timeout("90s", &both), Some(90));
        assert_eq!(timeout("", &both), Some(5));
        assert_eq!(timeout("", &[("exec_timeout", "0"), both[1]]), Some(9));
        assert_eq!(timeout("", &[("exec_timeout", "soon")]), None);
    }

    #[test]
    fn what_means_nothing_counts_as_absent() {
        let terms = |inflight: &str, protocol: &str| {
            Terms::new("", &map(&[("max_inflight", inflight)]), &map(&[("com.openfaas.protocol", protocol)]))
        };
        assert_eq!(
            terms("10", "h2c"),
            Terms { max_inflight: NonZeroUsize::new(10), h2c: true, ..Terms::default() }
        );
        for (inflight, protocol) in [("0", "http"), ("-1", "H2"), ("", ""), ("ten", "grpc")] {
            assert_eq!(terms(inflight, protocol), Terms::default(), "{inflight} {protocol}");
        }
    }

    #[test]
    fn the_queue_gets_its_own_annotations_and_no_others() {
        let terms = |annotations: &[(&str, &str)]| Terms::new("", &map(&[]), &map(annotations));
        let own = [("com.openfaas.retry.attempts", "3"), ("com.openfaas.queue", "slow")];
        let all = [&own[..], &[("com.openfaas.protocol", "h2c"), ("topic", "x")]].concat();
        assert_eq!(*terms(&all).queue.unwrap(), map(&own));
        assert!(terms(&[("topic", "x")]).queue.is_none());
    }
}
