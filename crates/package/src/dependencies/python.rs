//! `requirements.txt` with the interpreter's own pip.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use super::{Error, Request, Requirements, normalise, tool};

const FILE: &str = "requirements.txt";

/// None when there is no file or only blanks and comments in it.
pub(super) fn requirements(handler: &Path) -> Result<Option<Requirements>, Error> {
    let path = handler.join(FILE);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.map_err(Error::io("read", &path))?,
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let local = lines.clone().any(names_local_files);
    let empty = lines.next().is_none();
    Ok((!empty).then(|| Requirements { files: vec![(FILE, bytes)], local }))
}

/// `-r other.txt`, `-e .`, `./x`, `x.whl`, `file:…`, `--find-links x`: pip reads more than this file.
fn names_local_files(line: &str) -> bool {
    let options = ["-r", "-c", "-e", "-f", "--requirement", "--constraint", "--editable", "--find-links"];
    let archive = [".whl", ".zip", ".tar.gz"]
        .iter()
        .any(|end| line.split('#').next().unwrap_or("").trim().ends_with(end));
    let remote = line.contains("://") && !line.contains("file://");
    options.iter().any(|option| line.starts_with(option))
        || line.starts_with(['.', '/'])
        || line.contains("file:")
        || (line.contains('@') && line.contains('/') && !remote)
        || (archive && !remote)
}

pub(super) fn install(
    request: &Request<'_>,
    target: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<(), Error> {
    progress("Installing requirements.txt with pip");
    let mut pip = Command::new(&request.interpreter.program);
    pip.args(["-m", "pip", "install", "--no-compile", "--disable-pip-version-check", "--target"])
        .arg(absolute(target)?)
        .args(["-r", FILE])
        // Relative paths in the file are meant from where it stands.
        .current_dir(request.handler);
    tool::run(FILE, &mut pip, progress)?;
    normalise::python(target).map_err(Error::io("tidy", target))
}

fn absolute(path: &Path) -> Result<std::path::PathBuf, Error> {
    std::path::absolute(path).map_err(Error::io("find", path))
}
