//! Children of a supervisor: spawned, waited for, killed by group, and cleaned up after, orphans included.
//!
//! Owns: the threads that spawn ([`Spawner`]), the processes that came from it ([`Child`]), and what is reparented to
//! this process because it is a child subreaper ([`Orphans`]). It does not become: a place for pipes' contents, HTTP,
//! restart policy or limits; callers decide those. No `unsafe`, and nothing that would turn `posix_spawn` into `fork`
//! (`current_dir`, `pre_exec`, a PATH lookup with a changed environment: give absolute program paths).
//!
//! Invariants that everything here rests on:
//! - A child's process id stays reserved until its [`Child`] is dropped: waiting only looks (`WNOWAIT`), dropping
//!   reaps. So a signal to its group can never reach a stranger that got the number later.
//! - A process is known as our own before anyone may take it for an orphan, and only orphans are reaped by sweeping.
//!   Hence a process that uses a [`Spawner`] must spawn everything through it.
//!
//! Needs Linux 5.4 (pidfd with `waitid`) and `/proc`.

mod child;
mod family;
mod orphans;
mod spawner;

pub use child::{Child, Usage};
pub use orphans::Orphans;
pub use rustix::process::Signal;
pub use spawner::Spawner;
