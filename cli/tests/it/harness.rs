//! A gateway of canned answers, and the `faas` program in a clean environment with a fresh home.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

/// A request as the server got it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

type Answers = Arc<Mutex<HashMap<String, Vec<(u16, String)>>>>;

/// The server. It stops with the test's process.
pub(crate) struct Gateway {
    pub(crate) url: String,
    answers: Answers,
    /// A line of every answer.
    header: Arc<Mutex<String>>,
    received: Arc<Mutex<Vec<Received>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gateway {
    /// Answers 404 to everything.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound address"));
        let gateway =
            Self { url, answers: Answers::default(), header: Arc::default(), received: Arc::default() };
        let (answers, received) = (gateway.answers.clone(), gateway.received.clone());
        let header = gateway.header.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, received, header) = (answers.clone(), received.clone(), header.clone());
                std::thread::spawn(move || serve(stream, &answers, &locked(&header).clone(), &received));
            }
        });
        gateway
    }

    /// Takes functions, as `faas serve` does.
    pub(crate) fn for_packages() -> Self {
        Self::start().on(
            "GET /system/info",
            200,
            r#"{"provider":{"provider":"faas-local","accepts":["package"]}}"#,
        )
    }

    /// Answers requests whose line begins with `request`; more than one answer to it are given in turn, the last stays.
    pub(crate) fn on(self, request: &str, status: u16, body: &str) -> Self {
        locked(&self.answers).entry(request.to_owned()).or_default().push((status, body.to_owned()));
        self
    }

    /// Gives every answer this header.
    pub(crate) fn with_header(self, line: &str) -> Self {
        *locked(&self.header) = format!("{line}\r\n");
        self
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        locked(&self.received).clone()
    }

    /// Methods and paths, without the digests of packages.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |request: &Received| match request.line().split_once("sha256:") {
            Some((before, after)) => format!("{before}DIGEST{}", after.get(64..).unwrap_or_default()),
            None => request.line(),
        };
        self.received().iter().map(line).collect()
    }

    /// The one request of this line.
    pub(crate) fn request(&self, line: &str) -> Received {
        let found = self.received().into_iter().find(|request| request.line() == line);
        found.unwrap_or_else(|| unreachable!("no {line} among {:?}", self.lines()))
    }
}

fn serve(
    mut stream: TcpStream,
    answers: &Answers,
    extra: &str,
    received: &Mutex<Vec<Received>>,
) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end() {
            "" => break,
            text => lines.push(text.to_owned()),
        }
    }
    let mut request = lines.first()?.split(' ');
    let (method, path) = (request.next()?.to_owned(), request.next()?.to_owned());
    let header =
        |line: &String| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: HashMap<_, _> = lines.iter().skip(1).filter_map(header).collect();
    let body = read_body(&mut reader, &headers)?;
    let (status, text) = answer(answers, &format!("{method} {path}"));
    let is_head = method == "HEAD";
    locked(received).push(Received { method, path, headers, body });
    let length = text.len();
    let head = format!(
        "HTTP/1.1 {status} {}\r\n{extra}Content-Length: {length}\r\nConnection: close\r\n\r\n",
        reason(status)
    );
    stream.write_all(head.as_bytes()).ok()?;
    if !is_head {
        stream.write_all(text.as_bytes()).ok()?;
    }
    Some(())
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        _ => "Whatever",
    }
}

fn read_body(reader: &mut impl BufRead, headers: &HashMap<String, String>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    if let Some(length) = headers.get("content-length") {
        reader.take(length.parse().ok()?).read_to_end(&mut body).ok()?;
    } else if headers.contains_key("transfer-encoding") {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok()?;
            let size = u64::from_str_radix(size.trim(), 16).ok()?;
            reader.take(size).read_to_end(&mut body).ok()?;
            reader.read_line(&mut String::new()).ok()?;
            if size == 0 {
                break;
            }
        }
    }
    Some(body)
}

fn answer(answers: &Answers, line: &str) -> (u16, String) {
    let mut answers = locked(answers);
    let best =
        answers.keys().filter(|key| line.starts_with(key.as_str())).max_by_key(|key| key.len()).cloned();
    let queue = best.and_then(|key| answers.get_mut(&key));
    match queue {
        Some(queue) if queue.len() > 1 => queue.remove(0),
        Some(queue) => queue.first().cloned().expect("an answer was given"),
        None => (404, String::new()),
    }
}

/// A home and working folder, and nothing else in the environment.
pub(crate) struct User {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
    called_as: &'static str,
}

/// What a run gave.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl User {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("work")).expect("a folder");
        Self { folder, variables: Vec::new(), called_as: "faas" }
    }

    /// Logged in at this gateway.
    pub(crate) fn at(gateway: &Gateway) -> Self {
        let user = Self::new().with("OPENFAAS_URL", &gateway.url);
        let config =
            format!("auths:\n- gateway: {}\n  auth: basic\n  token: YWRtaW46c2VjcmV0\n", gateway.url);
        user.write("../.openfaas/config.yml", &config);
        user
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn called(mut self, name: &'static str) -> Self {
        self.called_as = name;
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("work").join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file")
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, b"")
    }

    pub(crate) fn run_with(&self, arguments: &[&str], stdin: &[u8]) -> Ran {
        let mut child = self.command(arguments).spawn().expect("faas starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        let stdin = stdin.to_owned();
        // A program that reads nothing may be gone before this is written.
        let writer = std::thread::spawn(move || pipe.write_all(&stdin).is_ok());
        let output: Output = child.wait_with_output().expect("faas ends");
        let _ = writer.join();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let link = self.folder.path().join(self.called_as);
        if !link.exists() {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_faas"), &link).expect("a link");
        }
        let mut command = Command::new(link);
        command.args(arguments).env_clear().env("HOME", self.folder.path()).env("PATH", "/usr/bin:/bin");
        command.envs(self.variables.iter().map(|(name, value)| (name, value))).current_dir(self.path(""));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn home(&self) -> &Path {
        self.folder.path()
    }
}

impl Ran {
    /// Ended well.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }

    /// Ended with exit code 1; standard error.
    #[track_caller]
    pub(crate) fn failed(self) -> String {
        assert_eq!(self.code, 1, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stderr
    }
}

/// An address where nobody listens.
pub(crate) fn refused() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}", listener.local_addr().expect("a bound address"))
}
