//! What a function's labels say of its scale.

use std::collections::BTreeMap;

use crate::labels;

/// The unit that a target is in unless the function says otherwise.
const DEFAULT_KIND: &str = "rps";
const DEFAULT_TARGET: u32 = 50;

/// How a function wants to be scaled. Labels that do not parse count as absent, as with the peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scaling {
    /// The least number of replicas, at least 1.
    pub least: u32,
    /// Load for each replica, in the unit of `kind`.
    pub target: u32,
    /// `rps`, `capacity`, `cpu`, `queue` or a name of the user's own.
    pub kind: String,
}

impl Scaling {
    /// From a function's labels.
    pub fn of(labels: &BTreeMap<String, String>) -> Self {
        let number = |name: &str| labels.get(name)?.parse().ok().filter(|number| *number > 0);
        let kind = labels.get(labels::SCALE_TYPE).filter(|kind| !kind.is_empty());
        Self {
            least: number(labels::SCALE_MIN).unwrap_or(1),
            target: number(labels::SCALE_TARGET).unwrap_or(DEFAULT_TARGET),
            kind: kind.map_or(DEFAULT_KIND, String::as_str).to_owned(),
        }
    }
}

impl Default for Scaling {
    fn default() -> Self {
        Self::of(&BTreeMap::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_mean_nothing_are_the_defaults() {
        let of = |pairs: &[(&str, &str)]| {
            Scaling::of(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
        };
        let all = [(labels::SCALE_MIN, "2"), (labels::SCALE_TARGET, "10"), (labels::SCALE_TYPE, "capacity")];
        assert_eq!(of(&all), Scaling { least: 2, target: 10, kind: "capacity".into() });
        let nothing = [(labels::SCALE_MIN, "0"), (labels::SCALE_TARGET, "x"), (labels::SCALE_TYPE, "")];
        assert_eq!(of(&nothing), Scaling::default());
    }
}
