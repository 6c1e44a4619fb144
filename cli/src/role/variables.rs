//! OpenFaaS's variables, as the long-running commands read them. A value that means nothing is warned of, and the default
//! is used, as the peers do silently.

use std::time::Duration;

use faas_api::parse_duration;

use crate::env::Env;

/// A peers' variable that is a number.
pub(crate) fn number<N: std::str::FromStr + std::fmt::Debug>(env: &Env, name: &'static str, default: N) -> N {
    let Some(text) = env.get(name) else { return default };
    text.parse().unwrap_or_else(|_| {
        tracing::warn!(variable = name, value = text, ?default, "not a number in range: the default is used");
        default
    })
}

/// A peers' variable that is a duration; what they fall back on silently is warned of here.
pub(crate) fn duration(env: &Env, name: &'static str, default: Duration) -> Duration {
    let Some(text) = env.get(name) else { return default };
    match parse_duration(text) {
        Ok(duration) if !duration.is_zero() => duration,
        _ => {
            tracing::warn!(
                variable = name,
                value = text,
                ?default,
                "not a duration above zero: the default is used"
            );
            default
        }
    }
}

/// A peers' variable that is a switch.
pub(crate) fn switch(env: &Env, name: &'static str, default: bool) -> bool {
    match env.get(name) {
        None | Some("") => default,
        Some("true" | "1") => true,
        Some("false" | "0") => false,
        Some(text) => {
            tracing::warn!(
                variable = name,
                value = text,
                default,
                "neither true nor false: the default is used"
            );
            default
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_parse_is_the_default() {
        let env = Env::of(&[("n", "-1"), ("t", "true"), ("u", "yes")]);
        assert_eq!(number(&env, "n", 4_u16), 4);
        assert!(switch(&env, "t", false) && !switch(&env, "u", false) && switch(&env, "missing", true));
    }

    #[test]
    fn a_duration_that_does_not_parse_is_the_default() {
        let env = Env::of(&[("a", "30s"), ("b", "soon"), ("c", "0")]);
        for (name, seconds) in [("a", 30), ("b", 7), ("c", 7), ("missing", 7)] {
            assert_eq!(duration(&env, name, Duration::from_secs(7)).as_secs(), seconds, "{name}");
        }
    }
}
