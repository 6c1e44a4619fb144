//! The data directory: one process at a time, and the credentials made at first start.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;

use crate::failure::failure;

/// Letters and digits of a password: 32 of them carry 190 bits.
const PASSWORD_LENGTH: usize = 32;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A data directory that this process holds until the value is dropped.
#[derive(Debug)]
pub(super) struct DataDir {
    pub(super) path: PathBuf,
    _lock: File,
}

/// Who may use `/system`, and where that is written.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: Password,
    pub(super) password_file: PathBuf,
}

/// Debug prints stars.
pub(super) struct Password(pub(super) String);

impl std::fmt::Debug for Password {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

impl DataDir {
    /// Makes the folder if it is absent, and locks it.
    pub(super) fn lock(path: &Path) -> anyhow::Result<Self> {
        let made = make_private(path).and_then(|()| path.canonicalize());
        let path = made.with_context(|| format!("cannot make the data directory {}", path.display()))?;
        let file = path.join("lock");
        let opened =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&file);
        let mut lock = opened.with_context(|| format!("cannot open {}", file.display()))?;
        // A record lock, which belongs to this process alone: one on the open file would live on for a moment in a child
        // that was being spawned when we were killed.
        match fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::ACCESS) => return Err(in_use(&path, &mut lock)),
            Err(error) => return Err(error).with_context(|| format!("cannot lock {}", file.display())),
        }
        lock.set_len(0)?;
        write!(lock, "{}", std::process::id())?;
        Ok(Self { path, _lock: lock })
    }

    /// Reads the credentials; at first start makes them.
    pub(super) fn credentials(&self) -> anyhow::Result<Credentials> {
        let folder = self.path.join("secrets");
        make_private(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let password_file = folder.join("basic-auth-password");
        let user = read_or_make(&folder.join("basic-auth-user"), || Ok("admin".to_owned()))?;
        let password = Password(read_or_make(&password_file, random_password)?);
        Ok(Credentials { user, password, password_file })
    }
}

fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn in_use(path: &Path, lock: &mut File) -> anyhow::Error {
    let mut holder = String::new();
    let _ = lock.read_to_string(&mut holder);
    let path = path.display();
    failure(format!("the data directory {path} is in use by another faas serve (process {holder})"))
        .hint("use that one, or choose another folder with --data-dir or FAAS_DATA_DIR")
        .into()
}

/// The file's text, trimmed. A new one appears whole or not at all; an empty one is an error, never an open door.
fn read_or_make(file: &Path, make: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<String> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = make()?;
            write_private(file, &text).with_context(|| format!("cannot write {}", file.display()))?;
            text
        }
        text => text.with_context(|| format!("cannot read {}", file.display()))?,
    };
    let text = text.trim().to_owned();
    if text.is_empty() {
        let file = file.display();
        let empty = failure(format!("{file} is empty"));
        return Err(empty.hint("write what it should hold, or remove it to have it made").into());
    }
    Ok(text)
}

fn write_private(file: &Path, text: &str) -> io::Result<()> {
    let temporary = file.with_extension("new");
    let mut options = OpenOptions::new();
    let mut written = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    writeln!(written, "{text}")?;
    written.sync_all()?;
    fs::rename(&temporary, file)
}

fn random_password() -> anyhow::Result<String> {
    let mut password = String::with_capacity(PASSWORD_LENGTH);
    let mut bytes = [0_u8; PASSWORD_LENGTH];
    while password.len() < PASSWORD_LENGTH {
        getrandom::fill(&mut bytes).context("cannot get random bytes for a password")?;
        // Bytes past the last whole multiple of 62 would favour the first letters.
        let letters = bytes.iter().filter(|&&byte| byte < 248).map(|&byte| ALPHABET[usize::from(byte) % 62]);
        password.extend(letters.map(char::from).take(PASSWORD_LENGTH - password.len()));
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn credentials_are_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = DataDir::lock(&folder.path().join("data")).unwrap();
        let first = data_dir.credentials().unwrap();
        let mode = fs::metadata(&first.password_file).unwrap().permissions().mode();
        assert_eq!((first.user.as_str(), first.password.0.len(), mode & 0o777), ("admin", 32, 0o600));
        assert_eq!(data_dir.credentials().unwrap().password.0, first.password.0);
        fs::write(&first.password_file, "\n").unwrap();
        assert!(data_dir.credentials().is_err(), "an empty password opens nothing");
    }
}
