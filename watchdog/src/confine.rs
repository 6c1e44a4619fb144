//! What holds for this process and its handlers: cgroup, memory, working directory, and Landlock.
//!
//! The first three are set once, before anything is spawned, and are inherited. Landlock is per thread: only the
//! thread that spawns handlers restricts itself, so the watchdog keeps its own rights. An older kernel enforces what it
//! can; TCP is never restricted.

use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, disable_transparent_huge_pages, set_capabilities, set_no_new_privs,
};

use crate::flags::Flags;
use crate::log;

/// The newest that the crate knows; kernels do what they can of it.
const NEWEST: ABI = ABI::V10;

/// Enters the cgroup, limits memory, changes folder. The error says which failed.
pub(crate) fn enter(flags: &Flags) -> Result<(), String> {
    if flags.supervised {
        // The platform goes without for its own sake. Functions have what the system gives, and so this process has too.
        let _ = disable_transparent_huge_pages(false);
    }
    if let Some(file) = &flags.cgroup {
        std::fs::write(file, "0")
            .map_err(|error| format!("cannot enter the cgroup {}: {error}", file.display()))?;
    }
    if let Some(bytes) = flags.data_limit {
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        setrlimit(Resource::Data, limit)
            .map_err(|error| format!("cannot limit memory to {bytes} bytes: {error}"))?;
    }
    if let Some(folder) = &flags.directory {
        std::env::set_current_dir(folder)
            .map_err(|error| format!("cannot work in {}: {error}", folder.display()))?;
    }
    Ok(())
}

/// Restricts the calling thread and all it spawns, if the flags say so. Capabilities go too: with root's a handler would
/// read other processes' memory past Landlock, and `no_new_privs` keeps them from coming back.
pub(crate) fn restrict(read: &[PathBuf], write: &[PathBuf]) -> io::Result<()> {
    if read.is_empty() && write.is_empty() {
        return Ok(());
    }
    let status = restrict_files(read, write).map_err(io::Error::other)?;
    if status.ruleset == RulesetStatus::NotEnforced {
        log::line(format_args!("handlers are not confined: this kernel offers no Landlock"));
    }
    set_no_new_privs(true)?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(())
}

fn restrict_files(read: &[PathBuf], write: &[PathBuf]) -> Result<RestrictionStatus, RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(read, AccessFs::from_read(NEWEST)))?
        .add_rules(path_beneath_rules(write, AccessFs::from_all(NEWEST)))?
        .restrict_self()
}

/// `landlock ABI 7`, or `none`. Finds out by trying, on a process that ends after it.
pub(crate) fn describe() -> String {
    match restrict_files(&[], &[]).map(|status| status.landlock) {
        Ok(LandlockStatus::Available { effective_abi, kernel_abi }) => {
            format!("landlock ABI {}", kernel_abi.unwrap_or(effective_abi as i32))
        }
        _ => "none".to_owned(),
    }
}
