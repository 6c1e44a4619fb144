//! Which credential goes with a request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config_file::ConfigFile;
use crate::env::Env;

/// A credential, ready for the header. Debug prints none of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// `user:password` in base64.
    Basic(String),
    /// A JWT.
    Bearer(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Credential(***)")
    }
}

/// Which of a saved credential and `--token` wins: the peers' commands differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preference {
    /// Most commands: a saved basic credential beats the flag.
    Saved,
    /// Namespace commands.
    Token,
}

impl Credential {
    /// A user with a password.
    pub(crate) fn basic(user: &str, password: &str) -> Self {
        Self::Basic(STANDARD.encode(format!("{user}:{password}")))
    }

    /// What the configuration file keeps.
    pub(crate) fn into_token(self) -> String {
        match self {
            Self::Basic(token) | Self::Bearer(token) => token,
        }
    }

    /// The value of the `Authorization` header.
    pub(crate) fn to_header(&self) -> String {
        match self {
            Self::Basic(token) => format!("Basic {token}"),
            Self::Bearer(token) => format!("Bearer {token}"),
        }
    }
}

/// The credential for this gateway, if there is one.
pub(crate) fn choose(
    gateway: &str,
    token: Option<&str>,
    preference: Preference,
    env: &Env,
) -> anyhow::Result<Option<Credential>> {
    let config = ConfigFile::load(env)?.unwrap_or_default();
    let saved = config.find(gateway).map(|auth| match auth.kind.as_str() {
        "oauth2" => Credential::Bearer(auth.token.clone()),
        _ => Credential::Basic(auth.token.clone()),
    });
    let token = token.filter(|token| !token.is_empty()).map(|token| Credential::Bearer(token.to_owned()));
    Ok(match (&saved, preference) {
        (Some(Credential::Basic(_)), Preference::Saved) => saved,
        _ => token.or(saved),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_file::Auth;

    #[test]
    fn a_saved_basic_credential_beats_the_flag_except_for_namespaces() {
        let home = tempfile::tempdir().unwrap();
        let env = Env::of(&[("OPENFAAS_CONFIG", home.path().to_str().unwrap())]);
        let mut config = ConfigFile::default();
        config.put(Auth::basic("http://a", "saved".into()));
        config.save(&env).unwrap();

        let bearer = Some(Credential::Bearer("jwt".into()));
        let basic = Some(Credential::Basic("saved".into()));
        let choose = |gateway, token, preference| choose(gateway, token, preference, &env).unwrap();
        assert_eq!(choose("http://a", Some("jwt"), Preference::Saved), basic);
        assert_eq!(choose("http://a", Some("jwt"), Preference::Token), bearer);
        assert_eq!(choose("http://b", Some("jwt"), Preference::Saved), bearer);
        assert_eq!(choose("http://b", None, Preference::Saved), None);
    }
}
