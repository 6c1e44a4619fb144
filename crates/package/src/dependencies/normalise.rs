//! Takes out of installed dependencies what depends on where, when and with which tool they were installed.

use std::fs;
use std::io;
use std::path::Path;

/// Files of a `.dist-info` folder that say how, not what, was installed.
const INSTALL_NOTES: [&str; 3] = ["INSTALLER", "REQUESTED", "direct_url.json"];

/// What scripts in `bin/` start with afterwards.
const SHEBANG: &[u8] = b"#!/usr/bin/env python3\n";

/// Tidies what pip installed into `target`.
pub(super) fn python(target: &Path) -> io::Result<()> {
    remove_byte_code(target)?;
    for entry in fs::read_dir(target)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "dist-info") {
            tidy_dist_info(&path)?;
        }
    }
    let scripts = target.join("bin");
    if scripts.is_dir() {
        for entry in fs::read_dir(&scripts)? {
            let path = entry?.path();
            if path.is_file() {
                rewrite_shebang(&path)?;
            }
        }
    }
    Ok(())
}

/// Tidies `node_modules`: `.bin` is links, `.package-lock.json` npm's own note.
pub(super) fn node(modules: &Path) -> io::Result<()> {
    for entry in fs::read_dir(modules)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == ".bin" || name == ".cache" {
            fs::remove_dir_all(entry.path())?;
        } else if name == ".package-lock.json" {
            fs::remove_file(entry.path())?;
        } else if entry.file_type()?.is_dir() {
            for inner in inner_modules(&entry.path())? {
                node(&inner)?;
            }
        }
    }
    Ok(())
}

/// `node_modules` of a package, or of the packages of a scope.
fn inner_modules(package: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    let is_scope = package.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"@"));
    let mut packages = vec![package.to_owned()];
    if is_scope {
        packages = fs::read_dir(package)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    }
    Ok(packages.iter().map(|package| package.join("node_modules")).filter(|path| path.is_dir()).collect())
}

fn remove_byte_code(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        if entry.file_name() == "__pycache__" {
            fs::remove_dir_all(entry.path())?;
        } else {
            remove_byte_code(&entry.path())?;
        }
    }
    Ok(())
}

fn tidy_dist_info(folder: &Path) -> io::Result<()> {
    for name in INSTALL_NOTES {
        match fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let record = folder.join("RECORD");
    if record.is_file() {
        let text = String::from_utf8_lossy(&fs::read(&record)?).into_owned();
        fs::write(&record, tidy_record(&text))?;
    }
    Ok(())
}

/// The lines of files that are still as they were installed, sorted.
fn tidy_record(text: &str) -> String {
    let goes = |line: &str| {
        let path = line.split(',').next().unwrap_or_default().trim_matches('"');
        let file = path.rsplit('/').next().unwrap_or_default();
        let noted = path.contains(".dist-info/") && INSTALL_NOTES.contains(&file);
        noted || path.contains("__pycache__/") || path.starts_with("../") || path.starts_with("bin/")
    };
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !goes(line)).collect();
    lines.sort_unstable();
    lines.into_iter().flat_map(|line| [line, "\n"]).collect()
}

/// Replaces an interpreter's absolute path. pip writes long ones, and ones with spaces, as three lines of shell.
fn rewrite_shebang(path: &Path) -> io::Result<()> {
    let bytes = fs::read(path)?;
    let Some(body) = body_of_python_script(&bytes) else { return Ok(()) };
    let rewritten = [SHEBANG, body].concat();
    // Writing in place keeps the mode.
    fs::write(path, rewritten)
}

fn body_of_python_script(bytes: &[u8]) -> Option<&[u8]> {
    let mut lines = bytes.splitn(4, |&byte| byte == b'\n');
    let first = lines.next()?.strip_prefix(b"#!")?;
    let second = lines.next()?;
    if second.starts_with(b"'''exec'") {
        lines.next()?;
        return lines.next();
    }
    let names_python = first.windows(6).any(|window| window == b"python");
    names_python.then(|| bytes.splitn(2, |&byte| byte == b'\n').nth(1)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_keep_what_is_the_same_everywhere() {
        let text = "b/x.py,sha256=1,2\n../../bin/run,sha256=3,4\na.dist-info/INSTALLER,,\na.dist-info/RECORD,,\nb/__pycache__/x.pyc,,\n";
        assert_eq!(tidy_record(text), "a.dist-info/RECORD,,\nb/x.py,sha256=1,2\n");
    }

    #[test]
    fn scripts_lose_the_interpreters_path() {
        for (script, body) in [
            (&b"#!/home/me/v/bin/python3.11\nimport x\n"[..], Some(&b"import x\n"[..])),
            (b"#!/bin/sh\n'''exec' \"/a b/python3\" \"$0\" \"$@\"\n' '''\nimport x\n", Some(b"import x\n")),
            (b"#!/bin/sh\necho\n", None),
            (b"\x7fELF\n", None),
        ] {
            assert_eq!(body_of_python_script(script), body);
        }
    }
}
