//! The gateway's own variables, the same in `faas serve` and `faas gateway`. One that means nothing is an error, and all
//! of them are told at once.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use faas_api::{Namespace, parse_duration};
use faas_gateway::{Config, Credentials, IpRange, Limits, OwnGateway, TlsFiles};

use crate::env::Env;
use crate::failure::failure;
use crate::role::{self, variables};

/// Invocations of one function that may wait for its first replica.
const MOST_WAITING: usize = 1024;
/// The smallest buffer that a head is read into.
const LEAST_HEAD_BYTES: usize = 8 << 10;

/// What differs between the commands.
pub(crate) struct Own {
    pub(crate) namespace: Namespace,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) scale_from_zero: bool,
    /// Where `drain_notice` says nothing.
    pub(crate) drain_notice: Duration,
}

/// A gateway's configuration.
pub(crate) fn config(env: &Env, own: Own) -> anyhow::Result<Config> {
    let mut reader = Reader { env, problems: Vec::new() };
    let config = Config {
        namespace: own.namespace,
        credentials: own.credentials,
        upstream_timeout: role::upstream_timeout(env),
        most_waiting: MOST_WAITING,
        scale_from_zero: own.scale_from_zero,
        version: role::version(),
        workers: reader.read("gateway_workers", COUNT, cores(), |text| text.parse().ok()),
        own_gateway: reader.own_gateway(),
        async_check_function: variables::switch(env, "async_check_function", false),
        limits: reader.limits(),
        trusted_proxies: reader.read("trusted_proxies", RANGES, None, |text| ranges(text).map(Some)),
        tls: reader.tls(),
        access_log: env.get("write_request_uri").is_some() || variables::switch(env, "access_log", false),
        drain_notice: reader.read("drain_notice", "a duration such as 5s", own.drain_notice, |text| {
            parse_duration(text).ok()
        }),
    };
    if reader.problems.is_empty() { Ok(config) } else { Err(failure(reader.problems.join("; ")).into()) }
}

const COUNT: &str = "a number above zero";
const RANGES: &str = "addresses or ranges such as 10.0.0.0/8, with commas between them";

fn cores() -> NonZero<usize> {
    std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN)
}

fn ranges(text: &str) -> Option<Vec<IpRange>> {
    text.split(',').map(|range| range.trim().parse().ok()).collect()
}

struct Reader<'a> {
    env: &'a Env,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn limits(&mut self) -> Limits {
        let default = Limits::default();
        Limits {
            connections: self.count("max_connections", default.connections),
            connections_per_client: self.count("max_connections_per_client", default.connections_per_client),
            head_bytes: self.read(
                "max_header_bytes",
                "a number of 8192 or more",
                default.head_bytes,
                |text| text.parse().ok().filter(|bytes| *bytes >= LEAST_HEAD_BYTES),
            ),
            uri_bytes: self.count("max_uri_bytes", default.uri_bytes),
            head_timeout: self.duration("header_timeout", default.head_timeout),
            idle_timeout: self.duration("idle_timeout", default.idle_timeout),
            body_timeout: self.duration("body_timeout", default.body_timeout),
            streams: self.read("max_streams", COUNT, default.streams, |text| {
                text.parse().ok().filter(|streams| *streams > 0)
            }),
            async_body_bytes: self.read("max_async_body_bytes", COUNT, default.async_body_bytes, |text| {
                text.parse().ok().filter(|bytes| *bytes > 0)
            }),
            async_memory_bytes: self.count("max_async_memory_bytes", default.async_memory_bytes),
        }
    }

    fn count(&mut self, name: &str, default: usize) -> usize {
        self.read(name, COUNT, default, |text| text.parse().ok().filter(|count| *count > 0))
    }

    fn duration(&mut self, name: &str, default: Duration) -> Duration {
        self.read(name, "a duration of a second or more", default, |text| {
            parse_duration(text).ok().filter(|duration| *duration >= Duration::from_secs(1))
        })
    }

    /// The names that people write in callbacks.
    fn own_gateway(&mut self) -> OwnGateway {
        let urls = |text: &str| OwnGateway::new(text.split(',').map(str::trim)).ok();
        self.read("gateway_url", "http or https URLs of this gateway", OwnGateway::default(), urls)
    }

    fn tls(&mut self) -> Option<TlsFiles> {
        let file = |name| self.env.get(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        match (file("tls_cert_file"), file("tls_key_file")) {
            (None, None) => None,
            (Some(certificates), Some(key)) => Some(TlsFiles { certificates, key }),
            _ => {
                self.problems.push("tls_cert_file and tls_key_file: set both, or neither".to_owned());
                None
            }
        }
    }

    /// A variable that is absent or empty is its default.
    fn read<T>(
        &mut self,
        name: &str,
        expected: &str,
        default: T,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        let Some(text) = self.env.get(name).filter(|text| !text.is_empty()) else { return default };
        parse(text).unwrap_or_else(|| {
            self.problems.push(format!("{name}: {text:?} is not {expected}"));
            default
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> anyhow::Result<Config> {
        let own = Own {
            namespace: Namespace::default(),
            credentials: None,
            scale_from_zero: true,
            drain_notice: Duration::ZERO,
        };
        config(&Env::of(variables), own)
    }

    #[test]
    fn what_is_set_is_used() {
        let config = read(&[
            ("max_connections", "7"),
            ("header_timeout", "2s"),
            ("trusted_proxies", "10.0.0.0/8, ::1"),
            ("drain_notice", "0"),
            ("idle_timeout", ""),
            ("tls_cert_file", "/c"),
            ("tls_key_file", "/k"),
        ])
        .unwrap();
        assert_eq!(config.limits.connections, 7);
        assert_eq!(config.limits.head_timeout, Duration::from_secs(2));
        assert_eq!(config.limits.idle_timeout, Limits::default().idle_timeout);
        assert_eq!(config.trusted_proxies.unwrap().len(), 2);
        assert_eq!(config.tls.unwrap().key, PathBuf::from("/k"));
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let error = read(&[
            ("gateway_workers", "0"),
            ("max_connections", "many"),
            ("max_header_bytes", "100"),
            ("body_timeout", "1ms"),
            ("trusted_proxies", "10.0.0.0/8,all"),
            ("tls_cert_file", "/c"),
        ])
        .unwrap_err()
        .to_string();
        for name in [
            "gateway_workers",
            "max_connections",
            "max_header_bytes",
            "body_timeout",
            "trusted_proxies",
            "tls_key_file",
        ] {
            assert!(error.contains(name), "{name}: {error}");
        }
    }
}
