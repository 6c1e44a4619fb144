//! Handler folders as packages: build, find the one built before, upload.
//!
//! A package lies in `build/NAME.zip` under the working folder, and in `build/NAME.inputs` what it was built from:
//! handler, language, and each file's size and times. It is built again when that is different now. Installed
//! dependencies are kept in the user's cache.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use faas_api::Digest;
use faas_api::stack::Function;
use faas_package::{InstallRequest, Installed, Manifest, Source};
use sha2::{Digest as _, Sha256};
use ureq::http::Method;
use walkdir::WalkDir;

use crate::client::{Client, Request};
use crate::env::Env;
use crate::failure::failure;
use crate::progress::{self, Progress};
use crate::{images, output, templates, text};

/// Where builds go.
const FOLDER: &str = "build";
/// As coarse as the times of files get.
const CLOCK_TICK: Duration = Duration::from_millis(20);

/// Before the paths that flags named, among the inputs.
const FLAGS: &str = "copy-extra ";

/// A built package.
#[derive(Debug)]
pub(crate) struct Package {
    /// The zip.
    pub(crate) path: PathBuf,
    /// Its name.
    pub(crate) digest: Digest,
    /// Its runtime's name.
    pub(crate) runtime: String,
}

/// The manifest of functions in this language; none where there is no such language, or where it makes images.
pub(crate) fn manifest_of(function: &Function) -> Option<Manifest> {
    let lang = function.lang.split('@').next().unwrap_or_default();
    faas_package::find_language(lang)?.manifest()
}

/// Where the package of this function lies.
pub(crate) fn path_of(function: &Function) -> PathBuf {
    Path::new(FOLDER).join(format!("{}.zip", function.name))
}

/// The package as it was built, or built now where it is missing or stale. The flag says which. Without paths of
/// `flags`, those of the last build hold: `deploy` after `build --copy-extra X` is not to leave X out.
pub(crate) fn ensure(
    function: &Function,
    stack: Option<&Path>,
    copy: &[String],
    flags: &[String],
    env: &Env,
) -> anyhow::Result<(Package, bool)> {
    let known = std::fs::read_to_string(inputs_path(function)).unwrap_or_default();
    let flags = if flags.is_empty() { Inputs::parse_flags(&known) } else { flags.to_vec() };
    // What cannot be read, the build will tell.
    let is_fresh = path_of(function).is_file()
        && Inputs::read(function, stack, copy, &flags).is_ok_and(|inputs| inputs.text == known);
    if is_fresh {
        return Ok((open(function)?, false));
    }
    Ok((build(function, stack, copy, &flags, false, env)?, true))
}

/// The package as it was built.
pub(crate) fn open(function: &Function) -> anyhow::Result<Package> {
    let manifest = require_manifest(function)?;
    let path = path_of(function);
    let digest =
        faas_package::digest_of_file(&path).with_context(|| format!("failed to read {}", path.display()))?;
    Ok(Package { path, digest, runtime: manifest.runtime.to_string() })
}

/// Builds the package, with the paths of the stack file and of flags beside the handler's. `fresh` passes the cache of
/// dependencies by.
pub(crate) fn build(
    function: &Function,
    stack: Option<&Path>,
    copy: &[String],
    flags: &[String],
    fresh: bool,
    env: &Env,
) -> anyhow::Result<Package> {
    let mut manifest = require_manifest(function)?;
    if function.handler.is_empty() || !Path::new(&function.handler).is_dir() {
        let message =
            format!("function {}: the handler folder {:?} was not found", function.name, function.handler);
        return Err(failure(message)
            .hint("paths are relative to the folder that the command runs in")
            .into());
    }
    make_folder()?;
    // Until the new package is there, nothing says that the old one is up to date.
    let inputs_path = inputs_path(function);
    match std::fs::remove_file(&inputs_path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("failed to remove {}", inputs_path.display()));
        }
        _ => {}
    }
    let failed = || format!("failed to build {}", function.name);
    // Read before the files are: what changes meanwhile is another input.
    let inputs = Inputs::read(function, stack, copy, flags).with_context(failed)?;
    inputs.settle();
    let extra: Vec<&str> = copy.iter().chain(flags).map(String::as_str).collect();
    let handler = stage(function, &extra)?;
    let installed = install(&manifest, &handler, fresh, env).with_context(failed)?;
    manifest.requires = installed.as_ref().and_then(|installed| installed.requires.clone());
    let source = Source {
        handler: &handler,
        dependencies: installed.as_ref().map(|installed| installed.folder.as_path()),
        manifest: &manifest,
    };
    let path = path_of(function);
    let digest = faas_package::pack(&source, &path).with_context(failed)?;
    std::fs::write(&inputs_path, inputs.text)
        .with_context(|| format!("failed to write {}", inputs_path.display()))?;
    Ok(Package { path, digest, runtime: manifest.runtime.to_string() })
}

