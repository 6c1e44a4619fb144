//! Landlock, where this kernel has it: what handlers may and may not touch.

use std::path::Path;

use crate::harness::{Watchdog, binary, outcome};

const SYSTEM: [&str; 12] = [
    "--read",
    "/bin",
    "--read",
    "/usr",
    "--read",
    "/lib",
    "--read",
    "/lib64",
    "--read",
    "/etc",
    "--read",
    "/no/such/path",
];

fn has_landlock() -> bool {
    outcome(binary().arg("--isolation")).1.starts_with("landlock")
}

fn confined(process: &str, flags: &[&str]) -> Watchdog {
    Watchdog::ready(&[("fprocess", process)], &[&SYSTEM[..], flags].concat())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn handlers_read_what_is_given_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (open, secret) = (folder.path().join("open"), folder.path().join("secret"));
    std::fs::write(&open, "readable").unwrap();
    std::fs::write(&secret, "hidden").unwrap();
    let reads = |path: &Path| confined(&format!("cat {}", text(path)), &["--read", text(&open)]).get("/");
    assert_eq!(reads(&open).text(), "readable", "a single file may be given");
    let denied = reads(&secret);
    if has_landlock() {
        assert!(denied.status == 500 && denied.text().contains("Permission denied"), "{denied:?}");
    }
}

#[test]
fn handlers_write_where_they_may() {
    let folder = tempfile::tempdir().unwrap();
    let (mine, theirs) = (folder.path().join("mine"), folder.path().join("theirs"));
    std::fs::create_dir(&mine).unwrap();
    std::fs::create_dir(&theirs).unwrap();
    let touches = |path: &Path| {
        let flags = ["--write", text(&mine), "--read", text(&theirs)];
        confined(&format!("touch {}/file", text(path)), &flags).get("/").status
    };
    assert_eq!(touches(&mine), 200);
    if has_landlock() {
        assert_eq!(touches(&theirs), 500);
        assert!(!theirs.join("file").exists());
    }
}

#[test]
fn the_watchdog_itself_keeps_its_rights() {
    // Its socket, lock file and spool file are in a folder that handlers may not enter.
    let watchdog = confined("cat", &[]);
    let body = vec![7; 3_000_000];
    assert!(watchdog.post(&body).body == body);
}

#[test]
fn handlers_cannot_signal_what_is_outside() {
    let abi = outcome(binary().arg("--isolation")).1;
    let abi = abi.trim().strip_prefix("landlock ABI ").and_then(|abi| abi.parse::<u32>().ok());
    let folder = tempfile::tempdir().unwrap();
    let path = crate::harness::script(&folder.path().join("h"), "#!/bin/sh\nkill -0 $PPID");
    let answer = confined(&path, &["--read", text(folder.path())]).get("/");
    if abi.is_some_and(|abi| abi >= 6) {
        assert_eq!(answer.status, 500, "{answer:?}");
    }
}

#[test]
fn files_are_served_under_the_same_confinement() {
    let folder = tempfile::tempdir().unwrap();
    let (public, secret) = (folder.path().join("public"), folder.path().join("secret"));
    std::fs::create_dir(&public).unwrap();
    std::fs::write(public.join("open"), "readable").unwrap();
    std::fs::write(&secret, "hidden").unwrap();
    std::os::unix::fs::symlink(&secret, public.join("link")).unwrap();
    // Its lock file is in a folder that it may not write to.
    let variables = [("mode", "static"), ("static_path", text(&public)), ("suppress_lock", "true")];
    let watchdog = Watchdog::ready(&variables, &["--read", text(&public)]);
    assert_eq!(watchdog.get("/open").text(), "readable");
    if has_landlock() {
        let denied = watchdog.get("/link");
        assert_eq!((denied.status, denied.text()), (403, "403 Forbidden\n"));
    }
}
