//! A package that is packed, unpacked and started as `faas serve` would.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use faas_package::{
    HTTP_SOCKET_VARIABLE, Host, Interpreter, Layout, Manifest, RunPlan, Runtime, Signature, Source, pack,
    resolve, run_plan, runtime_files, unpack,
};

/// The system's interpreter, or none and a word about it.
pub(crate) fn interpreter(runtime: Runtime) -> Option<Interpreter> {
    match resolve(runtime, OsStr::new("/usr/bin:/bin")) {
        Ok(found) => found,
        Err(error) => {
            skip(&error.to_string());
            None
        }
    }
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

/// A package on disk, in a folder whose path has a space.
pub(crate) struct Package {
    home: tempfile::TempDir,
    plan: RunPlan,
}

impl Package {
    pub(crate) fn new(
        interpreter: &Interpreter,
        manifest: &Manifest,
        handler: &[(&str, &str)],
        dependencies: &[(&str, &str)],
    ) -> Self {
        let home = tempfile::Builder::new().prefix("faas ").tempdir().expect("a temporary folder");
        let path = |name: &str| home.path().join(name);
        write(&path("source"), handler);
        write(&path("dependencies"), dependencies);
        write(&path("runtimes"), runtime_files());
        fs::create_dir(path("scratch")).expect("a folder");
        let source = Source { handler: &path("source"), dependencies: Some(&path("dependencies")), manifest };
        let digest = pack(&source, &path("x.zip")).expect("a package");
        let host = Host::new(None, None);
        let manifest = unpack(&path("x.zip"), &digest, &path("package"), &host).expect("unpacked");
        let layout = Layout {
            package: &path("package"),
            runtimes: &path("runtimes"),
            scratch: Some(&path("scratch")),
        };
        let plan = run_plan(&manifest, Some(interpreter), &layout);
        Self { home, plan }
    }

    pub(crate) fn python(signature: Signature, handler: &str) -> Option<Self> {
        let interpreter = interpreter(Runtime::Python3)?;
        let manifest = Manifest::new(Runtime::Python3, signature, "handler.handle");
        Some(Self::new(&interpreter, &manifest, &[("handler.py", handler)], &[]))
    }

    pub(crate) fn node(handler: &str) -> Option<Self> {
        let interpreter = interpreter(Runtime::Node)?;
        let manifest = Manifest::new(Runtime::Node, Signature::Http, "handler");
        Some(Self::new(&interpreter, &manifest, &[("handler.js", handler)], &[]))
    }

    /// What the watchdog does: splits `fprocess` on spaces and starts it in the handler's folder.
    fn command(&self) -> Command {
        let (fprocess, variables) = self.plan.fprocess();
        let fprocess = fprocess.into_string().expect("UTF-8");
        let mut words = fprocess.split(' ');
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words).current_dir(&self.plan.working_directory).env_clear();
        command.env("PATH", "/usr/bin:/bin").envs(variables).envs(self.plan.environment.clone());
        command
    }

    /// One process for one request.
    pub(crate) fn fork(&self, body: &[u8]) -> Output {
        let mut child = self
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        child.stdin.take().expect("piped").write_all(body).expect("written");
        child.wait_with_output().expect("ended")
    }

    fn socket(&self) -> PathBuf {
        self.home.path().join("http.sock")
    }

    /// Starts the HTTP runtime and waits until it accepts a connection or has ended.
    pub(crate) fn serve(&self, variables: &[(&str, &str)]) -> Server<'_> {
        let mut command = self.command();
        command.env(HTTP_SOCKET_VARIABLE, self.socket()).envs(variables.iter().copied());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
        let mut server = Server { package: self, child };
        while UnixStream::connect(self.socket()).is_err() {
            if server.child.try_wait().expect("a child").is_some() {
                break;
            }
            std::thread::yield_now();
        }
        server
    }
}

impl Drop for Package {
    fn drop(&mut self) {
        let _ = faas_package::remove(&self.home.path().join("package"));
    }
}

fn write(folder: &std::path::Path, files: &[(&str, &str)]) {
    fs::create_dir(folder).expect("a folder");
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }
}

/// A running HTTP runtime.
pub(crate) struct Server<'a> {
    package: &'a Package,
    child: Child,
}

impl Server<'_> {
    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.package.socket()).expect("the runtime listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        stream
    }

    /// Sends one request on a connection of its own and reads the whole answer.
    pub(crate) fn exchange(&self, head: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        let head =
            format!("{head}\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).expect("written");
        // A refused body is not read to its end.
        let _ = stream.write_all(body);
        read_to_end(&mut stream)
    }

    /// Sends bytes as they are and reads until the runtime closes the connection.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(bytes).expect("written");
        read_to_end(&mut stream)
    }

    pub(crate) fn terminate(&self) {
        let status = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill");
        assert!(status.success());
    }

    /// Waits for the end; its status and what it wrote to standard output and error.
    pub(crate) fn ended(mut self) -> (ExitStatus, String, String) {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.child.stdout.take().expect("piped").read_to_string(&mut stdout).expect("text");
        self.child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("text");
        (self.child.wait().expect("a child"), stdout, stderr)
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A response, its head in lower case.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
}

fn read_to_end(stream: &mut UnixStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    Answer { head: head.to_lowercase(), body: body.to_owned() }
}
