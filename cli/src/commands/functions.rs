//! Which functions `build`, `push`, `deploy` and `up` work on: those of the stack file, or one that flags describe.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use faas_api::FunctionName;
use faas_api::stack::{Configuration, Function};

use crate::cli::Context;
use crate::failure::failure;
use crate::output;
use crate::packages;

/// Flags that describe a function or its tag.
#[derive(Debug, Clone, Args)]
pub(crate) struct FunctionArgs {
    /// Image of the function, without a YAML file
    #[arg(long)]
    pub(crate) image: Option<String>,
    /// Name of the function, without a YAML file
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Folder of the handler, without a YAML file
    #[arg(long, value_name = "DIR")]
    pub(crate) handler: Option<String>,
    /// Language of the function, without a YAML file
    #[arg(long)]
    pub(crate) lang: Option<String>,
    /// Make the image's tag from git or from the handler
    #[arg(long, value_enum)]
    pub(crate) tag: Option<Tag>,
}

/// Where a tag comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tag {
    // As it is.
    Latest,
    // With the commit.
    Sha,
    // With branch and commit.
    Branch,
    // With what `git describe` says.
    Describe,
    // A digest of the handler folder instead.
    Digest,
}

/// What to work on.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// In the file's order; images are tagged.
    pub(crate) functions: Vec<Function>,
    /// `configuration` of the stack file.
    pub(crate) configuration: Configuration,
    /// `provider.gateway` of the stack file.
    pub(crate) gateway: String,
    /// The stack file, if it is one and not a URL.
    pub(crate) path: Option<PathBuf>,
    /// Whether the functions come from a stack file.
    pub(crate) from_stack: bool,
}

impl FunctionArgs {
    /// The functions; `missing` is said where nothing names any.
    pub(crate) fn load(&self, envsubst: bool, missing: &str, context: &Context) -> anyhow::Result<Work> {
        let mut work = match context.stack.load(envsubst, &context.env)? {
            Some(loaded) => {
                if self.image.is_some() || self.name.is_some() {
                    output::talk("note: the YAML file is used, --image and --name are not");
                }
                if loaded.stack.functions.is_empty() {
                    let source = loaded.path.as_deref().unwrap_or_else(|| Path::new("the YAML file"));
                    return Err(failure(format!("{}: there are no functions", source.display())).into());
                }
                Work {
                    functions: loaded.stack.functions,
                    configuration: loaded.stack.configuration,
                    gateway: loaded.stack.provider.gateway,
                    path: loaded.path,
                    from_stack: true,
                }
            }
            None => Work { functions: vec![self.one(missing)?], ..Work::default() },
        };
        for function in &mut work.functions {
            let name = &function.name;
            check_name(name, || {
                format!("validation failed: service: ({name}) is invalid, must be a valid DNS entry")
            })?;
            function.image = tagged(function, self.tag.unwrap_or(Tag::Latest))?;
        }
        Ok(work)
    }

    fn one(&self, missing: &str) -> anyhow::Result<Function> {
        let (Some(name), Some(image)) = (&self.name, &self.image) else {
            return Err(failure(missing).into());
        };
        Ok(Function {
            name: name.clone(),
            image: image.clone(),
            handler: self.handler.clone().unwrap_or_default(),
            lang: self.lang.clone().unwrap_or_default(),
            ..Function::default()
        })
    }
}

/// The name becomes a path, so it is checked here and not only by the gateway. The peers' commands differ in what they
/// say.
pub(crate) fn check_name(name: &str, message: impl FnOnce() -> String) -> anyhow::Result<()> {
    let parsed: Result<FunctionName, _> = name.parse();
    parsed.map(drop).map_err(|_| failure(message()).into())
}

/// The image with its tag; a function without an image is called after itself.
fn tagged(function: &Function, tag: Tag) -> anyhow::Result<String> {
    let image = if function.image.is_empty() { &function.name } else { &function.image };
    let last = image.rsplit('/').next().unwrap_or_default();
    let image = if last.contains([':', '@']) { image.clone() } else { format!("{image}:latest") };
    Ok(match tag {
        Tag::Latest => image,
        Tag::Sha => format!("{image}-{}", git(&["rev-parse", "--short", "HEAD"])?),
        Tag::Branch => {
            let branch = git(&["rev-parse", "--abbrev-ref", "HEAD"])?.replace('/', "-");
            format!("{image}-{branch}-{}", git(&["rev-parse", "--short", "HEAD"])?)
        }
        Tag::Describe => format!("{image}-{}", git(&["describe", "--tags", "--always"])?),
        Tag::Digest => {
            let name = image.rsplit_once(':').map_or(image.as_str(), |(name, _)| name);
            format!("{name}:{}", packages::digest_of_folder(Path::new(&function.handler))?)
        }
    })
}

fn git(arguments: &[&str]) -> anyhow::Result<String> {
    let output =
        std::process::Command::new("git").args(arguments).output().context("failed to run git for --tag")?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && !text.is_empty() {
        return Ok(text);
    }
    let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(failure(format!("cannot make a tag from git: {why}")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_get_a_tag_and_keep_their_own() {
        for (image, expect) in [
            ("", "f:latest"),
            ("f", "f:latest"),
            ("f:1.0", "f:1.0"),
            ("localhost:5000/f", "localhost:5000/f:latest"),
            ("r/f@sha256:00", "r/f@sha256:00"),
        ] {
            let function = Function { name: "f".into(), image: image.into(), ..Function::default() };
            assert_eq!(tagged(&function, Tag::Latest).unwrap(), expect);
        }
    }

    #[test]
    fn names_that_would_leave_the_build_folder_are_refused() {
        let check = |name: &str| check_name(name, || "no name".to_owned());
        assert!(check("hello-python").is_ok());
        for bad in ["../x", "a/b", "", "A"] {
            assert_eq!(check(bad).unwrap_err().to_string(), "no name", "{bad}");
        }
    }
}
