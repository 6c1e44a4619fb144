//! How threads are scheduled: each worker of the gateway on a core of its own and by its own policy, everything else as
//! the system does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use faas_testing::{Platform, wait_for};
use rustix::thread::{CpuSet, sched_getaffinity};

use crate::isolation::deploy;

/// Policies as Linux numbers them.
const OTHER: i32 = 0;
const BATCH: i32 = 3;

#[test]
fn workers_alone_have_cores_and_a_policy_of_their_own() {
    let platform = Platform::start();
    deploy(&platform, "cores", "cat /proc/self/status /proc/self/stat; cat >/dev/null", "");
    let all = cores(&fs::read_to_string("/proc/thread-self/status").unwrap());
    let (nice, usual) = policy(&fs::read_to_string("/proc/thread-self/stat").unwrap());
    // A replica that an invocation starts has not the core of the worker that serves it.
    let to_zero = serde_json::json!({ "replicas": 0 });
    assert_eq!(platform.admin().json("POST", "/system/scale-function/cores", &to_zero).status, 202);
    let handler = platform.http().post("/function/cores", b"").text();
    assert_eq!((cores(&handler), policy(&handler)), (all.clone(), (nice, usual)), "{handler}");
    // Nor has the thread that the worker starts to write to the disk.
    let body = vec![b'x'; 1 << 20];
    assert_eq!(platform.http().post("/async-function/cores", &body).status, 202);

    let count = std::thread::available_parallelism().unwrap().get();
    // A thread has its name before it is scheduled as it will be.
    let workers = wait_for("the workers, the thread that writes, and all others as usual", || {
        let named = |name: &str, status: &str| status.starts_with(&format!("Name:\t{name}-"));
        let (workers, others): (Vec<_>, Vec<_>) =
            threads(&platform).into_iter().partition(|status| named("gateway", status));
        let writes = others.iter().any(|status| named("blocking", status));
        let are_usual = others.iter().all(|other| cores(other) == all && policy(other) == (nice, usual));
        (workers.len() == count && writes && are_usual).then_some(workers)
    });
    let own = if usual == OTHER { BATCH } else { usual };
    for worker in &workers {
        assert_eq!(policy(worker), (nice, own), "{worker}");
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

/// `status` and `stat` in `/proc/PID/task/TID` of the platform's threads; those that end meanwhile are left out.
fn threads(platform: &Platform) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{}/task", platform.pid())).unwrap().flatten();
    let read = |thread: &Path, file: &str| fs::read_to_string(thread.join(file)).ok();
    threads
        .filter_map(|thread| Some(read(&thread.path(), "status")? + &read(&thread.path(), "stat")?))
        .collect()
}

/// Niceness and policy in a `stat`, the 19th and the 41st of its fields; the name of the program is the second.
fn policy(stat: &str) -> (i32, i32) {
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let field = |number: usize| fields.split(' ').nth(number - 3).unwrap().parse().unwrap();
    (field(19), field(41))
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
