//! The file of saved credentials, `~/.openfaas/config.yml`, shared with the peers' client.
//!
//! Keys we do not know are kept. Written beside itself and renamed, readable by the user alone.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_yaml_ng::Value;

use crate::env::Env;
use crate::failure::failure;

/// The file's content.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct ConfigFile {
    #[serde(default, deserialize_with = "null_as_empty")]
    auths: Vec<Auth>,
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

/// The credential for one gateway.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Auth {
    /// Normal form, see `gateway::normalise`.
    pub(crate) gateway: String,
    /// `basic` or `oauth2`.
    #[serde(rename = "auth", default)]
    pub(crate) kind: String,
    /// `user:password` in base64, or a JWT.
    #[serde(default)]
    pub(crate) token: String,
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

impl Auth {
    /// A basic credential.
    pub(crate) fn basic(gateway: &str, token: String) -> Self {
        Self { gateway: gateway.to_owned(), kind: "basic".to_owned(), token, other: BTreeMap::new() }
    }
}

fn null_as_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Auth>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn path(env: &Env) -> PathBuf {
    env.config_directory().join("config.yml")
}

impl ConfigFile {
    /// Reads the file; `None` when there is none.
    pub(crate) fn load(env: &Env) -> anyhow::Result<Option<Self>> {
        let path = path(env);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("failed to read {}", path.display())),
        };
        if text.trim().is_empty() {
            return Ok(Some(Self::default()));
        }
        let config = serde_yaml_ng::from_str(&text);
        config.map(Some).with_context(|| format!("failed to read {}", path.display()))
    }

    /// The credential for this gateway.
    pub(crate) fn find(&self, gateway: &str) -> Option<&Auth> {
        self.auths.iter().find(|auth| auth.gateway == gateway)
    }

    /// Puts the credential in the place of an older one for its gateway.
    pub(crate) fn put(&mut self, auth: Auth) {
        match self.auths.iter_mut().find(|other| other.gateway == auth.gateway) {
            Some(other) => *other = auth,
            None => self.auths.push(auth),
        }
    }

    /// Drops the credential for this gateway.
    pub(crate) fn remove(&mut self, gateway: &str) -> anyhow::Result<()> {
        let before = self.auths.len();
        self.auths.retain(|auth| auth.gateway != gateway);
        if self.auths.len() == before {
            return Err(failure(format!("no auth config found for {gateway}")).into());
        }
        Ok(())
    }

    /// Writes the file, whole or not at all.
    pub(crate) fn save(&self, env: &Env) -> anyhow::Result<()> {
        let directory = env.config_directory();
        let mode = if env.is_ci() { 0o744 } else { 0o700 };
        let write = || -> anyhow::Result<()> {
            DirBuilder::new().recursive(true).mode(mode).create(&directory)?;
            // Such files are made with mode 0600.
            let mut file = tempfile::NamedTempFile::new_in(&directory)?;
            file.write_all(serde_yaml_ng::to_string(self)?.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(path(env))?;
            Ok(())
        };
        write().with_context(|| format!("failed to write {}", path(env).display()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: PathBuf) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_saved_is_found_again_and_private() {
        let home = tempfile::tempdir().unwrap();
        let env = Env::of(&[("HOME", home.path().to_str().unwrap())]);
        assert!(ConfigFile::load(&env).unwrap().is_none());

        let mut config = ConfigFile::default();
        config.put(Auth::basic("http://a", "1".into()));
        config.put(Auth::basic("http://b", "2".into()));
        config.put(Auth::basic("http://a", "3".into()));
        config.save(&env).unwrap();

        let mut config = ConfigFile::load(&env).unwrap().unwrap();
        assert_eq!(config.find("http://a").unwrap().token, "3");
        assert_eq!((mode(env.config_directory()), mode(path(&env))), (0o700, 0o600));
        config.remove("http://a").unwrap();
        assert!(config.find("http://a").is_none() && config.remove("http://a").is_err());
    }

    #[test]
    fn keys_of_others_survive() {
        let home = tempfile::tempdir().unwrap();
        let env = Env::of(&[("OPENFAAS_CONFIG", home.path().to_str().unwrap())]);
        let text = "auths:\n- gateway: http://a\n  auth: oauth2\n  token: t\n  options:\n  - name: x\n    value: y\ncolour: blue\n";
        std::fs::write(path(&env), text).unwrap();
        ConfigFile::load(&env).unwrap().unwrap().save(&env).unwrap();
        assert_eq!(std::fs::read_to_string(path(&env)).unwrap(), text);
    }
}
