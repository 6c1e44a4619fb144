//! The language side of our runtimes, embedded: whoever runs packages writes these files to a folder of its own once,
//! and names that folder in [`Layout`](crate::Layout).

/// Path below the runtimes folder and contents of every file.
const FILES: [(&str, &str); 4] = [
    ("node/http.js", include_str!("../../../runtimes/node/http.js")),
    ("python/_faas_entry.py", include_str!("../../../runtimes/python/_faas_entry.py")),
    ("python/fork.py", include_str!("../../../runtimes/python/fork.py")),
    ("python/http.py", include_str!("../../../runtimes/python/http.py")),
];

/// Path below the runtimes folder and contents of every file, to be written anew by each version of the platform: they belong together.
pub fn runtime_files() -> &'static [(&'static str, &'static str)] {
    &FILES
}
