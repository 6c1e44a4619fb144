//! What keeps functions apart on one machine: files, memory, environment.

use faas_testing::{Platform, wait_for};

/// Deploys a bash function with this script.
pub(crate) fn deploy(platform: &Platform, name: &str, script: &str, extra: &str) {
    let faas = platform.login();
    faas.run(&["new", "--lang", "bash", name]).success();
    platform.write(&format!("{name}/handler.sh"), &format!("#!/bin/bash\n{script}\n"));
    let file = format!("{name}.yml");
    let stack = std::fs::read_to_string(platform.folder.path().join(&file)).unwrap();
    platform.write(&file, &format!("{stack}{extra}"));
    faas.run(&["up", "-f", &file]).success();
}

#[test]
fn a_handler_reads_its_own_secret_and_nothing_of_others() {
    let platform = Platform::start();
    let faas = platform.login();
    for name in ["mine", "other"] {
        faas.run(&["secret", "create", name, "--from-literal", &format!("value-of-{name}")]).success();
    }
    deploy(&platform, "victim", "sleep 60 & cat", "    secrets: [other]\n");
    assert_eq!(platform.http().post("/function/victim", b"x").status, 200);
    let data = platform.data_dir();
    let data = data.display();
    let script = format!(
        "cat \"$FAAS_SECRETS_DIR/mine\"; echo\n\
         for file in {data}/secrets/basic-auth-password {data}/faas.db {data}/replicas/*/secrets/other /etc/shadow \
         $(ls -d /proc/[0-9]*/environ | grep -v /proc/$$/); do head -c 1 \"$file\" >/dev/null 2>&1 && echo \"LEAK $file\"; done\n\
         ls {data}/replicas 2>/dev/null && echo LEAK replicas\n\
         echo x 2>/dev/null > {data}/secrets/basic-auth-user && echo LEAK write\n\
         echo x 2>/dev/null > handler.sh && echo LEAK own code\n\
         echo kept > \"$TMPDIR/file\" && cat \"$TMPDIR/file\"\n\
         echo done"
    );
    deploy(&platform, "thief", &script, "    secrets: [mine]\n");
    let text = platform.http().post("/function/thief", b"").text();
    let isolation = platform.admin().get("/system/info").text();
    if isolation.contains("\"isolation\":\"none\"") {
        eprintln!("skipped: this kernel has no Landlock");
        return;
    }
    assert!(!text.contains("LEAK") && !text.contains("value-of-other"), "{text}");
    assert!(text.starts_with("value-of-mine\n") && text.ends_with("kept\ndone\n"), "{text}");
    let secrets = std::fs::read_to_string(platform.data_dir().join("secrets/basic-auth-user")).unwrap();
    assert_eq!(secrets.trim(), "admin");
}

#[test]
fn huge_pages_are_for_functions_and_not_for_the_platform() {
    let enabled = |status: &str| status.lines().any(|line| line == "THP_enabled:\t1");
    if !enabled(&std::fs::read_to_string("/proc/self/status").unwrap()) {
        eprintln!("skipped: this system gives no huge pages");
        return;
    }
    let platform = Platform::start();
    let own = std::fs::read_to_string(format!("/proc/{}/status", platform.pid())).unwrap();
    deploy(&platform, "pages", "cat /proc/self/status", "");
    let handlers = platform.http().post("/function/pages", b"");
    assert!(own.contains("THP_enabled:") && !enabled(&own), "{own}");
    assert!(enabled(&handlers.text()), "{}", handlers.text());
}

#[test]
fn a_handler_over_its_memory_limit_fails_alone() {
    let platform = Platform::start();
    let grow =
        "/usr/bin/python3 -c 'x = bytearray(400 << 20); print(len(x))' 2>&1 && echo GREW || echo refused";
    deploy(&platform, "greedy", grow, "    limits:\n      memory: 64Mi\n");
    let answer = platform.http().post("/function/greedy", b"");
    assert!(!answer.text().contains("GREW"), "{}", answer.text());
    deploy(&platform, "modest", "echo fine", "    limits:\n      memory: 64Mi\n");
    assert_eq!(platform.http().post("/function/modest", b"").text(), "fine\n");
}

#[test]
fn a_handler_sees_nothing_of_the_platforms_environment() {
    let options = faas_testing::Options { variables: vec![("PLATFORM_TOKEN".into(), "hush".into())] };
    let platform = Platform::start_with(options);
    deploy(&platform, "looking", "env", "    environment:\n      MINE: seen\n");
    let text = platform.http().post("/function/looking", b"").text();
    assert!(text.contains("MINE=seen\n") && !text.contains("hush"), "{text}");
}

#[test]
fn nothing_is_left_of_a_replica_that_was_removed() {
    let platform = Platform::start();
    deploy(&platform, "leaver", "setsid sleep 300 >/dev/null 2>&1 & echo started", "");
    assert_eq!(platform.http().post("/function/leaver", b"").text(), "started\n");
    assert!(!platform.processes().is_empty());
    platform.login().run(&["remove", "leaver"]).success();
    wait_for("the last process to end", || platform.processes().is_empty().then_some(()));
    wait_for("the replica's folder to go", || {
        (std::fs::read_dir(platform.data_dir().join("replicas")).unwrap().count() == 0).then_some(())
    });
}
