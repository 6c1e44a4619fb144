//! OpenFaaS's variables that only the roles of an installation read. What decides who may do what has no default.

use std::path::Path;

use anyhow::Context as _;
use faas_api::Namespace;

use crate::env::Env;
use crate::failure::failure;

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
