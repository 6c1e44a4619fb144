//! What fuzzing asserts of paths and headers; `make fuzz` finds input, and a test runs what it has kept. Whole
//! connections are in `tests/it/fuzzing.rs`.

mod headers;
mod paths;

pub use headers::headers;
pub use paths::paths;

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// The folder is asked for when the test runs: clones share a build cache.
    #[expect(clippy::disallowed_methods, reason = "cargo tells its tests where they are")]
    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let own = std::env::var_os("CARGO_MANIFEST_DIR").unwrap();
        let folder = Path::new(&own).join("fuzz/corpus").join(target);
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
    }

    #[test]
    fn what_was_found_holds() {
        for (target, check) in [("paths", super::paths as fn(&[u8])), ("headers", super::headers)] {
            let corpus = corpus(target);
            assert!(corpus.len() >= 5, "{target} has {} inputs", corpus.len());
            for bytes in &corpus {
                check(bytes);
            }
        }
    }
}
