//! Starts watchdogs and talks to them. Everything waits on conditions, within [`LIMIT`].

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Far beyond what anything here takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// A running watchdog; killed when dropped.
pub(crate) struct Watchdog {
    child: Child,
    /// Where it listens, once it does.
    place: Place,
    /// Its supervisor's end, in supervised mode.
    pub(crate) control: Option<BufReader<UnixStream>>,
    log: Arc<Mutex<String>>,
    /// Its TMPDIR, and whatever the test wants there.
    pub(crate) folder: TempDir,
    /// A folder that must live as long.
    pub(crate) keep: Option<TempDir>,
}

enum Place {
    Port(u16),
    Socket(PathBuf),
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// One without a body.
    fn bare(head: String) -> Self {
        assert!(head.ends_with("\r\n\r\n"), "{head}");
        Self { status: head[9..12].parse().unwrap(), head, body: Vec::new() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Every value of a header.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_faas-watchdog"));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("metrics_port", "0");
    command
}

/// Runs it to its end.
pub(crate) fn outcome(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < LIMIT, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn exists(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// The children of a process, those of all its threads.
pub(crate) fn children(pid: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let mut pids: Vec<String> = lists.collect::<String>().split_whitespace().map(str::to_owned).collect();
    pids.sort();
    pids
}

/// How many calls a test of leaks makes: `make soak` asks for 100,000.
#[expect(clippy::disallowed_methods, reason = "how thorough a test is, is for whoever runs it")]
pub(crate) fn soak(calls: usize) -> usize {
    std::env::var("FAAS_SOAK_CALLS").map_or(calls, |text| text.parse().unwrap())
}

/// Descriptors that a process has open.
pub(crate) fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Resident memory at its peak, in bytes.
pub(crate) fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

impl Watchdog {
    /// On a TCP port of the system's choice.
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = binary();
        command
            .env("TMPDIR", folder.path())
            .env("port", "0")
            .envs(variables.iter().copied())
            .stdin(Stdio::null());
        let mut watchdog = Self::spawn(command, Place::Port(0), None, folder);
        let port = watchdog.logged("Listening on port: ").parse().unwrap();
        watchdog.place = Place::Port(port);
        let served = ["Writing lock-file to: ", "\"suppress_lock\" is enabled"];
        until("it serves", || served.iter().any(|line| watchdog.log().contains(line)).then_some(()));
        watchdog
    }

    /// Supervised, on a Unix socket; not waited for.
    pub(crate) fn supervised(variables: &[(&str, &str)], flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(LIMIT)).unwrap();
        let socket = folder.path().join("s");
        let mut command = binary();
        command.args(["--supervised", "--socket"]).arg(&socket).args(flags);
        command.env("TMPDIR", folder.path()).envs(variables.iter().copied()).stdin(OwnedFd::from(theirs));
        Self::spawn(command, Place::Socket(socket), Some(BufReader::new(ours)), folder)
    }

    /// Supervised, and ready.
    pub(crate) fn ready(variables: &[(&str, &str)], flags: &[&str]) -> Self {
        let mut watchdog = Self::supervised(variables, flags);
        assert_eq!(watchdog.said(), "ready\n", "{}", watchdog.log());
        watchdog
    }

    fn spawn(
        mut command: Command,
        place: Place,
        control: Option<BufReader<UnixStream>>,
        folder: TempDir,
    ) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // The command holds the other end of the control socket.
        drop(command);
        let log = Arc::new(Mutex::new(String::new()));
        let pipes: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for pipe in pipes {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    *log.lock().unwrap() += &(line + "\n");
                }
            });
        }
        Self { child, place, control, log, folder, keep: None }
    }

    /// The next line on the control socket; empty at its end.
    pub(crate) fn said(&mut self) -> String {
        let mut line = String::new();
        self.control.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a line that has `text` in it; returns what follows on it.
    pub(crate) fn logged(&self, text: &str) -> String {
        until(&format!("a log line with {text:?}"), || {
            let log = self.log();
            let rest = log.lines().find_map(|line| line.split_once(text))?.1.to_owned();
            Some(rest)
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) fn exit(&mut self) -> ExitStatus {
        until("the watchdog's exit", || self.child.try_wait().unwrap())
    }

    pub(crate) fn connect(&self) -> Box<dyn Stream> {
        match &self.place {
            Place::Port(_) => Box::new(self.tcp()),
            Place::Socket(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(LIMIT)).unwrap();
                Box::new(stream)
            }
        }
    }

    /// Sends bytes on a connection of their own, and leaves it open.
    pub(crate) fn begin(&self, bytes: &[u8]) -> Box<dyn Stream> {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        stream
    }

    /// Sends bytes as they are, and reads until the connection is closed.
    pub(crate) fn exchange(&self, bytes: &[u8]) -> String {
        let mut text = Vec::new();
        let _ = self.begin(bytes).read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// A connection whose halves can be used at the same time.
    pub(crate) fn tcp(&self) -> TcpStream {
        let Place::Port(port) = &self.place else { unreachable!("only of one that listens on a port") };
        let stream = TcpStream::connect(("127.0.0.1", *port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.send("GET", target, "", b"")
    }

    /// Only the head is sent back; its length says nothing of what follows.
    pub(crate) fn head(&self, target: &str) -> Answer {
        let head = self.raw(&format!("HEAD {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"));
        Answer::bare(head)
    }

    /// What comes back for these bytes, as it is, until the connection ends or breaks.
    pub(crate) fn raw(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    pub(crate) fn post(&self, body: &[u8]) -> Answer {
        self.send("POST", "/", "", body)
    }

    /// One request on a connection of its own; `headers` are whole lines.
    pub(crate) fn send(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        let length = body.len();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        // A handler may not want all of it.
        let _ = stream.write_all(body);
        read_answer(stream)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads to the end of the connection.
pub(crate) fn read_answer(mut stream: impl Read) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head") + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut answer = Answer { status: head[9..12].parse().unwrap(), head, body: bytes[end..].to_vec() };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = unchunk(&answer.body);
    } else if let Some(length) = answer.header("content-length") {
        assert_eq!(length, answer.body.len().to_string());
    }
    answer
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = rest.iter().position(|&byte| byte == b'\n').expect("a whole chunk");
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line - 1]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend(&rest[line + 1..line + 1 + size]);
        rest = &rest[line + 3 + size..];
    }
}

/// Writes an executable script.
pub(crate) fn script(path: &Path, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}
