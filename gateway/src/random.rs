//! Numbers for what is to be spread; none of them is a secret.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// A number below `bound`, or 0.
pub(crate) fn random(bound: usize) -> usize {
    if bound < 2 {
        return 0;
    }
    let bits = RandomState::new().build_hasher().finish();
    usize::try_from(bits % bound as u64).unwrap_or_default()
}
