//! Image builds, for languages that have a Dockerfile instead of a package: docker or buildah does the work.

use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use faas_api::stack::Function;

use crate::env::Env;
use crate::failure::failure;
use crate::templates::{self, Template};

/// Names inside a handler folder that never go into a build, as with the peers.
const SKIPPED: [&str; 2] = ["build", "template"];

/// Flags of `build` that only an image build understands.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ImageFlags {
    /// Build images without the cache
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Squash an image's layers
    #[arg(long)]
    pub(crate) squash: bool,
    /// Pull base images even when they are here
    #[arg(long)]
    pub(crate) pull: bool,
    /// Show nothing of what an image build prints
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Write the build folder of an image, and build nothing
    #[arg(long)]
    pub(crate) shrinkwrap: bool,
    /// Set an argument of an image build (KEY=VALUE, may be repeated)
    #[arg(short = 'b', long = "build-arg", value_name = "KEY=VALUE")]
    pub(crate) build_arg: Vec<String>,
    /// Choose one of the template's sets of packages (may be repeated)
    #[arg(short = 'o', long = "build-option", value_name = "NAME")]
    pub(crate) build_option: Vec<String>,
    /// Set a label on an image (KEY=VALUE, may be repeated)
    #[arg(long = "build-label", value_name = "KEY=VALUE")]
    pub(crate) build_label: Vec<String>,
    /// Copy a folder into the handler before building (may be repeated)
    #[arg(long = "copy-extra", value_name = "PATH")]
    pub(crate) copy_extra: Vec<String>,
}

/// Writes the build folder `build/NAME` anew and returns it.
pub(crate) fn write_context(
    function: &Function,
    template: Option<&Template>,
    extra: &[String],
) -> anyhow::Result<PathBuf> {
    let context = make_context(function)?;
    let local = template.and_then(|template| Some((template.local_folder()?, template)));
    let handler = match local {
        Some((folder, template)) => {
            copy_tree(folder, &context, &[])?;
            context.join(plain_folder(template.handler_folder())?)
        }
        None => context.clone(),
    };
    copy_tree(Path::new(&function.handler), &handler, &SKIPPED)?;
    for path in extra {
        copy_extra(path, &handler)?;
    }
    Ok(context)
}

/// A template's word for a folder of its own, which it does not leave.
fn plain_folder(folder: &str) -> anyhow::Result<&Path> {
    let is_plain = Path::new(folder).components().all(|part| matches!(part, Component::Normal(_)));
    is_plain.then(|| Path::new(folder)).ok_or_else(|| {
        failure(format!("a template's handler_folder must be a folder inside it, not {folder:?}")).into()
    })
}

/// Copies a path of the project under the handler folder, where it gets the place that it has in the project. Paths
/// outside the project are refused, and what builds leave behind, which the copy itself is in.
pub(crate) fn copy_extra(path: &str, handler: &Path) -> anyhow::Result<()> {
    let real = std::fs::canonicalize(path).ok().zip(std::fs::canonicalize(".").ok());
    let inside = real.as_ref().and_then(|(path, project)| path.strip_prefix(project).ok());
    match inside {
        Some(inside) if !inside.starts_with("build") => {
            copy_tree(Path::new(path), &handler.join(inside), &SKIPPED)
        }
        _ => {
            Err(failure(format!("forbidden path appears to be outside of the build context: {path}")).into())
        }
    }
}

