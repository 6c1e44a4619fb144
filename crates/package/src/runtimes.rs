//! The language side of our runtimes, embedded: whoever runs packages writes these files to a folder of its own once,
//! and names that folder in [`Layout`](crate::Layout).

/// The table of `PATH => file`, each read at compile time.
macro_rules! embedded {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../runtimes/", $path)))),*]
    };
}

const FILES: &[(&str, &str)] = embedded![
    "node/call.js",
    "node/event.js",
    "node/frames.js",
    "node/worker.js",
    "python/_faas_async.py",
    "python/_faas_calls.py",
    "python/_faas_entry.py",
    "python/_faas_event.py",
    "python/_faas_frames.py",
    "python/_faas_printed.py",
    "python/_faas_stdio.py",
    "python/worker.py",
];

/// Path below the runtimes folder and contents of every file, to be written anew by each version of the platform: they
/// belong together.
pub fn runtime_files() -> &'static [(&'static str, &'static str)] {
    FILES
}
