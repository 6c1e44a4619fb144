//! Packages: a handler folder and its dependencies as one deterministic zip, and what it takes to run one.
//!
//! Owns the manifest (`faas.json`), the bytes of a package, the checks on a stranger's package, the installed
//! dependencies, the search for interpreters, and the command line of each runtime. The sources of our language
//! runtimes are embedded here ([`runtime_files`]).
//!
//! Shapes: a build is [`Language`] → [`Manifest`] → [`install`] → [`pack`] → a file named by its
//! [`Digest`](faas_api::Digest). A start is [`unpack`] → [`resolve`] → [`run_plan`].
//!
//! It does not become: a place for HTTP, storage of packages, processes that outlive a call, or async. The only
//! programs it runs are pip, npm and, once, an interpreter that does not say its version by its name. It caches
//! nothing in memory: what is costly ([`resolve`], [`install`]) the caller keeps, or names a folder for.
//!
//! Errors: one small type per step. Those of [`unpack`] are one line each and fit for the body of a 400.
//! Bounds: [`MAX_PACKED_BYTES`], [`MAX_UNPACKED_BYTES`], [`MAX_ENTRIES`]; file contents are streamed.

mod command;
mod dependencies;
mod digest;
mod entry_point;
mod interpreter;
mod language;
mod manifest;
mod pack;
mod runtimes;
mod unpack;

pub use command::{HTTP_SOCKET_VARIABLE, Layout, Mode, RunPlan, run_plan};
pub use dependencies::{
    Error as InstallError, Installed, Request as InstallRequest, install, needs_installation,
};
pub use digest::digest_of_file;
pub use entry_point::MissingEntryPoint;
pub use interpreter::{Interpreter, NotFound, resolve};
pub use language::{Language, find_language};
pub use manifest::{InvalidManifest, Manifest, Requires, Runtime, Signature};
pub use pack::{Error as PackError, Source, handler_files, pack};
pub use runtimes::runtime_files;
pub use unpack::{Error as UnpackError, Host, read_manifest, remove, unpack, verify};

/// The largest package, as a file.
pub const MAX_PACKED_BYTES: u64 = 256 << 20;
/// The largest package, as the sum of its files.
pub const MAX_UNPACKED_BYTES: u64 = 1 << 30;
/// The most files and folders in a package, folders that only stand in a file's path included: what a zip holds
/// without its 64-bit extension, and a bound on the memory that reading a stranger's file table takes (an entry's name
/// and about 300 bytes).
pub const MAX_ENTRIES: usize = 65_534;

/// The longest path in a package, in bytes; below the file systems' 4096, as it is unpacked inside other folders.
pub(crate) const MAX_NAME_BYTES: usize = 4000;
/// The most parts of a path: each is a folder to make, whatever its name takes in the table.
pub(crate) const MAX_NAME_PARTS: usize = 64;

/// The manifest's name in the zip.
pub(crate) const MANIFEST: &str = "faas.json";
/// Where the handler folder goes in the zip; the working directory of a running handler.
pub(crate) const FUNCTION: &str = "function";
/// Where installed dependencies go in the zip.
pub(crate) const DEPENDENCIES: &str = "deps";

/// The platform that we run on, as manifests write it: `linux-x86_64`.
pub fn platform() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}
