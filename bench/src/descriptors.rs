//! How many files a process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough where the system sets no limit.
const PLENTY: u64 = 65_536;

/// Takes as many as the system gives, as `faas serve` does.
pub(crate) fn raise() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}

/// How many [`raise`] gives.
pub(crate) fn most() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(PLENTY)
}

/// As many as there are, until dropped: what is started later, interpreters among it, must not inherit them.
pub(crate) struct Raised(Rlimit);

impl Raised {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let before = getrlimit(Resource::Nofile);
        raise()?;
        Ok(Self(before))
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        let Rlimit { current, maximum } = self.0;
        let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum });
    }
}
