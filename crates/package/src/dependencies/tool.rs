//! Runs pip or npm: each line of its output to the progress, all of it to the error.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use super::Error;

/// Runs `command` to its end.
pub(super) fn run(
    file: &'static str,
    command: &mut Command,
    progress: &mut dyn FnMut(&str),
) -> Result<(), Error> {
    let shown = shown(command);
    let (status, output) =
        capture(command, progress).map_err(|source| Error::Start { command: shown.clone(), source })?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Failed { file, command: shown, status: status.to_string(), output })
}

fn capture(command: &mut Command, progress: &mut dyn FnMut(&str)) -> std::io::Result<(ExitStatus, String)> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let errors = child.stderr.take();
    // Both pipes are read at once, or a full one would stop the tool.
    let errors = thread::spawn(move || {
        let mut text = Vec::new();
        errors.map(|mut pipe| pipe.read_to_end(&mut text));
        text
    });
    let mut output = String::new();
    if let Some(lines) = child.stdout.take() {
        for line in BufReader::new(lines).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            progress(line.trim_end());
            output.push_str(&line);
            output.push('\n');
        }
    }
    output.push_str(&String::from_utf8_lossy(&errors.join().unwrap_or_default()));
    Ok((child.wait()?, output.trim_end().to_owned()))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
