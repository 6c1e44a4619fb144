//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use faas_package::HTTP_SOCKET_VARIABLE;

use crate::measures::names;

/// Measures the platform, each number beside its reference in the same run; exit code 1 when a gated bound is missed.
#[derive(Debug, Clone, Parser)]
#[command(after_help = format!("Measures: {}", names().join(", ")))]
pub(crate) struct Args {
    /// Holds `faas` and `faas-watchdog`
    #[arg(long, value_name = "FOLDER", default_value = "bin")]
    pub(crate) bin_dir: PathBuf,
    /// Only this measure; may be given again
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(names()))]
    pub(crate) only: Vec<String>,
    /// Few rounds and short runs, to see that everything works
    #[arg(long)]
    pub(crate) quick: bool,
    /// Writes the table here, as Markdown
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Adds the numbers to this file, one run a line
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,
    /// Gigabytes of the body that is streamed through a function
    #[arg(long, value_name = "GB", default_value_t = 1)]
    pub(crate) body: u64,
    /// Where references that pip and npm install are kept
    #[arg(long, value_name = "FOLDER", env = "XDG_CACHE_HOME", hide = true)]
    pub(crate) cache_home: Option<PathBuf>,
    /// Be a platform at work, for a profile, and measure nothing
    #[arg(long, hide = true)]
    pub(crate) train: bool,
    /// Serve HTTP on this Unix socket as a function's handler does, and nothing else
    #[arg(long, value_name = "SOCKET", env = HTTP_SOCKET_VARIABLE, hide = true)]
    pub(crate) http_handler: Option<PathBuf>,
    /// How long that handler takes for an answer, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0, hide = true)]
    pub(crate) delay: u64,
    /// Serve as a gateway with the routes of this file, and nothing else
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) gateway: Option<PathBuf>,
    /// That gateway's queue: URL and monitoring address of a NATS
    #[arg(long, num_args = 2, value_names = ["URL", "MONITOR"], hide = true)]
    pub(crate) nats: Option<Vec<String>>,
}

impl Args {
    /// How often a thing is done.
    pub(crate) fn rounds(&self, usual: usize) -> usize {
        if self.quick { usual.div_ceil(10).max(3) } else { usual }
    }

    /// How long a load lasts.
    pub(crate) fn load_time(&self) -> Duration {
        Duration::from_secs(if self.quick { 1 } else { 4 })
    }

    /// How many functions "many" are.
    pub(crate) fn many(&self) -> usize {
        if self.quick { 20 } else { 100 }
    }
}
