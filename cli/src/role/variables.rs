//! OpenFaaS's variables, as the long-running commands read them. A value that means nothing is warned of, and the default
//! is used, as the peers do silently.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use faas_api::{Namespace, parse_duration};

use crate::env::Env;
use crate::failure::failure;

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

/// Where functions live whose caller names no namespace.
pub(crate) fn namespace(env: &Env) -> anyhow::Result<Namespace> {
    match env.get("function_namespace") {
        None | Some("") => Ok(Namespace::default()),
        Some(name) => Ok(name.parse().map_err(|error| failure(format!("function_namespace: {error}")))?),
    }
}

/// What `basic_auth=true` asks for: two files in the folder `secret_mount_path`. Only a clear no leaves `/system` open.
pub(crate) fn credentials(env: &Env) -> anyhow::Result<Option<faas_gateway::Credentials>> {
    match env.get("basic_auth") {
        Some("true" | "1") => {}
        None | Some("" | "false" | "0") => {
            tracing::warn!("basic_auth is off: anybody who reaches this gateway may change functions");
            return Ok(None);
        }
        Some(text) => anyhow::bail!(failure(format!("basic_auth: {text:?} is neither true nor false"))),
    }
    let folder = Path::new(env.get("secret_mount_path").unwrap_or("/run/secrets/"));
    let read = |name: &str| {
        let file = folder.join(name);
        let text = std::fs::read_to_string(&file).map(|text| text.trim().to_owned());
        let text = text.with_context(|| format!("cannot read {}, which basic_auth needs", file.display()))?;
        anyhow::ensure!(
            !text.is_empty(),
            failure(format!("{} is empty, and basic_auth needs it", file.display()))
        );
        Ok(text)
    };
    let (user, password) = (read("basic-auth-user")?, read("basic-auth-password")?);
    Ok(Some(faas_gateway::Credentials::new(&user, &password)))
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

    #[test]
    fn credentials_need_both_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_string_lossy().into_owned();
        let env = Env::of(&[("basic_auth", "true"), ("secret_mount_path", &path)]);
        std::fs::write(folder.path().join("basic-auth-user"), "admin\n").unwrap();
        assert!(credentials(&env).unwrap_err().to_string().contains("basic-auth-password"));
        std::fs::write(folder.path().join("basic-auth-password"), "\n").unwrap();
        assert!(credentials(&env).unwrap_err().to_string().contains("is empty"));
        std::fs::write(folder.path().join("basic-auth-password"), "s3cret\n").unwrap();
        assert!(credentials(&env).unwrap().is_some());
        assert!(credentials(&Env::of(&[("basic_auth", "True")])).is_err());
        assert!(credentials(&Env::of(&[("basic_auth", "false")])).unwrap().is_none());
    }
}
