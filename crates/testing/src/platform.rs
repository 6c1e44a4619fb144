//! `faas serve` in a folder of its own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{Faas, Http};

/// How to start a platform.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Variables of `faas serve` beside the usual ones.
    pub variables: Vec<(String, String)>,
}

/// A platform that runs.
#[derive(Debug)]
pub struct Platform {
    /// Holds `data/`, and is the home and working folder of commands.
    pub folder: TempDir,
    /// The gateway, `http://127.0.0.1:PORT`.
    pub url: String,
    /// What `faas serve` printed when it was ready.
    pub welcome: String,
    options: Options,
    serve: Child,
}

/// The path of one of our executables: beside the test's own, or in `FAAS_TEST_BIN_DIR`.
#[expect(clippy::disallowed_methods, reason = "the one place where tests are told which binaries to use")]
pub fn binary(name: &str) -> PathBuf {
    let beside = || {
        let test = std::env::current_exe().expect("a test knows its own path");
        let folder = test.ancestors().skip(1).find(|folder| !folder.ends_with("deps"));
        folder.expect("a test lies in a target folder").to_owned()
    };
    let folder = std::env::var_os("FAAS_TEST_BIN_DIR").map_or_else(beside, PathBuf::from);
    let path = folder.join(name);
    assert!(path.is_file(), "{} is missing: run `cargo build --workspace --bins` first", path.display());
    path
}

impl Platform {
    /// Starts one on free ports.
    pub fn start() -> Self {
        Self::start_with(Options::default())
    }

    /// Starts one with these options.
    pub fn start_with(options: Options) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (serve, welcome) = spawn(folder.path(), &options);
        Self { url: url_in(&welcome), folder, welcome, options, serve }
    }

    /// Starts `faas serve` again on the same data, on another port, after it has ended.
    pub fn restart(&mut self) {
        (self.serve, self.welcome) = spawn(self.folder.path(), &self.options);
        self.url = url_in(&self.welcome);
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The process of `faas serve`.
    pub fn pid(&self) -> u32 {
        self.serve.id()
    }

    /// Kills it with SIGKILL and waits for its end.
    pub fn kill(&mut self) {
        self.serve.kill().expect("faas serve can be killed");
        self.serve.wait().expect("faas serve ends");
    }

    /// Asks it to drain and waits for its end; its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let pid = Pid::from_child(&self.serve);
        kill_process(pid, Signal::TERM).expect("faas serve runs");
        self.serve.wait().expect("faas serve ends").code()
    }

    /// The command line, for this gateway, not logged in.
    pub fn faas(&self) -> Faas {
        Faas::new(self.folder.path()).with("OPENFAAS_URL", &self.url)
    }

    /// Logs the command line in.
    pub fn login(&self) -> Faas {
        let faas = self.faas();
        let arguments = ["login", "-g", &self.url, "-u", "admin", "--password-stdin"];
        faas.run_with(&arguments, self.password().as_bytes()).success();
        faas
    }

    /// The password that the platform made.
    pub fn password(&self) -> String {
        let file = self.data_dir().join("secrets/basic-auth-password");
        fs::read_to_string(file).expect("the password file is there").trim().to_owned()
    }

    /// HTTP to the gateway, without credentials.
    pub fn http(&self) -> Http {
        Http::new(&self.url)
    }

    /// HTTP to the gateway, as admin.
    pub fn admin(&self) -> Http {
        self.http().authorized(format!("Basic {}", STANDARD.encode(format!("admin:{}", self.password()))))
    }

    /// HTTP to the admin listener: metrics and health.
    pub fn admin_listener(&self) -> Http {
        let log = fs::read_to_string(self.folder.path().join("serve.log")).expect("serve.log is there");
        let address =
            log.lines().rev().find_map(|line| line.split_once("admin=")?.1.split_whitespace().next());
        Http::new(&format!("http://{}", address.expect("the log names the address")))
    }

    /// Writes a file below the working folder.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().expect("it has a folder")).expect("the folder can be made");
        fs::write(path, text).expect("the file can be written");
    }

    /// Process ids, with command lines, of all that has the data directory as folder, executable, argument or variable.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let own = [std::process::id(), self.serve.id()].map(|pid| pid.to_string());
        let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().into_string().ok());
        pids.filter(|pid| !own.contains(pid)).filter_map(|pid| uses(&pid, &self.data_dir())).collect()
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let _ = self.serve.kill();
        let _ = self.serve.wait();
    }
}

fn spawn(folder: &Path, options: &Options) -> (Child, String) {
    let faas = options.variables.iter().fold(Faas::new(folder), |faas, (name, value)| faas.with(name, value));
    let log = fs::File::options().append(true).create(true).open(folder.join("serve.log"));
    let mut serve = faas
        .command(&["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data-dir", "data"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.expect("the log can be written"))
        .spawn()
        .expect("faas serve starts");
    let mut lines = BufReader::new(serve.stdout.take().expect("stdout is piped")).lines();
    let mut welcome = String::new();
    while !welcome.contains("--password-stdin") {
        let Some(Ok(line)) = lines.next() else {
            let log = fs::read_to_string(folder.join("serve.log")).unwrap_or_default();
            panic!("faas serve ended: {welcome}{log}");
        };
        welcome.push_str(&line);
        welcome.push('\n');
    }
    (serve, welcome)
}

fn url_in(welcome: &str) -> String {
    let url = welcome.split_whitespace().find(|word| word.starts_with("http://"));
    url.expect("the welcome names the URL").to_owned()
}

fn uses(pid: &str, data_dir: &Path) -> Option<(i32, String)> {
    let process = Path::new("/proc").join(pid);
    let link = |name: &str| fs::read_link(process.join(name)).unwrap_or_default();
    let read =
        |name: &str| String::from_utf8_lossy(&fs::read(process.join(name)).unwrap_or_default()).into_owned();
    let text = data_dir.to_string_lossy().into_owned();
    let (command, environment) = (read("cmdline").replace('\0', " "), read("environ"));
    let found = link("cwd").starts_with(data_dir)
        || link("exe").starts_with(data_dir)
        || command.contains(&text)
        || environment.contains(&text);
    found.then(|| (pid.parse().unwrap_or(-1), command))
}
