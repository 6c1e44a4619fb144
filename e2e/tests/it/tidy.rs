//! Which of our crates may use which: arrows point down only, and never sideways within a layer.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A crate's layer; see `ARCHITECTURE.md`. A crate may use only those of lower ones.
const LAYERS: [(&str, u8); 13] = [
    ("faas-api", 1),
    ("faas-daemon", 1),
    ("faas-process", 1),
    ("faas-k8s", 2),
    ("faas-package", 2),
    ("faas-provider", 2),
    ("faas-queue", 2),
    ("faas-provider-kube", 3),
    ("faas-provider-local", 3),
    ("faas-gateway", 4),
    ("faas-operator", 4),
    ("faas-watchdog", 5),
    ("faas-cli", 5),
];
/// Used by tests and measurements only.
const DEVELOPMENT: [&str; 3] = ["faas-testing", "faas-e2e", "faas-bench"];
/// What a crate must never link, whatever its layer: the watchdog is process 1 of every replica.
const FORBIDDEN: [(&str, &[&str]); 1] = [(
    "faas-watchdog",
    &["rusqlite", "kube", "async-nats", "axum", "faas-k8s", "faas-package", "faas-provider"],
)];

#[test]
fn crates_depend_downwards_only() {
    let layers = BTreeMap::from(LAYERS);
    let mut seen = 0;
    for (name, dependencies) in manifests() {
        for (forbidding, forbidden) in FORBIDDEN {
            let found = dependencies.iter().find(|dependency| forbidden.contains(&dependency.as_str()));
            assert!(name != forbidding || found.is_none(), "{name} uses {found:?}");
        }
        if DEVELOPMENT.contains(&name.as_str()) {
            continue;
        }
        seen += 1;
        let own = layers.get(name.as_str()).unwrap_or_else(|| panic!("{name} has no layer"));
        for dependency in dependencies.iter().filter(|dependency| dependency.starts_with("faas-")) {
            let below = layers.get(dependency.as_str()).is_some_and(|layer| layer < own);
            assert!(below, "{name} may not use {dependency}");
        }
    }
    assert_eq!(seen, LAYERS.len(), "a layer names a crate that is not there");
}

/// Each member's name and what its `[dependencies]` name. The folder is asked for when the test runs: clones share a build
/// cache, and the path of the one that it was built in may be gone.
#[expect(clippy::disallowed_methods, reason = "cargo tells its tests where they are")]
fn manifests() -> Vec<(String, Vec<String>)> {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").unwrap();
    let root = Path::new(&own).parent().unwrap();
    let crates = fs::read_dir(root.join("crates")).unwrap().map(|entry| entry.unwrap().path());
    let products = ["bench", "cli", "e2e", "gateway", "operator", "watchdog"].map(|name| root.join(name));
    let texts = crates.chain(products).map(|folder| fs::read_to_string(folder.join("Cargo.toml")).unwrap());
    texts.map(|text| parse(&text)).collect()
}

fn parse(text: &str) -> (String, Vec<String>) {
    let name =
        text.lines().find_map(|line| line.strip_prefix("name = ")).unwrap().trim_matches('"').to_owned();
    let table = text.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let lines = table.take_while(|line| !line.starts_with('['));
    let keys = lines.filter_map(|line| line.split(['.', ' ', '=']).next());
    (name, keys.filter(|key| !key.is_empty()).map(str::to_owned).collect())
}
