//! Mode `worker` with runtimes that are written here, of a few lines: the protocol's edges, and what a broken or dying
//! process costs.

mod life;
mod limits;
mod load;
mod protocol;

use tempfile::TempDir;

use crate::harness::Watchdog;

/// Reads and writes frames on descriptor 0.
const FRAMES: &str = include_str!("worker/frames.py");

const VARIABLES: [(&str, &str); 3] =
    [("mode", "worker"), ("fprocess", "/usr/bin/python3 -B runtime.py"), ("worker_count", "1")];

/// A runtime of a few lines of Python behind [`FRAMES`].
struct Runtime {
    folder: TempDir,
}

impl Runtime {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("frames.py"), FRAMES).unwrap();
        std::fs::write(folder.path().join("runtime.py"), format!("from frames import *\n{text}\n")).unwrap();
        Self { folder }
    }

    /// Runs `text` for `/bad`, in which `call`, `line` (the head) and `body` are the call's; answers all else.
    fn misbehaving(text: &str) -> Self {
        let text = text.replace('\n', "\n        ");
        Self::new(&format!(
            "hello()\nwhile True:\n    call, line, body = request()\n    if line.split()[1] == '/bad':\n        {text}\n    \
             else:\n        answer(call, str(os.getpid()).encode())"
        ))
    }

    fn ready(&self, variables: &[(&str, &str)]) -> Watchdog {
        Watchdog::ready(&[&VARIABLES[..], variables].concat(), &self.flags())
    }

    fn supervised(&self, variables: &[(&str, &str)]) -> Watchdog {
        Watchdog::supervised(&[&VARIABLES[..], variables].concat(), &self.flags())
    }

    fn flags(&self) -> [&str; 2] {
        ["--directory", self.folder.path().to_str().unwrap()]
    }
}
