//! The platform under measurement, and what is done to it again and again.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use faas_api::{Digest, FunctionStatus};
use faas_package::{Interpreter, Manifest, Runtime, Signature, Source};
use faas_testing::{Answer, Faas, Http, Options, Platform, wait_for};
use serde_json::{Value, json};

/// No version manager's shims: interpreters are measured, not their launchers.
pub(crate) const SEARCH_PATH: &str = "/usr/bin:/bin";

/// A platform, and clients that keep their connections.
pub(crate) struct World {
    pub(crate) platform: Platform,
    /// Without credentials.
    pub(crate) http: Http,
    admin: Http,
}

impl World {
    /// Starts `faas serve` with nothing in it.
    pub(crate) fn start() -> Self {
        let variables = vec![("PATH".to_owned(), SEARCH_PATH.to_owned())];
        let platform = Platform::start_with(Options { variables });
        Self { http: platform.http(), admin: platform.admin(), platform }
    }

    /// Kills it and starts it again on the same data.
    pub(crate) fn kill(&mut self) {
        self.platform.kill();
    }

    /// Starts it again after [`kill`](Self::kill).
    pub(crate) fn restart(&mut self) {
        self.platform.restart();
        (self.http, self.admin) = (self.platform.http(), self.platform.admin());
    }

    /// The command line, logged in.
    pub(crate) fn cli(&self) -> Faas {
        self.platform.login().with("PATH", SEARCH_PATH)
    }

    /// Packs the files of a folder and uploads them.
    pub(crate) fn upload(&self, folder: &Path, manifest: &Manifest) -> anyhow::Result<Digest> {
        let out = tempfile::tempdir()?;
        let zip = out.path().join("package.zip");
        let digest = faas_package::pack(&Source { handler: folder, dependencies: None, manifest }, &zip)?;
        let headers = [("content-type", "application/zip")];
        let path = format!("/system/packages/{digest}");
        check(&self.admin.send("PUT", &path, &headers, &fs::read(&zip)?), "the upload of a package")?;
        Ok(digest)
    }

    /// Uploads the smallest package there is: bash, and `cat`.
    pub(crate) fn upload_cat(&self) -> anyhow::Result<Digest> {
        let handler = bash_handler("cat\n")?;
        self.upload(handler.path(), &Manifest::new(Runtime::Bash, Signature::Stdin, "handler.sh"))
    }

    /// Deploys so many functions of that package and waits until all are available; their names.
    pub(crate) fn deploy_many(&self, count: usize) -> anyhow::Result<Vec<String>> {
        let package = self.upload_cat()?;
        let names: Vec<_> = (0..count).map(|number| format!("f-{number}")).collect();
        for name in &names {
            self.deploy(name, &package, &json!({}))?;
        }
        self.wait_until_available(count);
        Ok(names)
    }

    /// Sends a deployment; `more` are fields besides name and package.
    pub(crate) fn deploy(&self, name: &str, package: &Digest, more: &Value) -> anyhow::Result<()> {
        let mut body = json!({ "service": name, "package": package });
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        check(&self.admin.json("POST", "/system/functions", &body), "a deployment")
    }

    /// Asks for so many replicas.
    pub(crate) fn scale(&self, name: &str, replicas: u32) -> anyhow::Result<()> {
        let body = json!({ "serviceName": name, "replicas": replicas });
        check(&self.admin.json("POST", &format!("/system/scale-function/{name}"), &body), "a scale request")
    }

    /// Scales to zero and waits until every replica of the platform has ended and its folder is gone.
    pub(crate) fn to_zero<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> anyhow::Result<()> {
        for name in names {
            self.scale(name, 0)?;
        }
        self.wait_until_empty();
        Ok(())
    }

    /// Waits until no replica runs.
    pub(crate) fn wait_until_empty(&self) {
        let replicas = self.platform.data_dir().join("replicas");
        let is_empty = || fs::read_dir(&replicas).is_ok_and(|mut entries| entries.next().is_none());
        wait_for("the end of all replicas", || is_empty().then_some(()));
    }

    /// All functions.
    pub(crate) fn functions(&self) -> anyhow::Result<Vec<FunctionStatus>> {
        let answer = self.admin.get("/system/functions");
        check(&answer, "the list of functions")?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Waits until each of `count` functions has a replica that answers.
    pub(crate) fn wait_until_available(&self, count: usize) {
        wait_for("available functions", || {
            let functions = self.functions().ok()?;
            let available = functions.iter().filter(|function| function.available_replicas > 0).count();
            (available == count).then_some(())
        });
    }

    /// Calls a function; anything but success is an error.
    pub(crate) fn invoke(&self, name: &str, body: &[u8]) -> anyhow::Result<Answer> {
        let answer = self.http.post(&format!("/function/{name}"), body);
        check(&answer, name)?;
        Ok(answer)
    }

    /// Makes a function from a template in the platform's folder and brings it up; its handler's folder.
    pub(crate) fn create(&self, cli: &Faas, language: &str, name: &str) -> PathBuf {
        cli.run(&["new", "--lang", language, name]).success();
        cli.run(&["up", "-f", &format!("{name}.yml")]).success();
        self.platform.folder.path().join(name)
    }

    /// The one watchdog that runs.
    pub(crate) fn watchdog(&self) -> anyhow::Result<u32> {
        let processes = self.platform.processes();
        let mut watchdogs =
            processes.iter().filter(|(_, command)| command.contains("faas-watchdog --supervised"));
        let (pid, _) = watchdogs.next().context("no watchdog runs")?;
        ensure!(watchdogs.next().is_none(), "several watchdogs run: {processes:?}");
        Ok(u32::try_from(*pid)?)
    }
}

/// Stopped rather than killed, so that nothing of it runs any more beside the next measure.
impl Drop for World {
    fn drop(&mut self) {
        // A panic may have come between a kill and the next start; then nothing is left to stop.
        if !std::thread::panicking() {
            self.platform.stop();
        }
    }
}

/// The interpreter that the platform uses, if it is installed.
pub(crate) fn interpreter(runtime: Runtime) -> Option<Interpreter> {
    faas_package::resolve(runtime, OsStr::new(SEARCH_PATH)).ok().flatten()
}

/// A folder with a shell script as its handler, `handler.sh`.
pub(crate) fn bash_handler(script: &str) -> anyhow::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("handler.sh"), script)?;
    Ok(folder)
}

fn check(answer: &Answer, what: &str) -> anyhow::Result<()> {
    ensure!((200..300).contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
    Ok(())
}
