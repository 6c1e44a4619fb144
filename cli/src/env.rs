//! What the process's environment says: read here, once, and passed down as a value.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The environment, and the name this program was called by.
#[derive(Debug, Clone, Default)]
pub(crate) struct Env {
    /// `faas`, or `faas-cli` when called through that link; stands in messages that name a command.
    pub(crate) program: String,
    variables: BTreeMap<String, String>,
}

impl Env {
    /// Reads the environment. Names and values that are not UTF-8 are nobody's setting.
    pub(crate) fn from_process() -> Self {
        let text =
            |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        let called_as = std::env::args_os().next().map(PathBuf::from);
        let program = called_as.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
        Self {
            program: program.unwrap_or("faas").to_owned(),
            variables: std::env::vars_os().filter_map(text).collect(),
        }
    }

    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Self { program: "faas".to_owned(), variables: variables.iter().map(own).collect() }
    }

    /// A variable as it is, for substitution in stack files.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// A variable that says something.
    fn setting(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The gateway to use where nothing else names one.
    pub(crate) fn gateway(&self) -> Option<&str> {
        self.setting("OPENFAAS_URL")
    }

    /// Stands before the image of a new function.
    pub(crate) fn image_prefix(&self) -> Option<&str> {
        self.setting("OPENFAAS_PREFIX")
    }

    /// Where the list of store functions is.
    pub(crate) fn store(&self) -> Option<&str> {
        self.setting("OPENFAAS_STORE")
    }

    /// Whether requests are printed.
    pub(crate) fn debug(&self) -> bool {
        self.setting("FAAS_DEBUG") == Some("1") || self.setting("OPENFAAS_DUMP_HTTP") == Some("true")
    }

    /// Whether a build server calls: then credentials live in the working folder.
    pub(crate) fn is_ci(&self) -> bool {
        matches!(self.setting("CI"), Some("1" | "true"))
    }

    /// The folder of the configuration file.
    pub(crate) fn config_directory(&self) -> PathBuf {
        match self.setting("OPENFAAS_CONFIG") {
            Some(path) => self.expand_home(path),
            None if self.is_ci() => PathBuf::from(".openfaas"),
            None => self.home().join(".openfaas"),
        }
    }

    /// Where installed dependencies are kept between builds.
    pub(crate) fn cache_directory(&self) -> PathBuf {
        let base = self.setting("XDG_CACHE_HOME").map(PathBuf::from);
        base.filter(|path| path.is_absolute()).unwrap_or_else(|| self.home().join(".cache")).join("faas")
    }

    /// Folders in which programs are found.
    pub(crate) fn path(&self) -> &str {
        self.setting("PATH").unwrap_or("/usr/local/bin:/usr/bin:/bin")
    }

    /// The proxy for URLs of this scheme.
    pub(crate) fn proxy(&self, scheme: &str) -> Option<&str> {
        let lower = format!("{scheme}_proxy");
        self.setting(&lower).or_else(|| self.setting(&lower.to_ascii_uppercase()))
    }

    /// Hosts that are reached without the proxy.
    pub(crate) fn no_proxy(&self) -> &str {
        self.setting("no_proxy").or_else(|| self.setting("NO_PROXY")).unwrap_or_default()
    }

    fn home(&self) -> PathBuf {
        self.setting("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from)
    }

    fn expand_home(&self, path: &str) -> PathBuf {
        match path.strip_prefix("~/") {
            Some(rest) => self.home().join(rest),
            None => PathBuf::from(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_where_the_peers_look_for_it() {
        for (variables, expect) in [
            (vec![("HOME", "/h")], "/h/.openfaas"),
            (vec![("HOME", "/h"), ("CI", "true")], ".openfaas"),
            (vec![("HOME", "/h"), ("CI", "no")], "/h/.openfaas"),
            (vec![("HOME", "/h"), ("CI", "1"), ("OPENFAAS_CONFIG", "/c")], "/c"),
            (vec![("HOME", "/h"), ("OPENFAAS_CONFIG", "~/c")], "/h/c"),
        ] {
            assert_eq!(Env::of(&variables).config_directory(), Path::new(expect), "{variables:?}");
        }
    }

    #[test]
    fn the_cache_follows_xdg() {
        assert_eq!(Env::of(&[("HOME", "/h")]).cache_directory(), Path::new("/h/.cache/faas"));
        let env = Env::of(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]);
        assert_eq!(env.cache_directory(), Path::new("/x/faas"));
    }
}
