//! What every long-running role does besides its job: logs, signals and drain, the admin listener.
//!
//! It knows none of our other crates, and does not become a home for configuration or for business of any role.

mod admin;
mod logging;
mod shutdown;

pub use admin::{Admin, Show, show};
pub use logging::init_logging;
pub use shutdown::Shutdown;
