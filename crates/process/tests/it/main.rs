//! The spawner in real processes. Orphans belong to a process as a whole, so each scenario runs in one of its own:
//! this binary again, told by a variable to run the body.

#![expect(clippy::unwrap_used, reason = "a test helper that cannot go on has failed its test")]

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use faas_process::{Child, Orphans, Signal, Spawner};

const INSIDE: &str = "FAAS_PROCESS_SCENARIO";
/// Far beyond what anything here takes.
const LIMIT: Duration = Duration::from_secs(30);

fn in_own_process<F: Future<Output = ()>>(name: &str, scenario: impl FnOnce() -> F) {
    #[expect(clippy::disallowed_methods, reason = "how the outer process talks to the inner one")]
    if std::env::var_os(INSIDE).is_none() {
        let program = std::env::current_exe().unwrap();
        let output =
            Command::new(program).args([name, "--exact", "--nocapture"]).env(INSIDE, "1").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LIMIT, scenario()).await.unwrap() });
}

fn start(orphans: Orphans) -> Spawner {
    Spawner::start(orphans, || Ok(())).unwrap()
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).stdin(Stdio::null());
    command
}

/// Spawns a shell that prints one line, and reads it.
async fn spawn_and_read_line(spawner: &Spawner, script: &str) -> (Child, String) {
    let mut command = shell(script);
    command.stdout(Stdio::piped());
    let mut child = spawner.spawn(command).await.unwrap();
    let mut line = Vec::new();
    let mut byte = [0];
    let mut stdout = child.stdout.take().unwrap();
    while stdout.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
        line.extend(byte);
    }
    (child, String::from_utf8(line).unwrap())
}

fn exists(pid: &str) -> bool {
    std::path::Path::new("/proc").join(pid).exists()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT / 2, wait).await.is_ok(), "never: {what}");
}

fn children() -> String {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok()).collect()
}

/// A grandchild in a session of its own, whose parent (the shell in the middle) ends at once.
const ESCAPE: &str = "(setsid sleep 300 >/dev/null 2>&1 & echo $!)";

#[test]
fn exit_codes_and_signals_are_told() {
    in_own_process("exit_codes_and_signals_are_told", || async {
        let spawner = start(Orphans::Reap);
        for (script, code, signal) in
            [("exit 0", Some(0), None), ("exit 42", Some(42), None), ("kill -KILL $$", None, Some(9))]
        {
            let child = spawner.spawn(shell(script)).await.unwrap();
            let status = child.wait().await.unwrap();
            assert_eq!((status.code(), status.signal()), (code, signal), "{script}");
            assert_eq!(child.try_wait().unwrap(), Some(status), "waiting twice");
        }
    });
}

#[test]
fn an_absent_program_is_an_error_not_a_child() {
    in_own_process("an_absent_program_is_an_error_not_a_child", || async {
        let error = start(Orphans::Reap).spawn(Command::new("/nonexistent")).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    });
}

#[test]
fn what_prepare_says_is_returned() {
    in_own_process("what_prepare_says_is_returned", || async {
        let error = Spawner::start(Orphans::Reap, || Err(std::io::Error::other("no"))).unwrap_err();
        assert_eq!(error.to_string(), "no");
    });
}

#[test]
fn no_status_is_stolen_and_no_zombie_left_after_hundreds() {
    in_own_process("no_status_is_stolen_and_no_zombie_left_after_hundreds", || async {
        let spawner = start(Orphans::Reap);
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..300 {
            let spawner = spawner.clone();
            tasks.spawn(async move {
                // Every one also leaves an orphan that ends at about the same time.
                let child =
                    spawner.spawn(shell(&format!("(/bin/true &); exit {}", number % 256))).await.unwrap();
                assert_eq!(child.wait().await.unwrap().code(), Some(number % 256));
            });
        }
        while let Some(result) = tasks.join_next().await {
            result.unwrap();
        }
        until("no child left", || children().is_empty()).await;
    });
}

#[test]
fn dropping_a_child_kills_its_group() {
    in_own_process("dropping_a_child_kills_its_group", || async {
        let spawner = start(Orphans::Reap);
        let (child, grandchild) = spawn_and_read_line(&spawner, "sleep 300 & echo $!; wait").await;
        let pid = child.pid().as_raw_nonzero().to_string();
        assert!(exists(&pid) && exists(&grandchild));
        drop(child);
        until("both gone", || !exists(&pid) && !exists(&grandchild)).await;
    });
}

#[test]
fn a_signal_reaches_the_whole_group() {
    in_own_process("a_signal_reaches_the_whole_group", || async {
        let spawner = start(Orphans::Reap);
        let (child, grandchild) = spawn_and_read_line(&spawner, "sleep 300 & echo $!; wait").await;
        child.kill_group(Signal::TERM).unwrap();
        assert_eq!(child.wait().await.unwrap().signal(), Some(15));
        until("the grandchild gone", || !exists(&grandchild)).await;
        child.kill_group(Signal::TERM).unwrap();
    });
}

#[test]
fn a_reaping_supervisor_lets_orphans_live_and_reaps_them() {
    in_own_process("a_reaping_supervisor_lets_orphans_live_and_reaps_them", || async {
        let spawner = start(Orphans::Reap);
        let (child, orphan) = spawn_and_read_line(&spawner, ESCAPE).await;
        assert!(child.wait().await.unwrap().success());
        drop(child);
        until("the orphan ours", || children().split_whitespace().any(|pid| pid == orphan)).await;
        let pid = rustix::process::Pid::from_raw(orphan.parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
        until("the orphan reaped", || !exists(&orphan)).await;
    });
}

#[test]
fn a_killing_supervisor_leaves_no_orphan() {
    in_own_process("a_killing_supervisor_leaves_no_orphan", || async {
        let spawner = start(Orphans::Kill);
        let (bystander, _) = spawn_and_read_line(&spawner, "echo up; exec sleep 300").await;
        let (child, orphan) = spawn_and_read_line(&spawner, ESCAPE).await;
        assert!(child.wait().await.unwrap().success());
        until("the orphan gone", || !exists(&orphan)).await;
        assert_eq!(bystander.try_wait().unwrap(), None, "own children are left alone");
    });
}

#[test]
fn killing_descendants_finds_those_that_left_the_session() {
    in_own_process("killing_descendants_finds_those_that_left_the_session", || async {
        let spawner = start(Orphans::Reap);
        let script = "setsid sh -c 'setsid sleep 300 & echo $!; wait' & wait";
        let (child, escaped) = spawn_and_read_line(&spawner, script).await;
        assert!(spawner.kill_descendants(LIMIT));
        assert!(child.try_wait().unwrap().is_some());
        until("the escaped one gone", || !exists(&escaped)).await;
        let refused = spawner.spawn(shell("true")).await.unwrap_err();
        assert_eq!(refused.to_string(), "shutting down");
    });
}
