//! The suite that every provider passes, where there is a cluster.

use std::future::ready;

use crate::support::World;

faas_provider::conformance_tests!(ready(match World::start().await {
    Some(world) => world,
    None => return,
}));
