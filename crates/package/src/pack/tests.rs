use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::process::Command;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;
use crate::{Host, Signature, unpack};

/// Path to contents and exec bit.
type Files = BTreeMap<String, (Vec<u8>, bool)>;

fn write(root: &Path, files: &Files, modes: (u32, u32), newest_first: bool) {
    let mut order: Vec<_> = files.iter().collect();
    if newest_first {
        order.reverse();
    }
    for (name, (content, executable)) in order {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mode = if *executable { modes.1 } else { modes.0 };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).unwrap();
        file.write_all(content).unwrap();
        let age = Duration::from_secs(if newest_first { 0 } else { 1_000_000 });
        file.set_modified(SystemTime::now() - age).unwrap();
    }
}

fn read(root: &Path, folder: &Path, files: &mut Files) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(root, &path, files);
        } else {
            let executable = path.metadata().unwrap().permissions().mode() & 0o100 != 0;
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.insert(name, (fs::read(&path).unwrap(), executable));
        }
    }
}

fn bash() -> Manifest {
    Manifest::new(Runtime::Bash, Signature::Stdin, "handler.sh")
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), (text.as_bytes().to_vec(), false)));
    write(folder.path(), &files.collect(), (0o644, 0o755), false);
    folder
}

fn pack_folder(handler: &Path, out: &Path) -> Result<Digest, Error> {
    pack(&Source { handler, dependencies: None, manifest: &bash() }, out)
}

#[test]
fn too_many_folders_are_refused() {
    let handler = folder(&[("handler.sh", "cat")]);
    let make = |parts: usize| {
        let deep = handler.path().join(["a"].repeat(parts).join("/"));
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), "").unwrap();
    };
    let out = tempfile::tempdir().unwrap();
    make(62);
    pack_folder(handler.path(), &out.path().join("x.zip")).unwrap();
    make(63);
    let error = pack_folder(handler.path(), &out.path().join("x.zip")).unwrap_err().to_string();
    assert!(error.ends_with("cannot be packed: it is in too many folders"), "{error}");
}

fn names(zip: &Path) -> Vec<String> {
    let archive = zip::ZipArchive::new(File::open(zip).unwrap()).unwrap();
    archive.file_names().map(|name| name.unwrap().into_owned()).collect()
}

fn trees() -> impl Strategy<Value = Files> {
    let name = "[a-zA-Z0-9 ._äß😀-]{1,12}"
        .prop_filter("no link to itself or its parent", |name| !name.chars().all(|c| c == '.'))
        .prop_filter("is packed", |name| !name.contains(".pyc"));
    let path = prop::collection::vec(name, 1..4).prop_map(|parts| format!("d{}", parts.join("/d")));
    let content = prop::collection::vec(any::<u8>(), 0..2000);
    prop::collection::btree_map(path, (content, any::<bool>()), 0..12).prop_map(|mut files| {
        // A file cannot be where another's folder is.
        let folders: Vec<String> = files.keys().map(|name| format!("{name}/")).collect();
        for folder in folders {
            if files.keys().any(|name| name.starts_with(&folder)) {
                files.remove(folder.trim_end_matches('/'));
            }
        }
        files.insert("handler.sh".to_owned(), (b"cat".to_vec(), true));
        files
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_same_files_make_the_same_package_and_come_out_again(files in trees()) {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // Modes as umask 022 and 077 leave them, other days, other order of creation.
        write(one.path(), &files, (0o644, 0o755), false);
        write(other.path(), &files, (0o600, 0o700), true);
        let out = tempfile::tempdir().unwrap();
        let (zip, again) = (out.path().join("a.zip"), out.path().join("b.zip"));
        let digest = pack_folder(one.path(), &zip).unwrap();
        prop_assert_eq!(&digest, &pack_folder(other.path(), &again).unwrap());
        prop_assert_eq!(fs::read(&zip).unwrap(), fs::read(&again).unwrap());

        let unpacked = out.path().join("unpacked");
        unpack(&zip, &digest, &unpacked, &Host::new(None, None)).unwrap();
        let mut found = Files::new();
        let function = unpacked.join("function");
        read(&function, &function, &mut found);
        prop_assert_eq!(found, files);
        crate::remove(&unpacked).unwrap();
        prop_assert!(!unpacked.exists());
    }
}

#[test]
fn the_umask_does_not_change_the_package() {
    let out = tempfile::tempdir().unwrap();
    let digests: Vec<Digest> = ["000", "022", "077"]
        .iter()
        .map(|umask| {
            let handler = out.path().join(umask);
            let script = "umask $0; mkdir -p $1/inner; echo cat >$1/handler.sh; echo x >$1/inner/x; chmod u+x $1/inner/x";
            let status = Command::new("sh").args(["-c", script, umask]).arg(&handler).status().unwrap();
            assert!(status.success());
            pack_folder(&handler, &out.path().join("x.zip")).unwrap()
        })
        .collect();
    assert!(digests.iter().all(|digest| digest == digests.first().unwrap()), "{digests:?}");
}

#[test]
fn the_package_of_a_known_folder_never_changes_its_name() {
    let handler = folder(&[("handler.sh", "cat\n"), ("lib/a.txt", &"text ".repeat(50_000))]);
    let out = tempfile::tempdir().unwrap();
    let digest = pack_folder(handler.path(), &out.path().join("x.zip")).unwrap();
    // Changes on purpose, or with the library that deflates: then every function is uploaded again.
    let known = "sha256:5d0c38f3127fa2c3969e71f74f2b2e8040c2109cf524d3e8afe58861cb7d32b2";
    assert_eq!(digest.to_string(), known);
}

#[test]
fn entries_are_sorted_dated_1980_and_without_extra_fields() {
    let handler = folder(&[("handler.sh", "cat"), ("z", ""), ("a/b", "")]);
    let dependencies = folder(&[("x/y.py", "")]);
    let out = tempfile::tempdir().unwrap();
    let zip = out.path().join("x.zip");
    let source =
        Source { handler: handler.path(), dependencies: Some(dependencies.path()), manifest: &bash() };
    pack(&source, &zip).unwrap();
    let expected =
        ["deps/x/y.py", "faas.json", "function/a/b", "function/handler.sh", "function/z"].map(str::to_owned);
    assert_eq!(names(&zip), expected);
    let mut archive = zip::ZipArchive::new(File::open(&zip).unwrap()).unwrap();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).unwrap();
        assert_eq!(entry.last_modified().unwrap().to_string(), "1980-01-01 00:00:00");
        assert_eq!(entry.extra_data().unwrap_or_default(), b"");
        assert_eq!(entry.unix_mode(), Some(0o100_644));
    }
    assert_eq!(zip.metadata().unwrap().permissions().mode() & 0o400, 0o400);
}

