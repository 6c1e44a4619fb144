use std::io::Cursor;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;
use crate::digest_of_file;

const BASH: &str = r#"{"version":1,"runtime":"bash","handler":"handler.sh","signature":"stdin"}"#;

/// A zip with these entries; names ending in `/` are folders, contents `-> x` links.
fn zip_of(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content) in entries {
        if let Some(target) = content.strip_prefix("-> ") {
            writer.add_symlink(*name, target, options).unwrap();
        } else if name.ends_with('/') {
            writer.add_directory(*name, options).unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

fn good() -> Vec<u8> {
    zip_of(&[("faas.json", BASH), ("function/handler.sh", "cat")])
}

/// Replaces every occurrence, in both of the zip's tables.
fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let mut start = 0;
    while let Some(at) = bytes[start..].windows(from.len()).position(|window| window == from) {
        bytes[start + at..start + at + to.len()].copy_from_slice(to);
        start += at + to.len();
    }
    assert!(start > 0, "nothing replaced");
    bytes
}

/// Unpacks in a folder of its own, and checks that a refusal leaves nothing there.
fn unpack_bytes(bytes: &[u8], host: &Host) -> Result<Manifest, Error> {
    let home = tempfile::tempdir().unwrap();
    let zip = home.path().join("package.zip");
    fs::write(&zip, bytes).unwrap();
    let digest = digest_of_file(&zip).unwrap();
    let result = unpack(&zip, &digest, &home.path().join("unpacked"), host);
    let verified = verify(&zip, &digest, host);
    assert_eq!(result.is_ok(), verified.is_ok(), "{result:?} {verified:?}");
    let left = fs::read_dir(home.path()).unwrap().count();
    assert_eq!(left, if result.is_ok() { 2 } else { 1 }, "{result:?}");
    if result.is_ok() {
        remove(&home.path().join("unpacked")).unwrap();
    }
    result
}

fn host() -> Host {
    Host { platform: "linux-x86_64".into(), python: Some("3.11".into()), node: None }
}

fn check_refused(what: &str, bytes: &[u8], expected: &str) {
    let error = unpack_bytes(bytes, &host()).expect_err(what);
    let text = error.to_string();
    assert!(text.contains(expected), "{what}: {text}");
    assert!(!text.contains('\n') && error.is_senders_fault(), "{what}: {text}");
}

#[test]
fn evil_entries_are_refused() {
    let with = |name: &str, content: &str| {
        zip_of(&[("faas.json", BASH), ("function/handler.sh", "cat"), (name, content)])
    };
    for (name, content, expected) in [
        ("function/../../x", "", "\"function/../../x\" leaves the package's folder"),
        ("../x", "", "leaves the package's folder"),
        ("/etc/x", "", "\"/etc/x\" is an absolute path"),
        ("function\\x", "", "has a backslash in its name"),
        ("function/a\0b", "", "has a zero byte in its name"),
        ("function//x", "", "has an empty part in its path"),
        ("function/./x", "", "has an empty part in its path"),
        ("other/x", "", "is outside function/, deps/ and faas.json"),
        ("x", "", "is outside function/, deps/ and faas.json"),
        ("function", "", "is outside function/, deps/ and faas.json"),
        ("functions/x", "", "is outside function/, deps/ and faas.json"),
        ("function/link", "-> ../../etc", "\"function/link\" is a link"),
        ("function/link", "-> handler.sh", "\"function/link\" is a link"),
        ("faas.json/x", "", "is outside function/"),
        ("function/handler.sh/", "", "\"function/handler.sh\" is there twice"),
        ("function/handler.sh/x", "", "\"function/handler.sh\" is there twice"),
    ] {
        check_refused(name, &with(name, content), expected);
    }
    let long = format!("function/{}", "x".repeat(300));
    check_refused("long", &with(&long, ""), "has too long a name");
    let deep = |parts: usize| format!("function{}", "/a".repeat(parts - 1));
    check_refused("deep", &with(&deep(65), ""), "is in too many folders");
    unpack_bytes(&with(&deep(64), ""), &host()).unwrap();
}

#[test]
fn folders_count_as_entries() {
    let names: Vec<String> = (0..1_100).map(|index| format!("function/{index}{}", "/a".repeat(62))).collect();
    let files = names.iter().map(|name| (name.as_str(), ""));
    let entries: Vec<_> =
        [("faas.json", BASH), ("function/handler.sh", "cat")].into_iter().chain(files).collect();
    check_refused("folders", &zip_of(&entries), "more than 65534 files and folders");
}

#[test]
fn broken_zips_are_refused() {
    let package = good();
    check_refused("empty", b"", "the package is not a complete zip");
    check_refused("text", b"#!/bin/sh\n", "the package is not a complete zip");
    for cut in [1, 10, 22, 60, package.len() / 2, package.len() - 4] {
        let (short, _) = package.split_at(package.len() - cut);
        check_refused("cut short", short, "the package is not a complete zip");
    }
    check_refused("prefixed", &[b"MZ".as_slice(), &package].concat(), "the package is not a complete zip");
    check_refused("changed content", &replace(&package, b"cat", b"dog"), "function/handler.sh\": ");
    let twice = zip_of(&[("faas.json", BASH), ("function/handler.sh", ""), ("function/handler.sx", "")]);
    let twice = replace(&twice, b"handler.sx", b"handler.sh");
    check_refused("twice", &twice, "an entry is there twice");
}

#[test]
fn entries_that_only_one_of_the_two_tables_names_are_refused() {
    let mut package = zip_of(&[("faas.json", BASH), ("function/handler.sh", ""), ("function/abc", "")]);
    let at = package.windows(12).position(|window| window == b"function/abc").unwrap();
    package[at + 11] = b'x';
    check_refused("other name", &package, "the package is not a complete zip");
}

#[test]
fn encrypted_and_exotic_entries_are_refused() {
    let mut encrypted = good();
    // The flags of every entry in both tables.
    for (magic, offset) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
        let places: Vec<usize> =
            (0..encrypted.len() - 4).filter(|&at| &encrypted[at..at + 4] == magic).collect();
        for at in places {
            encrypted[at + offset] |= 1;
        }
    }
    check_refused("encrypted", &encrypted, "is encrypted");
    let mut exotic = good();
    for (magic, offset) in [(b"PK\x03\x04", 8), (b"PK\x01\x02", 10)] {
        let places: Vec<usize> = (0..exotic.len() - 4).filter(|&at| &exotic[at..at + 4] == magic).collect();
        for at in places {
            exotic[at + offset] = 12;
        }
    }
    check_refused("bzip2", &exotic, "is compressed with something else than deflate");
}