fn make_folder() -> anyhow::Result<()> {
    std::fs::create_dir_all(FOLDER).with_context(|| format!("failed to create the folder {FOLDER}"))
}

fn require_manifest(function: &Function) -> anyhow::Result<Manifest> {
    manifest_of(function).ok_or_else(|| match function.lang.as_str() {
        "" => failure(format!("function {}: a package needs lang and handler", function.name)).into(),
        lang if faas_package::find_language(lang).is_some() => {
            failure(format!("function {}: lang {lang} makes images, not packages", function.name)).into()
        }
        lang => anyhow::Error::new(templates::unknown(lang)),
    })
}

/// The handler folder itself, or a copy of it beside the paths that go with it.
fn stage(function: &Function, extra: &[&str]) -> anyhow::Result<PathBuf> {
    if extra.is_empty() {
        return Ok(PathBuf::from(&function.handler));
    }
    let context = images::make_context(function)?;
    // The list has no link that leaves the handler folder, and nothing that a package leaves out.
    for (inner, path) in faas_package::handler_files(Path::new(&function.handler))? {
        images::copy_file(&path, &context.join(inner))?;
    }
    for path in extra {
        images::copy_extra(path, &context)?;
    }
    Ok(context)
}

/// The interpreter is looked for only where something is to be installed: a shim answers slowly.
fn install(manifest: &Manifest, handler: &Path, fresh: bool, env: &Env) -> anyhow::Result<Option<Installed>> {
    if !faas_package::needs_installation(manifest.runtime, handler)? {
        return Ok(None);
    }
    let search_path = OsStr::new(env.path());
    let Some(interpreter) = faas_package::resolve(manifest.runtime, search_path)? else { return Ok(None) };
    let cache = env.cache_directory().join("dependencies");
    let request = InstallRequest {
        runtime: manifest.runtime,
        handler,
        interpreter: &interpreter,
        search_path,
        cache: &cache,
        fresh,
    };
    let mut shown: Option<Progress> = None;
    let installed = faas_package::install(&request, &mut |line| {
        shown.get_or_insert_with(|| progress::spinner("Installing dependencies")).note(line);
    })?;
    Ok(installed)
}

/// What decides the bytes of a package, as far as it can be told without reading files: a text to compare.
struct Inputs {
    text: String,
    /// When the youngest file was changed.
    changed: SystemTime,
}

impl Inputs {
    fn read(
        function: &Function,
        stack: Option<&Path>,
        copy: &[String],
        flags: &[String],
    ) -> anyhow::Result<Self> {
        let version = env!("CARGO_PKG_VERSION");
        let Function { handler, lang, .. } = function;
        let head = format!("faas {version}\nhandler {handler:?}\nlang {lang:?}\ncopy {copy:?}\n");
        let text = format!("{head}{FLAGS}{}\n", serde_json::to_string(flags)?);
        let mut inputs = Self { text, changed: SystemTime::UNIX_EPOCH };
        for (_, path) in faas_package::handler_files(Path::new(handler))? {
            inputs.add(&path)?;
        }
        for path in copy.iter().chain(flags) {
            for entry in WalkDir::new(path).follow_links(true).sort_by_file_name() {
                let entry = entry.with_context(|| format!("failed to read {path}"))?;
                if entry.file_type().is_file() {
                    inputs.add(entry.path())?;
                }
            }
        }
        stack.map_or(Ok(()), |path| inputs.add(path))?;
        Ok(inputs)
    }

    /// The paths that flags named, from such a text; none where there are none.
    fn parse_flags(text: &str) -> Vec<String> {
        let line = text.lines().find_map(|line| line.strip_prefix(FLAGS));
        line.and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default()
    }

    /// The time of the last change tells what a copied or restored time of modification hides.
    fn add(&mut self, path: &Path) -> anyhow::Result<()> {
        let metadata =
            std::fs::metadata(path).with_context(|| format!("failed to read {}", path.display()))?;
        let (modified, changed) = (metadata.mtime(), metadata.ctime());
        let changed_part = Duration::new(u64::try_from(changed)?, u32::try_from(metadata.ctime_nsec())?);
        self.changed = self.changed.max(SystemTime::UNIX_EPOCH + changed_part);
        let _ = writeln!(
            self.text,
            "{} {modified}.{:09} {changed}.{:09} {:?}",
            metadata.len(),
            metadata.mtime_nsec(),
            metadata.ctime_nsec(),
            path.to_string_lossy(),
        );
        Ok(())
    }

