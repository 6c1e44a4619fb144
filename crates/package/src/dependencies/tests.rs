use std::ffi::OsStr;
use std::io::{Cursor, Write as _};
use std::os::unix::fs::PermissionsExt as _;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;
use crate::{Manifest, Signature, Source, pack, resolve};

const SEARCH: &str = "/usr/bin:/bin";

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

/// The system's interpreter with its installer, or none and a word about it.
fn interpreter(runtime: Runtime, installer: &[&str]) -> Option<Interpreter> {
    let found = match resolve(runtime, OsStr::new(SEARCH)) {
        Ok(found) => found?,
        Err(error) => {
            skip(&error.to_string());
            return None;
        }
    };
    let works = std::process::Command::new(&found.program).args(installer).output().ok()?.status.success();
    if !works {
        skip(&format!("{} {installer:?} does not work", found.program.display()));
    }
    works.then_some(found)
}

fn python() -> Option<Interpreter> {
    interpreter(Runtime::Python3, &["-m", "pip", "--version"])
}

/// A wheel of the module `greeting`, with a script, and with a compiled part if `tag` is not `any`.
fn wheel(folder: &Path, tag: &str) -> PathBuf {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let mut files = vec![
        ("greeting/__init__.py".to_owned(), "def hello():\n    return 'hello'\n".to_owned()),
        (
            "greeting-1.0.dist-info/METADATA".to_owned(),
            "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n".to_owned(),
        ),
        (
            "greeting-1.0.dist-info/WHEEL".to_owned(),
            format!("Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-{tag}\n"),
        ),
        (
            "greeting-1.0.dist-info/entry_points.txt".to_owned(),
            "[console_scripts]\ngreet = greeting:hello\n".to_owned(),
        ),
    ];
    if tag != "any" {
        files.push(("greeting/fast.so".to_owned(), "\x7fELF".to_owned()));
    }
    let mut record: String = files.iter().flat_map(|(name, _)| [name, ",,\n"]).collect();
    record.push_str("greeting-1.0.dist-info/RECORD,,\n");
    files.push(("greeting-1.0.dist-info/RECORD".to_owned(), record));
    for (name, content) in files {
        writer.start_file(name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    let path = folder.join(format!("greeting-1.0-py3-none-{tag}.whl"));
    fs::write(&path, writer.finish().unwrap().into_inner()).unwrap();
    path
}

struct Project {
    home: tempfile::TempDir,
    interpreter: Interpreter,
    runtime: Runtime,
}

impl Project {
    fn new(interpreter: &Interpreter, runtime: Runtime, files: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = home.path().join("handler").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        Self { home, interpreter: interpreter.clone(), runtime }
    }

    fn install(&self, cache: &Path, fresh: bool) -> (Result<Option<Installed>, Error>, Vec<String>) {
        let mut lines = Vec::new();
        let handler = self.home.path().join("handler");
        let request = Request {
            runtime: self.runtime,
            handler: &handler,
            interpreter: &self.interpreter,
            search_path: OsStr::new(SEARCH),
            cache,
            fresh,
        };
        let result = install(&request, &mut |line| lines.push(line.to_owned()));
        (result, lines)
    }

    fn pack(&self, installed: &Installed) -> Digest {
        let mut manifest = Manifest::new(Runtime::Python3, Signature::Openfaas, "handler.handle");
        manifest.requires.clone_from(&installed.requires);
        let source = Source {
            handler: &self.home.path().join("handler"),
            dependencies: Some(&installed.folder),
            manifest: &manifest,
        };
        pack(&source, &self.home.path().join("x.zip")).unwrap()
    }
}

/// A requirements.txt for a wheel in `wheels`, of equal bytes wherever a project is.
fn requirements(wheels: &Path) -> String {
    format!("--no-index\n--find-links {}\ngreeting==1.0\n", wheels.display())
}

const HANDLER: &str = "import greeting\ndef handle(req):\n    return greeting.hello()\n";

#[test]
fn two_installations_in_other_folders_make_one_package() {
    let Some(python) = python() else { return };
    let wheels = tempfile::tempdir().unwrap();
    wheel(wheels.path(), "any");
    let text = requirements(wheels.path());
    let digests: Vec<Digest> = (0..2)
        .map(|_| {
            let files = [("handler.py", HANDLER), ("requirements.txt", &text)];
            let project = Project::new(&python, Runtime::Python3, &files);
            let (installed, lines) = project.install(&project.home.path().join("cache"), false);
            let installed = installed.unwrap().unwrap();
            assert_eq!(installed.requires, None);
            assert!(lines.iter().any(|line| line.contains("greeting")), "{lines:?}");
            let script = fs::read_to_string(installed.folder.join("bin/greet")).unwrap();
            assert!(script.starts_with("#!/usr/bin/env python3\n"), "{script}");
            let mode = installed.folder.join("bin/greet").metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o100, 0o100);
            project.pack(&installed)
        })
        .collect();
    assert_eq!(digests.first(), digests.last());
}

#[test]
fn compiled_parts_bind_the_package_to_version_and_platform() {
    let Some(python) = python() else { return };
    let wheels = tempfile::tempdir().unwrap();
    wheel(wheels.path(), &format!("linux_{}", std::env::consts::ARCH));
    let text = requirements(wheels.path());
    let project =
        Project::new(&python, Runtime::Python3, &[("handler.py", HANDLER), ("requirements.txt", &text)]);
    let installed = project.install(&project.home.path().join("cache"), false).0.unwrap().unwrap();
    let expected = Requires { python: Some(python.version), node: None, platform: Some(platform()) };
    assert_eq!(installed.requires, Some(expected));
}

#[test]
fn equal_requirements_are_installed_once() {
    let Some(python) = python() else { return };
    let wheels = tempfile::tempdir().unwrap();
    let direct = format!("--no-index\ngreeting @ https://127.0.0.1:1/{}\n", "x");
    let project =
        Project::new(&python, Runtime::Python3, &[("handler.py", HANDLER), ("requirements.txt", &direct)]);
    let cache = wheels.path().join("cache");
    // What a first build would have left: the address answers nobody.
    let handler = project.home.path().join("handler");
    let wanted = python::requirements(&handler).unwrap().unwrap();
    let request = Request {
        runtime: Runtime::Python3,
        handler: &handler,
        interpreter: &python,
        search_path: OsStr::new(SEARCH),
        cache: &cache,
        fresh: false,
    };
    let folder = cache.join(key(&request, &wanted).hex());
    fs::create_dir_all(&folder).unwrap();
    let (installed, lines) = project.install(&cache, false);
    assert_eq!(installed.unwrap().unwrap().folder, folder);
    assert_eq!(lines, [""; 0]);
    assert!(matches!(project.install(&cache, true).0, Err(Error::Failed { .. })));
    assert!(folder.is_dir(), "a failed installation takes nothing away");
}

#[test]
fn a_failed_installation_passes_up_all_that_pip_said() {
    let Some(python) = python() else { return };
    let text = "--no-index\nno-such-package==9\n";
    let project =
        Project::new(&python, Runtime::Python3, &[("handler.py", HANDLER), ("requirements.txt", text)]);
    let cache = project.home.path().join("cache");
    let error = project.install(&cache, false).0.unwrap_err().to_string();
    assert!(error.contains("failed to install requirements.txt"), "{error}");
    assert!(error.contains("No matching distribution found for no-such-package==9"), "{error}");
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 0);
}

