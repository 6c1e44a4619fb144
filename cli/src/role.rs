//! What the long-running commands have in common: flags, logs, the admin listener, and the peers' variables.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use faas_api::{Namespace, Version, parse_duration};
use faas_daemon::{Admin, Shutdown};
use prometheus::Registry;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::env::Env;
use crate::failure::failure;

/// Invocations of one function that may wait for its first replica.
pub(crate) const MOST_WAITING: usize = 1024;

/// Flags of every long-running command.
#[derive(Debug, Args)]
pub(crate) struct RoleArgs {
    /// Where metrics and health checks are served, without credentials
    #[arg(long, env = "FAAS_ADMIN", value_name = "ADDRESS", default_value = "127.0.0.1:8082")]
    pub(crate) admin: SocketAddr,
    /// What is logged on standard error: a level, or levels per module
    #[arg(long, env = "FAAS_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
    /// Log lines as JSON
    #[arg(long, env = "FAAS_LOG_JSON")]
    log_json: bool,
}

impl RoleArgs {
    /// Logs from now on, and takes as many descriptors as the system gives.
    pub(crate) fn begin(&self) -> anyhow::Result<()> {
        raise_descriptors();
        faas_daemon::init_logging(&self.log, self.log_json).map_err(|error| failure(error.to_string()).into())
    }

    /// Binds the admin listener.
    pub(crate) fn bind_admin(&self) -> anyhow::Result<TcpListener> {
        bind(self.admin, "--admin or FAAS_ADMIN")
    }
}

/// Each replica and each connection takes some; the usual soft limit of 1,024 is meant for programs that use `select`.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// A bound listener, ready for the runtime; `setting` is what the user changes if the address is taken.
pub(crate) fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|error| {
        failure(format!("cannot listen on {address}: {error}"))
            .hint(format!("if faas is running already, use that; else choose another address with {setting}"))
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A listener of the runtime.
pub(crate) fn from_std(listener: TcpListener) -> anyhow::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::from_std(listener).context("cannot listen")
}

/// Runs a role on every core until it ends; what is left then had its time to drain.
pub(crate) fn block_on(role: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(role);
    runtime.shutdown_background();
    result
}

/// Serves the admin endpoints until the process ends; `collect` is called before each scrape.
pub(crate) fn serve_admin(
    listener: TcpListener,
    registry: Registry,
    collect: impl Fn() + Send + Sync + 'static,
    shutdown: &Shutdown,
) -> anyhow::Result<Admin> {
    let admin = Admin::new(registry, Arc::new(collect));
    tokio::spawn(admin.clone().run(from_std(listener)?, shutdown.abort.clone()));
    Ok(admin)
}

/// Of this program.
pub(crate) fn version() -> Version {
    Version {
        commit_message: String::new(),
        sha: option_env!("FAAS_COMMIT").filter(|commit| !commit.is_empty()).unwrap_or("unknown").to_owned(),
        release: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// A peers' variable that is a duration; what they fall back on silently is warned of here.
pub(crate) fn duration(env: &Env, name: &'static str, default: Duration) -> Duration {
    let Some(text) = env.get(name) else { return default };
    match parse_duration(text) {
        Ok(duration) if !duration.is_zero() => duration,
        _ => {
            tracing::warn!(variable = name, value = text, ?default, "not a duration above zero: the default is used");
            default
        }
    }
}

/// A peers' variable that is a number.
pub(crate) fn number<N: std::str::FromStr + std::fmt::Debug>(env: &Env, name: &'static str, default: N) -> N {
    let Some(text) = env.get(name) else { return default };
    text.parse().unwrap_or_else(|_| {
        tracing::warn!(variable = name, value = text, ?default, "not a number in range: the default is used");
        default
    })
}

/// A peers' variable that is a switch.
pub(crate) fn switch(env: &Env, name: &'static str, default: bool) -> bool {
    match env.get(name) {
        None | Some("") => default,
        Some("true" | "1") => true,
        Some("false" | "0") => false,
        Some(text) => {
            tracing::warn!(variable = name, value = text, default, "neither true nor false: the default is used");
            default
        }
    }
}

/// Bounds an invocation where neither function nor variable says otherwise; the peers' default.
pub(crate) fn upstream_timeout(env: &Env) -> Duration {
    duration(env, "upstream_timeout", Duration::from_mins(1))
}

/// Where functions live whose caller names no namespace.
pub(crate) fn namespace(env: &Env) -> anyhow::Result<Namespace> {
    match env.get("function_namespace") {
        None | Some("") => Ok(Namespace::default()),
        Some(name) => Ok(name.parse().map_err(|error| failure(format!("function_namespace: {error}")))?),
    }
}

/// What `basic_auth=true` asks for: two files in the folder `secret_mount_path`. Anything but `true` leaves `/system` open.
pub(crate) fn credentials(env: &Env) -> anyhow::Result<Option<faas_gateway::Credentials>> {
    if env.get("basic_auth") != Some("true") {
        tracing::warn!("basic_auth is not \"true\": anybody who reaches this gateway may change functions");
        return Ok(None);
    }
    let folder = Path::new(env.get("secret_mount_path").unwrap_or("/run/secrets/"));
    let read = |name: &str| {
        let file = folder.join(name);
        let text = std::fs::read_to_string(&file).map(|text| text.trim().to_owned());
        let text = text.with_context(|| format!("cannot read {}, which basic_auth needs", file.display()))?;
        anyhow::ensure!(!text.is_empty(), failure(format!("{} is empty, and basic_auth needs it", file.display())));
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
        let env = Env::of(&[("a", "30s"), ("b", "soon"), ("c", "0"), ("n", "-1"), ("t", "true"), ("u", "yes")]);
        let default = Duration::from_secs(7);
        for (name, seconds) in [("a", 30), ("b", 7), ("c", 7), ("missing", 7)] {
            assert_eq!(duration(&env, name, default).as_secs(), seconds, "{name}");
        }
        assert_eq!(number(&env, "n", 4_u16), 4);
        assert!(switch(&env, "t", false) && !switch(&env, "u", false) && switch(&env, "missing", true));
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
        assert!(credentials(&Env::of(&[("basic_auth", "True")])).unwrap().is_none());
    }
}
