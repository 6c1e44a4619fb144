//! Language templates: those in `./template`, which win, and those embedded in this program.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use include_dir::{Dir, DirEntry, include_dir};
use serde::Deserialize;

use crate::failure::{Failure, failure};

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../templates");
/// Where a project keeps templates of its own.
const LOCAL: &str = "template";

/// A template that was found.
pub(crate) struct Template {
    /// Its name, never an alias.
    pub(crate) name: String,
    /// What `template.yml` says.
    pub(crate) settings: TemplateSettings,
    source: Source,
}

enum Source {
    Local(PathBuf),
    Embedded(&'static Dir<'static>),
}

/// A template's `template.yml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TemplateSettings {
    /// The command that handles requests.
    pub(crate) fprocess: String,
    /// Shown after `new`.
    pub(crate) welcome_message: String,
    /// The starter handler's folder, `function` unless said.
    pub(crate) handler_folder: String,
    /// Sets of packages that a build can be given.
    pub(crate) build_options: Vec<BuildOption>,
}

/// A named set of packages.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct BuildOption {
    /// What `build_options` and `--build-option` call it.
    pub(crate) name: String,
    /// What it installs.
    pub(crate) packages: Vec<String>,
}

/// The template that `lang` means, without its pin (`LANG@ref`), aliases resolved. `None` when there is none.
pub(crate) fn find(lang: &str) -> anyhow::Result<Option<Template>> {
    let wanted = lang.split('@').next().unwrap_or_default();
    let known = faas_package::find_language(wanted).map(|language| language.name);
    for name in [Some(wanted), known].into_iter().flatten() {
        let local = Path::new(LOCAL).join(name);
        let is_plain = !name.is_empty() && !name.contains(['/', '\\']) && name != "." && name != "..";
        if is_plain && local.is_dir() {
            return Template::open(name, Source::Local(local)).map(Some);
        }
    }
    let embedded = known.and_then(|name| Some((name, EMBEDDED.get_dir(name)?)));
    embedded.map(|(name, folder)| Template::open(name, Source::Embedded(folder))).transpose()
}

/// The names of all templates, sorted; and whether each lies in `./template`.
pub(crate) fn list() -> Vec<(String, bool)> {
    let local = std::fs::read_dir(LOCAL).into_iter().flatten().flatten();
    let local =
        local.filter(|entry| entry.path().is_dir()).filter_map(|entry| entry.file_name().into_string().ok());
    let mut all: Vec<_> = local.map(|name| (name, true)).collect();
    for name in EMBEDDED.dirs().filter_map(|folder| folder.path().file_name()?.to_str()) {
        if !all.iter().any(|(other, _)| other == name) {
            all.push((name.to_owned(), false));
        }
    }
    all.sort();
    all
}

/// Says which languages there are.
pub(crate) fn unknown(lang: &str) -> Failure {
    let names: Vec<_> = list().into_iter().map(|(name, _)| name).collect();
    failure(format!("unknown language {lang:?}: the languages are {}", names.join(", ")))
}

impl Template {
    fn open(name: &str, source: Source) -> anyhow::Result<Self> {
        let text = match &source {
            Source::Local(folder) => std::fs::read_to_string(folder.join("template.yml")).unwrap_or_default(),
            Source::Embedded(folder) => embedded_text(folder, "template.yml"),
        };
        let settings: Option<TemplateSettings> = if text.trim().is_empty() {
            None
        } else {
            serde_yaml_ng::from_str(&text)
                .with_context(|| format!("failed to read template.yml of {name}"))?
        };
        Ok(Self { name: name.to_owned(), settings: settings.unwrap_or_default(), source })
    }

    /// Its folder, when it is one of `./template`.
    pub(crate) fn local_folder(&self) -> Option<&Path> {
        match &self.source {
            Source::Local(folder) => Some(folder),
            Source::Embedded(_) => None,
        }
    }

    /// Where the user's handler goes in a build.
    pub(crate) fn handler_folder(&self) -> &str {
        match self.settings.handler_folder.as_str() {
            "" => "function",
            folder => folder,
        }
    }

    /// Writes the starter handler into the folder `to`, which must not be there.
    pub(crate) fn write_handler(&self, to: &Path) -> anyhow::Result<()> {
        make_directory(to)?;
        match &self.source {
            Source::Local(folder) => copy_local(&folder.join(self.handler_folder()), to),
            Source::Embedded(folder) => {
                let starter = folder.get_dir(folder.path().join(self.handler_folder()));
                let starter = starter
                    .ok_or_else(|| failure(format!("the template {} has no starter handler", self.name)))?;
                write_embedded(starter, to)
            }
        }
    }
}

fn embedded_text(folder: &Dir<'_>, name: &str) -> String {
    let file = folder.get_file(folder.path().join(name));
    file.and_then(include_dir::File::contents_utf8).unwrap_or_default().to_owned()
}

/// A folder for the user alone, as the peers make it.
pub(crate) fn make_directory(path: &Path) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("failed to create the folder {}", path.display()))
}

fn copy_local(from: &Path, to: &Path) -> anyhow::Result<()> {
    crate::images::copy_tree(from, to, &[])
}

fn write_embedded(folder: &Dir<'_>, to: &Path) -> anyhow::Result<()> {
    for entry in folder.entries() {
        write_entry(entry, &to.join(entry.path().file_name().unwrap_or_default()))?;
    }
    Ok(())
}

fn write_entry(entry: &DirEntry<'_>, target: &Path) -> anyhow::Result<()> {
    match entry {
        DirEntry::Dir(folder) => {
            make_directory(target)?;
            write_embedded(folder, target)
        }
        DirEntry::File(file) => write_file(target, file.contents()),
    }
}

/// Scripts become executable: embedding keeps no modes.
fn write_file(target: &Path, contents: &[u8]) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let write = || -> std::io::Result<()> {
        std::fs::write(target, contents)?;
        let mode = if contents.starts_with(b"#!") { 0o755 } else { 0o644 };
        std::fs::set_permissions(target, std::fs::Permissions::from_mode(mode))
    };
    write().with_context(|| format!("failed to write {}", target.display()))
}