#[test]
fn what_is_no_part_of_a_function_is_left_out() {
    let handler = folder(&[
        ("handler.sh", "cat"),
        ("build/x.zip", ""),
        ("template/x", ""),
        (".git/config", ""),
        (".env", "PASSWORD=x"),
        (".secrets/x", ""),
        ("node_modules/x/index.js", ""),
        ("lib/__pycache__/x.pyc", ""),
        ("lib/x.pyc", ""),
        ("lib/build/kept", ""),
        ("lib/.env.sample", ""),
    ]);
    let out = tempfile::tempdir().unwrap();
    let zip = out.path().join("x.zip");
    pack_folder(handler.path(), &zip).unwrap();
    let expected =
        ["faas.json", "function/handler.sh", "function/lib/.env.sample", "function/lib/build/kept"];
    assert_eq!(names(&zip), expected);
}

#[test]
fn installed_node_modules_stand_beside_the_handler() {
    let handler = folder(&[("handler.js", ""), ("node_modules/old/index.js", "")]);
    let dependencies = folder(&[("node_modules/new/index.js", "")]);
    let out = tempfile::tempdir().unwrap();
    let zip = out.path().join("x.zip");
    let manifest = Manifest::new(Runtime::Node, Signature::Http, "handler");
    let source =
        Source { handler: handler.path(), dependencies: Some(dependencies.path()), manifest: &manifest };
    pack(&source, &zip).unwrap();
    assert_eq!(names(&zip), ["faas.json", "function/handler.js", "function/node_modules/new/index.js"]);
}

#[test]
fn links_inside_are_stored_as_what_they_point_at() {
    let handler = folder(&[("handler.sh", "cat"), ("lib/a", "text")]);
    symlink("lib/a", handler.path().join("file")).unwrap();
    symlink("lib", handler.path().join("folder")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let zip = out.path().join("x.zip");
    pack_folder(handler.path(), &zip).unwrap();
    assert!(names(&zip).contains(&"function/file".to_owned()));
    assert!(names(&zip).contains(&"function/folder/a".to_owned()));
}

#[test]
fn links_that_leave_or_never_end_are_refused() {
    for (target, expected) in [
        ("/etc/passwd", "link is a link to /etc/passwd, outside"),
        ("../", "link is a link to ../, outside"),
        ("nowhere", "link is a link to nowhere: not found"),
        (".", "link is a link to ., which it is in"),
    ] {
        let handler = folder(&[("handler.sh", "cat")]);
        symlink(target, handler.path().join("link")).unwrap();
        let out = tempfile::tempdir().unwrap();
        let error = pack_folder(handler.path(), &out.path().join("x.zip")).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0, "{target}");
    }
}

#[test]
fn names_that_a_package_cannot_hold_are_refused() {
    for (name, expected) in [("a\\b", "its name has a backslash"), ("pipe", "neither a file nor a folder")] {
        let handler = folder(&[("handler.sh", "cat")]);
        if name == "pipe" {
            assert!(Command::new("mkfifo").arg(handler.path().join(name)).status().unwrap().success());
        } else {
            fs::write(handler.path().join(name), "").unwrap();
        }
        let out = tempfile::tempdir().unwrap();
        let error = pack_folder(handler.path(), &out.path().join("x.zip")).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_folder_without_the_handler_is_refused() {
    let handler = folder(&[("handler.py", "")]);
    let out = tempfile::tempdir().unwrap();
    let error = pack_folder(handler.path(), &out.path().join("x.zip")).unwrap_err().to_string();
    assert_eq!(error, "the handler \"handler.sh\" of a bash function needs handler.sh in the handler folder");
}

#[test]
fn more_than_the_limit_is_refused_and_leaves_nothing() {
    let handler = folder(&[("handler.sh", "cat")]);
    let big = File::create(handler.path().join("big")).unwrap();
    big.set_len(MAX_UNPACKED_BYTES + 1).unwrap();
    let out = tempfile::tempdir().unwrap();
    let error = pack_folder(handler.path(), &out.path().join("x.zip")).unwrap_err().to_string();
    assert!(error.contains("more than 1073741824 bytes of files"), "{error}");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}
