//! Finding, reading and narrowing the stack file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use faas_api::stack::{Function, Stack, substitute};
use regex_lite::Regex;

use crate::client::{Client, Request, Settings};
use crate::env::Env;
use crate::failure::failure;
use crate::output;

/// How long a stack file may take to download, as with the peers.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_mins(2);
/// Looked for, in this order, where no file is named.
const DEFAULT_FILES: [&str; 2] = ["stack.yaml", "stack.yml"];

/// Flags of every command.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct StackArgs {
    /// Path or URL of the YAML file describing functions; `stack.yaml` or `stack.yml` unless given
    #[arg(short = 'f', long = "yaml", global = true, help_heading = "YAML file", value_name = "FILE|URL")]
    pub(crate) yaml: Option<String>,
    /// Only functions whose names match this wildcard
    #[arg(long, global = true, help_heading = "YAML file", value_name = "WILDCARD")]
    pub(crate) filter: Option<String>,
    /// Only functions whose names match this regular expression
    #[arg(long, global = true, help_heading = "YAML file", value_name = "REGEX")]
    pub(crate) regex: Option<String>,
}

/// A stack file that was read.
#[derive(Debug, Default)]
pub(crate) struct LoadedStack {
    /// Its content, narrowed to the functions asked for.
    pub(crate) stack: Stack,
    /// Where it lies; none for a URL.
    pub(crate) path: Option<PathBuf>,
}

impl StackArgs {
    /// The stack file, if one is named or lies here.
    pub(crate) fn load(&self, envsubst: bool, env: &Env) -> anyhow::Result<Option<LoadedStack>> {
        let Some(source) = self.find() else { return Ok(None) };
        let is_url = source.starts_with("http://") || source.starts_with("https://");
        let text = if is_url { download(&source, env)? } else { read(Path::new(&source))? };
        let text = if envsubst { substitute_variables(&text, &source, env)? } else { text };
        let mut stack = Stack::parse(&text, &source)?;
        stack.functions = self.narrow(stack.functions)?;
        Ok(Some(LoadedStack { stack, path: (!is_url).then(|| PathBuf::from(source)) }))
    }

    /// What `load` would read.
    fn find(&self) -> Option<String> {
        let named = self.yaml.clone().filter(|name| !name.is_empty());
        named.or_else(|| DEFAULT_FILES.into_iter().find(|name| Path::new(name).is_file()).map(str::to_owned))
    }

    fn narrow(&self, functions: Vec<Function>) -> anyhow::Result<Vec<Function>> {
        let given = |flag: &Option<String>| flag.clone().filter(|text| !text.is_empty());
        let pattern = match (given(&self.filter), given(&self.regex)) {
            (Some(_), Some(_)) => return Err(failure("pass in a regex or a filter, not both").into()),
            (Some(wildcard), None) => wildcard_to_regex(&wildcard),
            (None, Some(regex)) => regex,
            (None, None) => return Ok(functions),
        };
        let regex = Regex::new(&pattern)
            .with_context(|| format!("failed to parse the regular expression {pattern:?}"))?;
        let chosen: Vec<_> =
            functions.into_iter().filter(|function| regex.is_match(&function.name)).collect();
        if chosen.is_empty() {
            return Err(failure("no functions matching --filter/--regex were found in the YAML file").into());
        }
        Ok(chosen)
    }
}

/// A star stands for any text; everything else for itself.
fn wildcard_to_regex(wildcard: &str) -> String {
    let parts: Vec<_> = wildcard.split('*').map(regex_lite::escape).collect();
    format!("^{}$", parts.join(".*"))
}

fn read(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = before.split(|&byte| byte == b'\n').count();
        let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
        failure(format!("{}:{line}:{column}: expected text in UTF-8", path.display())).into()
    })
}

fn substitute_variables(text: &str, source: &str, env: &Env) -> anyhow::Result<String> {
    let lookup = |name: &str| env.get(name).map(str::to_owned);
    substitute(text, &lookup).map_err(|error| failure(format!("{source}:{error}")).into())
}

fn download(url: &str, env: &Env) -> anyhow::Result<String> {
    let client = Client::new(Settings {
        gateway: url.to_owned(),
        credential: None,
        tls_no_verify: false,
        timeout: DOWNLOAD_TIMEOUT,
        env,
    });
    let mut answer =
        client.send_any(Request::get("")).with_context(|| format!("failed to download {url}"))?;
    if !answer.status.is_success() {
        return Err(failure(format!("failed to download {url}: {}", answer.status_line())).into());
    }
    output::talk(format!("Parsed: {url}"));
    Ok(answer.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn narrow(filter: Option<&str>, regex: Option<&str>) -> Result<Vec<String>, String> {
        let names = ["api", "api-v2", "web"];
        let functions = names.map(|name| Function { name: name.into(), ..Function::default() }).to_vec();
        let args = StackArgs { yaml: None, filter: filter.map(Into::into), regex: regex.map(Into::into) };
        let chosen = args.narrow(functions).map_err(|error| error.to_string())?;
        Ok(chosen.into_iter().map(|function| function.name).collect())
    }

    #[test]
    fn functions_are_chosen_by_wildcard_or_regex() {
        assert_eq!(narrow(None, None).unwrap(), ["api", "api-v2", "web"]);
        assert_eq!(narrow(Some("api*"), None).unwrap(), ["api", "api-v2"]);
        assert_eq!(narrow(Some("api"), None).unwrap(), ["api"]);
        assert_eq!(narrow(Some("*"), None).unwrap().len(), 3);
        assert_eq!(
            narrow(Some("a.i"), None).unwrap_err(),
            "no functions matching --filter/--regex were found in the YAML file"
        );
        assert_eq!(narrow(None, Some("v[0-9]|^web$")).unwrap(), ["api-v2", "web"]);
        assert_eq!(narrow(Some("a"), Some("b")).unwrap_err(), "pass in a regex or a filter, not both");
        assert!(narrow(None, Some("(")).is_err());
    }
}