#[test]
fn devices_are_refused() {
    let mut package = good();
    let at = package.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    // The upper half of the external attributes is the mode: here a pipe's.
    package[at + 40..at + 42].copy_from_slice(&0o010_644_u16.to_le_bytes());
    check_refused("pipe", &package, "is neither a file nor a folder");
}

#[test]
fn bad_manifests_are_refused() {
    check_refused("none", &zip_of(&[("function/handler.sh", "")]), "the package has no faas.json");
    for (manifest, expected) in [
        ("{", "the package's faas.json is not a manifest"),
        (r#"{"version":2}"#, "the package's faas.json has version 2: expected version 1"),
        (
            r#"{"version":1,"runtime":"bash","handler":"x","signature":"stdin"}"#,
            "in the package, the handler \"x\" of a bash function needs x in the handler folder",
        ),
        (&" ".repeat(70_000), "the package has a faas.json over 65536 bytes"),
    ] {
        let package = zip_of(&[("faas.json", manifest), ("function/handler.sh", "")]);
        check_refused(manifest, &package, expected);
    }
}

#[test]
fn compiled_dependencies_must_fit_the_host() {
    let package = |requires: &str| {
        let manifest = BASH.replace('}', &format!(r#","requires":{{{requires}}}}}"#));
        zip_of(&[("faas.json", &manifest), ("function/handler.sh", "")])
    };
    let refused = "the package's dependencies were compiled for";
    for (requires, expected) in [
        (r#""python":"3.12""#, "python \"3.12\", this host has python \"3.11\""),
        (r#""node":"20""#, "node \"20\", this host has no node"),
        (r#""platform":"linux-aarch64""#, "platform \"linux-aarch64\", this host has platform"),
    ] {
        check_refused(requires, &package(requires), &format!("{refused} {expected}"));
    }
    unpack_bytes(&package(r#""python":"3.11","platform":"linux-x86_64""#), &host()).unwrap();
}

#[test]
fn another_name_than_the_bytes_have_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let zip = home.path().join("package.zip");
    fs::write(&zip, good()).unwrap();
    let wrong = Digest::from_bytes(&[7; 32]);
    let error = unpack(&zip, &wrong, &home.path().join("unpacked"), &host()).unwrap_err();
    assert!(error.to_string().starts_with("the package's digest is sha256:"), "{error}");
    assert!(error.is_senders_fault());
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn zip_bombs_are_stopped_where_the_limit_is() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, content) in [("faas.json", BASH), ("function/handler.sh", "")] {
        writer.start_file(name, options).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.start_file("function/zeros", options.compression_level(Some(1))).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..=(MAX_UNPACKED_BYTES >> 20) {
        writer.write_all(&zeros).unwrap();
    }
    let honest = writer.finish().unwrap().into_inner();
    let size = u32::try_from(MAX_UNPACKED_BYTES + (1 << 20)).unwrap().to_le_bytes();
    let lying = replace(&honest, &size, &7_u32.to_le_bytes());
    let home = tempfile::tempdir().unwrap();
    let zip = home.path().join("package.zip");
    for (bytes, expected) in [
        (honest, "more than 1073741824 bytes unpacked"),
        (lying, "larger than its declared uncompressed size"),
    ] {
        fs::write(&zip, &bytes).unwrap();
        // Only checked, not written: a gibibyte of a test machine's disk proves nothing more.
        let error = verify(&zip, &digest_of_file(&zip).unwrap(), &host()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_is_unpacked_is_read_only_and_can_be_removed() {
    let home = tempfile::tempdir().unwrap();
    let zip = home.path().join("package.zip");
    fs::write(&zip, good()).unwrap();
    let folder = home.path().join("unpacked");
    let manifest = unpack(&zip, &digest_of_file(&zip).unwrap(), &folder, &host()).unwrap();
    assert_eq!(manifest, read_manifest(&zip).unwrap());
    let mode = |path: &str| folder.join(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("function/handler.sh") & 0o222, 0);
    assert_eq!((mode(""), mode("function")), (0o555, 0o555));
    remove(&folder).unwrap();
    assert!(!folder.exists());
    remove(&folder).unwrap();
}

#[test]
fn no_change_of_a_byte_panics_or_leaves_anything() {
    let package = good();
    for at in 0..package.len() {
        for bit in [0x01, 0x80, 0xff] {
            let mut changed = package.clone();
            changed[at] ^= bit;
            let _ = unpack_bytes(&changed, &host());
        }
    }
}