    /// Waits until a change from now on has another time than what was read: clocks of files are coarse.
    fn settle(&self) {
        if self.changed.elapsed().is_ok_and(|age| age < CLOCK_TICK) {
            std::thread::sleep(CLOCK_TICK);
        }
    }
}

/// Where the inputs of the package that lies beside are kept.
fn inputs_path(function: &Function) -> PathBuf {
    Path::new(FOLDER).join(format!("{}.inputs", function.name))
}

/// A digest of a folder's names and bytes, for tags.
pub(crate) fn digest_of_folder(folder: &Path) -> anyhow::Result<String> {
    let mut hasher = Sha256::new();
    for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
        let entry = entry.with_context(|| format!("failed to read {}", folder.display()))?;
        if entry.file_type().is_file() {
            let bytes = std::fs::read(entry.path())
                .with_context(|| format!("failed to read {}", entry.path().display()))?;
            hasher.update(entry.path().strip_prefix(folder)?.as_os_str().as_encoded_bytes());
            hasher.update([0]);
            hasher.update((bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        }
    }
    // As long as the MD5 sum that the peers put there.
    Ok(hasher.finalize().iter().take(16).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// Uploads what the platform lacks. With `tag`, it remembers the image's name for the package, as a registry would.
pub(crate) fn upload(
    client: &Client,
    function: &Function,
    package: &Package,
    tag: Option<(&str, &str)>,
) -> anyhow::Result<()> {
    let path = format!("/system/packages/{}", package.digest);
    let known = client.send(Request::new(Method::HEAD, path.clone()))?.status.as_u16() == 200;
    if known && tag.is_none() {
        return Ok(());
    }
    let query = tag.map(|(image, namespace)| text::query(&[("image", image), ("namespace", namespace)]));
    let request = Request::new(Method::PUT, path + &query.unwrap_or_default());
    let request = request.header("Content-Type", "application/zip").unlimited();
    if known {
        client.send_expecting(request.bytes(Vec::new()), &[200, 201])?;
        return Ok(());
    }
    let file =
        File::open(&package.path).with_context(|| format!("failed to read {}", package.path.display()))?;
    let length = file.metadata()?.len();
    let shown = progress::upload(&format!("Uploading {}", function.name), length);
    client.send_expecting(request.stream(shown.wrap(file), Some(length)), &[200, 201])?;
    Ok(())
}

/// Says what was built.
pub(crate) fn announce(package: &Package) -> anyhow::Result<()> {
    let size = std::fs::metadata(&package.path).map(|metadata| metadata.len()).unwrap_or_default();
    output::line(format!(
        "Package: {} {} ({})",
        package.digest,
        package.path.display(),
        text::human_bytes(size)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_into_a_package_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let handler = folder.path().join("handler");
        std::fs::create_dir(&handler).unwrap();
        let function = |lang: &str| Function {
            name: "f".into(),
            lang: lang.into(),
            handler: handler.to_str().unwrap().into(),
            ..Function::default()
        };
        let write = |name: &str, text: &str| {
            std::fs::write(handler.join(name), text).unwrap();
            // A copy may keep its old time.
            File::open(handler.join(name)).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        };
        let state =
            |lang: &str, extra: &[String]| Inputs::read(&function(lang), None, extra, &[]).unwrap().text;
        write("a.py", "1");
        let before = state("python3", &[]);
        assert_eq!(state("python3", &[]), before);
        assert_ne!(state("python3-http", &[]), before, "another language");
        assert_ne!(state("python3", &["src".into()]), before, "another path beside it");
        std::thread::sleep(CLOCK_TICK);
        write("a.py", "2");
        let changed = state("python3", &[]);
        assert_ne!(changed, before, "other bytes of the same size and time");
        write("b.py", "");
        assert_ne!(state("python3", &[]), changed, "a file came");
        std::fs::remove_file(handler.join("b.py")).unwrap();
        assert_eq!(state("python3", &[]), changed, "and went");
    }

    #[test]
    fn a_folders_digest_depends_on_names_and_bytes() {
        let digest = |files: &[(&str, &str)]| {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in files {
                std::fs::write(folder.path().join(name), text).unwrap();
            }
            digest_of_folder(folder.path()).unwrap()
        };
        assert_eq!(digest(&[("a", "1"), ("b", "2")]), digest(&[("b", "2"), ("a", "1")]));
        assert_ne!(digest(&[("a", "1")]), digest(&[("a", "2")]));
        assert_ne!(digest(&[("a", "1")]), digest(&[("b", "1")]));
        assert_eq!(digest(&[]).len(), 32);
    }
}
