//! Who our children are: the ones we spawned and have not let go of, and what `/proc` says beyond them.
//!
//! Shapes: process ids in, process ids out. Everything read from `/proc` is a snapshot that may be stale by the time
//! it is used; callers check again under [`Family::lock`] or through a pidfd. Errors while reading mean "gone".

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

/// The children that belong to a `Child`, and the right to make more.
#[derive(Debug, Default)]
pub(crate) struct Family {
    own: Mutex<HashSet<i32>>,
    /// Read from before a process is made until it stands in `own`. True once no more may be made.
    closed: RwLock<bool>,
}

impl Family {
    /// The children that some `Child` stands for. Held briefly: never across a spawn.
    pub(crate) fn own(&self) -> MutexGuard<'_, HashSet<i32>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held by whoever spawns. Locked before `own`.
    pub(crate) fn spawning(&self) -> RwLockReadGuard<'_, bool> {
        self.closed.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// While this is held nothing is spawned, so every child that is not in `own` is an orphan. Locked before `own`.
    pub(crate) fn lock(&self) -> RwLockWriteGuard<'_, bool> {
        self.closed.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nothing is spawned.
    pub(crate) fn close(&self) {
        *self.lock() = true;
    }
}

/// The direct children of a process, over all its threads.
pub(crate) fn children_of(pid: Pid) -> Vec<Pid> {
    let tasks = format!("/proc/{}/task", pid.as_raw_nonzero());
    children_by_task(Path::new(&tasks)).unwrap_or_else(|_| children_by_scan(pid))
}

/// Reads `task/*/children`, which a kernel may lack. A thread may end between listing and reading.
fn children_by_task(tasks: &Path) -> io::Result<Vec<Pid>> {
    let files = fs::read_dir(tasks)?.flatten().map(|task| fs::read_to_string(task.path().join("children")));
    let texts: Vec<String> = files.filter_map(Result::ok).collect();
    if texts.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(texts.iter().flat_map(|text| text.split_ascii_whitespace()).filter_map(parse_pid).collect())
}

fn children_by_scan(parent: Pid) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| parse_pid(entry.ok()?.file_name().to_str()?));
    pids.filter(|&pid| stat(pid).is_some_and(|stat| stat.parent == Some(parent))).collect()
}

/// Every living process below this one, those in other sessions and groups included, each with its parent.
pub(crate) fn living_descendants() -> Vec<(Pid, Pid)> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut parents = vec![getpid()];
    while let Some(parent) = parents.pop() {
        for pid in children_of(parent).into_iter().filter(|pid| seen.insert(pid.as_raw_nonzero())) {
            parents.push(pid);
            found.extend(is_living(pid).then_some((pid, parent)));
        }
    }
    found
}

fn is_living(pid: Pid) -> bool {
    stat(pid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

/// Kills a process that was seen as a child of `parent`, unless its number has passed to another since.
pub(crate) fn kill_descendant(pid: Pid, parent: Pid) {
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    // A descendant whose parent died meanwhile is ours now.
    let same = stat(pid).is_some_and(|stat| stat.parent == Some(parent) || stat.parent == Some(getpid()));
    if same {
        let _ = pidfd_send_signal(&pidfd, Signal::KILL);
    }
}

/// Whether a process is in our session. The leader of that may be outside our namespace.
pub(crate) fn is_in_session(pid: Pid) -> bool {
    let own = stat(getpid()).map(|stat| stat.session);
    own.is_some() && stat(pid).map(|stat| stat.session) == own
}

struct Stat {
    state: char,
    parent: Option<Pid>,
    session: i32,
}

fn stat(pid: Pid) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?)
}

/// Reads `PID (NAME) STATE PPID PGRP SESSION …`; the name may hold spaces and brackets.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = parse_pid(fields.next()?);
    Some(Stat { state, parent, session: fields.nth(1)?.parse().ok()? })
}

fn parse_pid(text: &str) -> Option<Pid> {
    Pid::from_raw(text.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_confuse_the_parent() {
        let stat = parse_stat("42 (a) S 7 (b) Z 41 42 42 0 -1").unwrap();
        assert_eq!(stat.state, 'Z');
        assert_eq!((stat.parent, stat.session), (Pid::from_raw(41), 42));
    }

    #[test]
    fn a_cut_line_is_no_process() {
        assert!(parse_stat("42 (a").is_none());
        assert!(parse_stat("").is_none());
    }

    #[test]
    fn scan_and_children_files_agree_on_a_parent() {
        let parent = getpid();
        let child = std::process::Command::new("/bin/sleep").arg("60").spawn();
        let mut child = child.unwrap();
        let pid = Pid::from_child(&child);
        let (scanned, listed) = (children_by_scan(parent), children_of(parent));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(scanned.contains(&pid), "{scanned:?}");
        assert!(listed.contains(&pid), "{listed:?}");
    }
}
