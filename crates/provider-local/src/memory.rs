//! Memory limits: a cgroup a replica where we may make one, else a limit on each process's data.
//!
//! Version 1 of cgroups is used where its memory controller is mounted, version 2 where ours is enabled for children.
//! `RLIMIT_DATA` is the fallback, never `RLIMIT_AS`: node reserves far more than it uses.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// How limits are set here.
#[derive(Debug)]
pub(crate) struct Memory {
    /// The folder that holds a cgroup a replica, and the file that limits one.
    cgroups: Option<(PathBuf, &'static str)>,
    /// Cgroups whose last process was not gone when they should have been removed.
    stale: Mutex<Vec<PathBuf>>,
}

/// What the watchdog is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// To join the cgroup with this `cgroup.procs`.
    Cgroup(PathBuf),
    /// To limit its data.
    Data,
}

impl Memory {
    /// Finds out what is allowed, and removes what an earlier run left under this `name`, which tells this platform's
    /// cgroups from others'.
    pub(crate) fn detect(name: &str) -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let cgroups = candidates(&own, &mounts).into_iter().find_map(|(parent, limit)| {
            let folder = parent.join(name);
            usable(&folder, limit).then_some((folder, limit))
        });
        let memory = Self { cgroups, stale: Mutex::default() };
        memory.remove_children();
        memory
    }

    /// Makes the replica's cgroup, if that is how it is done here and it can be made.
    pub(crate) fn limit(&self, instance: &str, bytes: u64) -> Limit {
        let Some((folder, file)) = &self.cgroups else { return Limit::Data };
        let own = folder.join(instance);
        let made = fs::create_dir_all(&own).and_then(|()| fs::write(own.join(file), bytes.to_string()));
        if let Err(error) = made {
            tracing::warn!(%error, "failed to make a cgroup: each process's data is limited instead");
            return Limit::Data;
        }
        // Without swap accounting the file is not there, and there is nothing to do.
        let _ = match *file {
            "memory.max" => fs::write(own.join("memory.swap.max"), "0"),
            _ => fs::write(own.join("memory.memsw.limit_in_bytes"), bytes.to_string()),
        };
        Limit::Cgroup(own.join("cgroup.procs"))
    }

    /// Removes the replica's cgroup, if it had one; one whose processes are not all gone is tried again later.
    pub(crate) fn remove(&self, instance: &str) {
        let Some((folder, _)) = &self.cgroups else { return };
        let mut stale = self.stale.lock().unwrap_or_else(PoisonError::into_inner);
        stale.push(folder.join(instance));
        stale.retain(|cgroup| {
            fs::remove_dir(cgroup).is_err_and(|error| error.kind() != io::ErrorKind::NotFound)
        });
    }

    /// Removes all that this platform made and that no process is in.
    pub(crate) fn remove_all(&self) {
        self.remove_children();
        if let Some((folder, _)) = &self.cgroups {
            let _ = fs::remove_dir(folder);
        }
    }

    fn remove_children(&self) {
        let Some((folder, _)) = &self.cgroups else { return };
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Whether a limit can be set in a cgroup made there.
fn usable(folder: &Path, limit: &str) -> bool {
    let probe = folder.join("probe");
    // Version 2 gives a controller to children only where it is asked to; version 1 has no such file.
    for cgroup in [folder.parent(), Some(folder)].into_iter().flatten() {
        let _ = fs::create_dir_all(cgroup);
        let control = cgroup.join("cgroup.subtree_control");
        let _ = control.exists().then(|| fs::write(control, "+memory"));
    }
    let made = fs::create_dir_all(&probe).is_ok() && fs::write(probe.join(limit), "1073741824").is_ok();
    let _ = fs::remove_dir(&probe);
    if !made {
        let _ = fs::remove_dir(folder);
    }
    made
}

/// Our own cgroup's folder, in version 1's memory hierarchy and in version 2's, with the file that sets a limit.
fn candidates(own: &str, mounts: &str) -> Vec<(PathBuf, &'static str)> {
    let path = |controller: &str| {
        own.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let found = controllers.split(',').any(|name| name == controller);
            found.then(|| path.trim_start_matches('/').to_owned())
        })
    };
    let mount = |kind: &str, option: &str| {
        mounts.lines().find_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (point, found, options) = (fields.next()?, fields.next()?, fields.next()?);
            let matches = found == kind && (option.is_empty() || options.split(',').any(|o| o == option));
            matches.then(|| PathBuf::from(point))
        })
    };
    let v1 = mount("cgroup", "memory").zip(path("memory"));
    let v2 = mount("cgroup2", "").zip(path(""));
    let v1 = v1.map(|(point, path)| (point.join(path), "memory.limit_in_bytes"));
    let v2 = v2.map(|(point, path)| (point.join(path), "memory.max"));
    v1.into_iter().chain(v2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_hierarchies_are_found_where_they_are_mounted() {
        let own = "4:memory:/process/7\n1:name=systemd:/\n0::/user.slice/x.scope\n";
        let mounts = "cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";
        assert_eq!(
            candidates(own, mounts),
            [
                ("/sys/fs/cgroup/memory/process/7".into(), "memory.limit_in_bytes"),
                ("/sys/fs/cgroup/unified/user.slice/x.scope".into(), "memory.max"),
            ]
        );
        assert_eq!(
            candidates("0::/\n", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"),
            [("/sys/fs/cgroup/".into(), "memory.max")]
        );
        assert!(candidates("", "").is_empty());
    }
}