#[test]
fn nothing_asked_for_is_nothing_installed() {
    let interpreter =
        Interpreter { program: "/nowhere".into(), version: "3.11".into(), readable: Vec::new() };
    for (runtime, files) in [
        (Runtime::Python3, &[("handler.py", "")][..]),
        (Runtime::Python3, &[("requirements.txt", "\n  # a comment\n\n")]),
        (Runtime::Node, &[("handler.js", "")]),
        (
            Runtime::Node,
            &[("package.json", r#"{"name": "x", "dependencies": {}, "devDependencies": {"a": "1"}}"#)],
        ),
        (Runtime::Bash, &[("requirements.txt", "requests")]),
    ] {
        let project = Project::new(&interpreter, runtime, files);
        assert_eq!(project.install(Path::new("/nowhere"), false).0.unwrap(), None, "{files:?}");
    }
}

#[test]
fn requirements_that_name_local_files_are_not_cached() {
    let folder = tempfile::tempdir().unwrap();
    for (line, local) in [
        ("requests==2.0", false),
        ("a @ https://host/a-1.0-py3-none-any.whl", false),
        ("git+https://host/a.git@v1", false),
        ("--index-url https://host/simple", false),
        ("-r other.txt", true),
        ("-e .", true),
        ("./a.whl", true),
        ("a-1.0-py3-none-any.whl", true),
        ("a @ file:///a", true),
        ("--find-links wheels", true),
    ] {
        fs::write(folder.path().join("requirements.txt"), line).unwrap();
        assert_eq!(python::requirements(folder.path()).unwrap().unwrap().local, local, "{line}");
    }
}

#[test]
fn npm_installs_beside_the_handler_and_leaves_the_handler_alone() {
    let Some(node) = interpreter(Runtime::Node, &["--version"]) else { return };
    if !Path::new("/usr/bin/npm").exists() {
        return skip("no npm");
    }
    let files = [
        ("handler.js", "module.exports = async () => require('greeting')()"),
        (
            "package.json",
            r#"{"name": "x", "version": "1.0.0", "dependencies": {"greeting": "file:./local"}}"#,
        ),
        (".npmrc", "offline=true\nupdate-notifier=false\n"),
        ("local/package.json", r#"{"name": "greeting", "version": "1.0.0", "main": "index.js"}"#),
        ("local/index.js", "module.exports = () => 'hello'"),
    ];
    let digests: Vec<Digest> = (0..2)
        .map(|_| {
            let project = Project::new(&node, Runtime::Node, &files);
            let installed = project.install(&project.home.path().join("cache"), false).0.unwrap().unwrap();
            assert!(installed.folder.join("node_modules/greeting/index.js").is_file());
            assert!(!project.home.path().join("handler/node_modules").exists());
            let manifest = Manifest::new(Runtime::Node, Signature::Http, "handler");
            let handler = project.home.path().join("handler");
            let source =
                Source { handler: &handler, dependencies: Some(&installed.folder), manifest: &manifest };
            pack(&source, &project.home.path().join("x.zip")).unwrap()
        })
        .collect();
    assert_eq!(digests.first(), digests.last());
}