/// Copies a file or folder with its modes; `skip` names entries of the top folder to leave out. Links are copied as
/// what they point at, and one that leaves the folder is refused, as in packages.
pub(crate) fn copy_tree(from: &Path, to: &Path, skip: &[&str]) -> anyhow::Result<()> {
    let root = from.canonicalize().with_context(|| format!("failed to read {}", from.display()))?;
    let is_wanted =
        |entry: &walkdir::DirEntry| entry.depth() != 1 || !skip.iter().any(|name| entry.file_name() == *name);
    let entries = walkdir::WalkDir::new(from).follow_links(true).sort_by_file_name();
    for entry in entries.into_iter().filter_entry(is_wanted) {
        let entry = entry.with_context(|| format!("failed to read {}", from.display()))?;
        if entry.path_is_symlink() && !entry.path().canonicalize().is_ok_and(|real| real.starts_with(&root)) {
            let link = entry.path().display();
            return Err(failure(format!("{link} is a link to something outside {}", root.display())).into());
        }
        let inner = entry.path().strip_prefix(from)?;
        // Joined to nothing, a file's path would end in a slash.
        let target = if inner.as_os_str().is_empty() { to.to_owned() } else { to.join(inner) };
        if entry.file_type().is_dir() {
            templates::make_directory(&target)?;
        } else {
            copy_file(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Copies a file with its mode, and makes the folders that it goes into.
pub(crate) fn copy_file(from: &Path, to: &Path) -> anyhow::Result<()> {
    templates::make_directory(to.parent().unwrap_or_else(|| Path::new(".")))?;
    let copied = std::fs::copy(from, to);
    copied.with_context(|| format!("failed to copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// The build folder `build/NAME`, empty.
pub(crate) fn make_context(function: &Function) -> anyhow::Result<PathBuf> {
    let context = Path::new("build").join(&function.name);
    if context.exists() {
        std::fs::remove_dir_all(&context)
            .with_context(|| format!("failed to clear {}", context.display()))?;
    }
    templates::make_directory(&context)?;
    Ok(context)
}

/// Builds the image of the folder `context`.
pub(crate) fn build(
    function: &Function,
    template: Option<&Template>,
    context: &Path,
    flags: &ImageFlags,
    env: &Env,
) -> anyhow::Result<()> {
    let mut command = Command::new(find_builder(env)?);
    command.arg("build").args(arguments(function, template, flags, env)?);
    command.arg(".").current_dir(context).stdin(Stdio::null());
    run(&mut command)
}

/// Pushes an image to its registry.
pub(crate) fn push(image: &str, quiet: bool, env: &Env) -> anyhow::Result<()> {
    let mut command = Command::new(find_builder(env)?);
    command.arg("push").args(quiet.then_some("--quiet")).arg(image);
    run(command.stdin(Stdio::null()))
}

fn arguments(
    function: &Function,
    template: Option<&Template>,
    flags: &ImageFlags,
    env: &Env,
) -> anyhow::Result<Vec<String>> {
    let mut arguments: Vec<String> = Vec::new();
    let switches = [
        ("--no-cache", flags.no_cache),
        ("--squash", flags.squash),
        ("--pull", flags.pull),
        ("--quiet", flags.quiet),
    ];
    arguments.extend(switches.iter().filter(|(_, on)| *on).map(|(name, _)| (*name).to_owned()));
    let mut build_args = function.build_args.clone();
    build_args.extend(crate::text::parse_pairs(&flags.build_arg, "build-arg")?);
    for scheme in ["http", "https"] {
        if let Some(proxy) = env.proxy(scheme) {
            build_args.entry(format!("{scheme}_proxy")).or_insert_with(|| proxy.to_owned());
        }
    }
    build_args
        .entry("ADDITIONAL_PACKAGE".to_owned())
        .or_insert(additional_packages(function, template, flags)?);
    for (key, value) in build_args {
        arguments.extend(["--build-arg".to_owned(), format!("{key}={value}")]);
    }
    for label in &flags.build_label {
        crate::text::parse_pair(label, "build-label")?;
        arguments.extend(["--label".to_owned(), label.clone()]);
    }
    for (id, path) in &function.build_secrets {
        let path = std::path::absolute(path)?;
        arguments.extend(["--secret".to_owned(), format!("id={id},src={}", path.display())]);
    }
    arguments.extend(["--tag".to_owned(), function.image.clone()]);
    Ok(arguments)
}

/// The packages of the chosen build options, sorted, each once.
fn additional_packages(
    function: &Function,
    template: Option<&Template>,
    flags: &ImageFlags,
) -> anyhow::Result<String> {
    let known = template.map(|template| template.settings.build_options.as_slice()).unwrap_or_default();
    let mut packages = std::collections::BTreeSet::new();
    for name in function.build_options.iter().chain(&flags.build_option) {
        let Some(option) = known.iter().find(|option| option.name == *name) else {
            let message = format!("Error: You're using a build option unavailable for {}.", function.lang);
            let names: Vec<_> = known.iter().map(|option| option.name.as_str()).collect();
            return Err(failure(message).hint(format!("its build options are: {}", names.join(", "))).into());
        };
        packages.extend(option.packages.iter().map(String::as_str));
    }
    Ok(packages.into_iter().collect::<Vec<_>>().join(" "))
}

fn find_builder(env: &Env) -> anyhow::Result<PathBuf> {
    let folders = || std::env::split_paths(env.path());
    let found = ["docker", "buildah"]
        .into_iter()
        .find_map(|name| folders().map(|folder| folder.join(name)).find(|path| path.is_file()));
    found.ok_or_else(|| {
        failure("cannot build an image: neither docker nor buildah was found in PATH")
            .hint("languages other than dockerfile are built as packages, without either")
            .into()
    })
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let arguments: Vec<_> =
        command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let verb = arguments.first().cloned().unwrap_or_default();
    // Their talk is talk here too.
    let status =
        command.stdout(std::io::stderr()).status().with_context(|| format!("failed to run {program}"))?;
    if status.success() {
        return Ok(());
    }
    Err(failure(format!("{program} {verb} failed: {status}")).into())
}
