//! The suite that every provider passes.

use crate::support::World;

faas_provider::conformance_tests!(World::start());
