//! Which gateway a command talks to.

use crate::env::Env;

/// Where a gateway listens unless told otherwise.
pub(crate) const DEFAULT: &str = "http://127.0.0.1:8080";

/// The flag, then the stack file, then the environment: the first that is not the default wins, as with the peers.
pub(crate) fn choose(flag: Option<&str>, stack_file: &str, env: &Env) -> String {
    let named = [flag.unwrap_or_default(), stack_file, env.gateway().unwrap_or_default()];
    let normal = named.into_iter().filter(|url| !url.is_empty()).map(normalise);
    normal.into_iter().find(|url| url != DEFAULT).unwrap_or_else(|| DEFAULT.to_owned())
}

/// The form under which credentials are kept: lower case, with a scheme, without a slash at the end.
pub(crate) fn normalise(url: &str) -> String {
    let url = url.trim().trim_end_matches('/').to_lowercase();
    if url.starts_with("http") { url } else { format!("http://{url}") }
}

/// What to say about credentials that travel in the clear, if anything.
pub(crate) fn tls_warning(gateway: &str, tls_no_verify: bool) -> Option<&'static str> {
    let safe = ["https", "http://127.0.0.1", "http://localhost"].iter().any(|safe| gateway.starts_with(safe));
    (!safe && !tls_no_verify)
        .then_some("WARNING! You are not using an encrypted connection to the gateway, consider using HTTPS.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_normal_before_they_are_compared() {
        for (url, expect) in [
            ("HTTP://GW:8080/", "http://gw:8080"),
            ("gw.example.com", "http://gw.example.com"),
            ("https://gw//", "https://gw"),
        ] {
            assert_eq!(normalise(url), expect);
        }
    }

    #[test]
    fn the_first_that_is_not_the_default_wins() {
        let env = Env::of(&[("OPENFAAS_URL", "http://env")]);
        let none = Env::default();
        for (flag, yaml, env, expect) in [
            (Some("http://flag"), "http://yaml", &env, "http://flag"),
            (Some(DEFAULT), "http://yaml", &env, "http://yaml"),
            (None, DEFAULT, &env, "http://env"),
            (None, "", &none, DEFAULT),
            (Some(DEFAULT), "", &none, DEFAULT),
        ] {
            assert_eq!(choose(flag, yaml, env), expect);
        }
    }

    #[test]
    fn only_remote_plain_http_is_warned_about() {
        assert!(tls_warning("http://gw", false).is_some());
        assert!(tls_warning("http://gw", true).is_none());
        for safe in ["https://gw", DEFAULT, "http://localhost:1"] {
            assert!(tls_warning(safe, false).is_none());
        }
    }
}
