//! The cores that threads may run on: each worker of the gateway keeps to one, everything else has all of them.

use std::collections::BTreeSet;
use std::fs;

use faas_testing::{Platform, wait_for};
use rustix::thread::{CpuSet, sched_getaffinity};

use crate::isolation::deploy;

#[test]
fn workers_keep_to_a_core_each_and_nothing_else_does() {
    let platform = Platform::start();
    deploy(&platform, "cores", "cat /proc/self/status; cat >/dev/null", "");
    let all = cores(&fs::read_to_string("/proc/thread-self/status").unwrap());
    // A replica that an invocation starts has not the core of the worker that serves it.
    let to_zero = serde_json::json!({ "replicas": 0 });
    assert_eq!(platform.admin().json("POST", "/system/scale-function/cores", &to_zero).status, 202);
    let handler = platform.http().post("/function/cores", b"").text();
    assert_eq!(cores(&handler), all, "{handler}");
    // Nor has the thread that the worker starts to write to the disk.
    let body = vec![b'x'; 1 << 20];
    assert_eq!(platform.http().post("/async-function/cores", &body).status, 202);

    let count = std::thread::available_parallelism().unwrap().get();
    let (workers, others) = wait_for("the workers", || {
        let (workers, others): (Vec<_>, Vec<_>) =
            threads(&platform).into_iter().partition(|status| status.starts_with("Name:\tgateway-"));
        (workers.len() == count).then_some((workers, others))
    });
    assert!(others.iter().any(|status| status.starts_with("Name:\ttokio-")), "{others:?}");
    for other in &others {
        assert_eq!(cores(other), all, "{other}");
    }
    let kept: Vec<_> = workers.iter().map(|worker| cores(worker)).collect();
    let allowed = sched_getaffinity(None).unwrap();
    if allowed.count() as usize == count {
        let each: BTreeSet<_> = kept.iter().flatten().copied().collect();
        let allowed: BTreeSet<_> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
        assert!(kept.iter().all(|cores| cores.len() == 1) && each == allowed, "{kept:?}");
    } else {
        assert!(kept.iter().all(|cores| *cores == all), "{kept:?}");
    }
}

/// `/proc/PID/task/TID/status` of the platform's threads; those that end meanwhile are left out.
fn threads(platform: &Platform) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{}/task", platform.pid())).unwrap().flatten();
    threads.filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok()).collect()
}

/// `Cpus_allowed_list` of a `status`, as in `0-2,7`.
fn cores(status: &str) -> BTreeSet<usize> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    let range = |range: &str| {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        from.parse().unwrap()..=to.parse().unwrap()
    };
    list.trim().split(',').flat_map(range).collect()
}
