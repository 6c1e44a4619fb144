//! What processes ask of the kernel, in its order, as `strace` sees it: whether an answer left before what it promises
//! was synced.

use std::collections::HashMap;
use std::process::Command;

/// Characters of a call id, by which a job is found in what is written and in its answer.
const ID: usize = "00000000-0000-4000-8000-000000000000".len();
/// Where NATS keeps a batch until it is whole.
const STAGED: &str = "/batches/";
/// Where its dashes stand.
const DASHES: [usize; 4] = [8, 13, 18, 23];

/// What was seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Jobs in answers 202.
    pub answered: usize,
    /// Those of which the answer went before a sync that began after their writing has returned.
    pub early: Vec<String>,
}

/// The system calls of an ignored test of this very program, and of all that it starts; `None`, said aloud, where they
/// cannot be seen. With CI=true that is a failure.
pub fn trace(test: &str) -> Option<String> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("trace");
    let calls = "trace=write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,fsync,fdatasync";
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-qq", "-s", "100000", "-e", calls, "-o"]).arg(&file);
    strace.arg(std::env::current_exe().expect("a test knows its own path"));
    match strace.args(["--exact", test, "--ignored", "--nocapture"]).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        Err(error) => return absent(&error),
    }
    Some(String::from_utf8_lossy(&std::fs::read(&file).expect("strace wrote it")).into_owned())
}

#[expect(clippy::print_stderr, reason = "who runs the tests is told what was not tested")]
fn absent<T>(error: &std::io::Error) -> Option<T> {
    assert!(!crate::is_ci(), "strace: {error}: apt-get install strace");
    eprintln!("skipped: strace: {error}");
    None
}

/// Looks through a trace for answers 202 that came too early.
pub fn judge(trace: &str) -> Verdict {
    let (mut seen, mut verdict) = (Seen::default(), Verdict::default());
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if call.contains("HTTP/1.1 202") {
            let ids: Vec<_> = ids(call).collect();
            verdict.answered += ids.len();
            verdict.early.extend(ids.into_iter().filter(|id| !seen.is_synced(id)).map(str::to_owned));
        } else {
            seen.note(thread, call);
        }
    }
    verdict
}

/// Files by their paths, since a descriptor's number is another file in another process.
#[derive(Default)]
struct Seen<'a> {
    /// Writes that have returned, and those of them that a sync has covered.
    files: HashMap<&'a str, (usize, usize)>,
    /// In which file each job lies, and by which of its writes.
    written: HashMap<&'a str, (&'a str, usize)>,
    /// What each thread has begun and not ended.
    begun: HashMap<&'a str, Begun<'a>>,
}

enum Begun<'a> {
    Write(&'a str, Vec<&'a str>),
    /// The file, and how many of its writes had returned.
    Sync(&'a str, usize),
}

impl<'a> Seen<'a> {
    fn note(&mut self, thread: &'a str, call: &'a str) {
        if call.starts_with("<... ") {
            if let Some(begun) = self.begun.remove(thread) {
                self.end(begun);
            }
            return;
        }
        let Some(begun) = self.begin(call) else { return };
        if call.ends_with("<unfinished ...>") {
            self.begun.insert(thread, begun);
        } else {
            self.end(begun);
        }
    }

    fn begin(&self, call: &'a str) -> Option<Begun<'a>> {
        let (name, arguments) = call.split_once('(')?;
        let (_, rest) = arguments.split_once('<')?;
        let (file, _) = rest.split_once('>')?;
        match name {
            "fsync" | "fdatasync" => {
                Some(Begun::Sync(file, self.files.get(file).map_or(0, |(writes, _)| *writes)))
            }
            // What goes into a socket or a pipe lies nowhere yet, nor does a batch that NATS has not written.
            _ if file.starts_with('/') && !file.contains(STAGED) => {
                Some(Begun::Write(file, ids(call).collect()))
            }
            _ => None,
        }
    }

    fn end(&mut self, begun: Begun<'a>) {
        match begun {
            Begun::Write(file, ids) => {
                let (writes, _) = self.files.entry(file).or_default();
                *writes += 1;
                for id in ids {
                    self.written.entry(id).or_insert((file, *writes));
                }
            }
            Begun::Sync(file, writes) => {
                let (_, synced) = self.files.entry(file).or_default();
                *synced = writes.max(*synced);
            }
        }
    }

    fn is_synced(&self, id: &str) -> bool {
        let Some((file, write)) = self.written.get(id) else { return false };
        self.files.get(file).is_some_and(|(_, synced)| synced >= write)
    }
}

fn ids(line: &str) -> impl Iterator<Item = &str> {
    let begins = line.match_indices('-').filter_map(|(dash, _)| dash.checked_sub(DASHES[0]));
    begins.filter_map(|begin| line.get(begin..begin + ID)).filter(|text| is_id(text))
}

fn is_id(text: &str) -> bool {
    let fits = |(position, byte): (usize, u8)| {
        if DASHES.contains(&position) { byte == b'-' } else { byte.is_ascii_hexdigit() }
    };
    text.bytes().enumerate().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn early(trace: &str) -> usize {
        let verdict = judge(&trace.replace("ID_OF_A_JOB", "0123abcd-0000-4000-8000-00000000000f"));
        assert_eq!(verdict.answered, 1, "{trace}");
        verdict.early.len()
    }

    const ANSWER: &str = "9 write(3<socket:[1]>, \"HTTP/1.1 202 Accepted\\r\\nx-call-id: ID_OF_A_JOB\") = 9";

    #[test]
    fn only_a_sync_of_the_same_file_that_began_after_the_write_counts() {
        for (before, expected) in [
            ("1 pwrite64(5</a>, \"ID_OF_A_JOB\", 9, 0) = 9\n1 fsync(5</a>) = 0", 0),
            ("1 pwrite64(5</a>, \"ID_OF_A_JOB\", 9, 0) = 9\n1 fsync(5</b>) = 0", 1),
            ("1 fsync(5</a>) = 0\n1 pwrite64(5</a>, \"ID_OF_A_JOB\", 9, 0) = 9", 1),
            ("1 pwrite64(5</a>, \"ID_OF_A_JOB\", 9, 0) = 9", 1),
            ("1 write(5<socket:[2]>, \"ID_OF_A_JOB\", 9) = 9\n1 fsync(5</a>) = 0", 1),
            (
                "1 pwrite64(5</a>, \"ID_OF_A_JOB\", 9, 0 <unfinished ...>\n2 fdatasync(5</a>) = 0\n\
                 1 <... pwrite64 resumed>) = 9",
                1,
            ),
            (
                "2 fdatasync(5</a> <unfinished ...>\n1 pwrite64(5</a>, \"ID_OF_A_JOB\", 9, 0) = 9\n\
                 2 <... fdatasync resumed>) = 0",
                1,
            ),
            (
                "1 pwrite64(5</a>, \"ID_OF_A_JOB\", 9, 0) = 9\n2 fdatasync(5</a> <unfinished ...>\n\
                 2 <... fdatasync resumed>) = 0",
                0,
            ),
            ("1 pwrite64(5</a>, \"ID_OF_A_JOB\", 9, 0) = 9\n2 fdatasync(5</a> <unfinished ...>", 1),
            ("1 write(5</s/batches/a>, \"ID_OF_A_JOB\", 9) = 9\n1 fsync(5</s/batches/a>) = 0", 1),
        ] {
            assert_eq!(early(&format!("{before}\n{ANSWER}")), expected, "{before}");
        }
    }
}
