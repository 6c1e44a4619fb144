//! Handler folders as packages: build, find the one built before, upload.
//!
//! A package lies in `build/NAME.zip` under the working folder. It is built again when it is older than a file or
//! folder of the handler, or than the stack file. Installed dependencies are kept in the user's cache.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

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
/// What a handler asks for, in any language.
const REQUIREMENTS: [&str; 2] = ["requirements.txt", "package.json"];

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

/// The package as it was built, or built now where it is missing or stale. The flag says which.
pub(crate) fn ensure(
    function: &Function,
    stack: Option<&Path>,
    extra: &[String],
    env: &Env,
) -> anyhow::Result<(Package, bool)> {
    let path = path_of(function);
    let inputs = [Path::new(&function.handler)].into_iter().chain(stack).chain(extra.iter().map(Path::new));
    if !is_fresh(&path, inputs) {
        return Ok((build(function, extra, false, env)?, true));
    }
    Ok((open(function)?, false))
}

/// The package as it was built.
pub(crate) fn open(function: &Function) -> anyhow::Result<Package> {
    let manifest = require_manifest(function)?;
    let path = path_of(function);
    let digest =
        faas_package::digest_of_file(&path).with_context(|| format!("failed to read {}", path.display()))?;
    Ok(Package { path, digest, runtime: manifest.runtime.to_string() })
}

/// Builds the package. `fresh` passes the cache of dependencies by.
pub(crate) fn build(
    function: &Function,
    extra: &[String],
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
    let handler = stage(function, extra)?;
    let installed = install(&manifest, &handler, fresh, env)
        .with_context(|| format!("failed to build {}", function.name))?;
    manifest.requires = installed.as_ref().and_then(|installed| installed.requires.clone());
    let source = Source {
        handler: &handler,
        dependencies: installed.as_ref().map(|installed| installed.folder.as_path()),
        manifest: &manifest,
    };
    make_folder()?;
    let path = path_of(function);
    let digest =
        faas_package::pack(&source, &path).with_context(|| format!("failed to build {}", function.name))?;
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
fn stage(function: &Function, extra: &[String]) -> anyhow::Result<PathBuf> {
    if extra.is_empty() {
        Ok(PathBuf::from(&function.handler))
    } else {
        images::write_context(function, None, extra)
    }
}

/// The interpreter is looked for only where something is to be installed: a shim answers slowly.
fn install(manifest: &Manifest, handler: &Path, fresh: bool, env: &Env) -> anyhow::Result<Option<Installed>> {
    if !REQUIREMENTS.iter().any(|name| std::fs::metadata(handler.join(name)).is_ok_and(|file| file.len() > 0))
    {
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

/// Whether `built` is younger than everything below `inputs`. Equal times count as stale: clocks are coarse.
fn is_fresh<'a>(built: &Path, inputs: impl Iterator<Item = &'a Path>) -> bool {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let Ok(built) = modified(built) else { return false };
    let is_older = |path: &Path| modified(path).is_ok_and(|time: SystemTime| time < built);
    inputs
        .flat_map(|input| WalkDir::new(input).follow_links(true))
        .all(|entry| entry.is_ok_and(|entry| is_older(entry.path())))
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
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_package_is_stale_when_anything_is_as_young() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let touch = |name: &str, seconds: u64| {
            let file = File::options().write(true).create(true).truncate(false).open(path(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        };
        std::fs::create_dir(path("handler")).unwrap();
        touch("handler/a.py", 10);
        touch("built.zip", 20);
        let handler = File::open(path("handler")).unwrap();
        handler.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let fresh = || is_fresh(&path("built.zip"), [path("handler").as_path()].into_iter());
        assert!(fresh());
        touch("handler/a.py", 20);
        assert!(!fresh(), "equal times");
        touch("handler/a.py", 10);
        assert!(fresh());
        std::fs::remove_file(path("handler/a.py")).unwrap();
        assert!(!fresh(), "a file went");
        assert!(!is_fresh(&path("none.zip"), std::iter::empty()));
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
