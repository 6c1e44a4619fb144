//! The languages that `faas new --lang` and `lang:` in a stack file know, and what `build` makes of each.

use crate::{Manifest, Runtime, Signature};

/// A language: the template's name and how its handlers are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language {
    /// The template's folder name.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    package: Option<(Runtime, Signature, &'static str)>,
}

impl Language {
    /// The manifest of a function in this language; none for `dockerfile`, which makes an image only.
    pub fn manifest(&self) -> Option<Manifest> {
        self.package.map(|(runtime, signature, handler)| Manifest::new(runtime, signature, handler))
    }
}

/// Sorted by name.
const LANGUAGES: [Language; 5] = [
    Language { name: "bash", aliases: &[], package: Some((Runtime::Bash, Signature::Stdin, "handler.sh")) },
    Language { name: "dockerfile", aliases: &["Dockerfile"], package: None },
    Language { name: "node", aliases: &[], package: Some((Runtime::Node, Signature::Http, "handler")) },
    Language {
        name: "python3",
        aliases: &["python"],
        package: Some((Runtime::Python3, Signature::Openfaas, "handler.handle")),
    },
    Language {
        name: "python3-http",
        aliases: &[],
        package: Some((Runtime::Python3, Signature::Http, "handler.handle")),
    },
];

/// The language of this name or alias.
pub fn find_language(name: &str) -> Option<&'static Language> {
    LANGUAGES.iter().find(|language| language.name == name || language.aliases.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_is_found_and_has_a_valid_manifest() {
        assert!(LANGUAGES.is_sorted_by_key(|language| language.name));
        for language in &LANGUAGES {
            assert_eq!(find_language(language.name), Some(language));
            assert!(language.manifest().is_none_or(|manifest| manifest.validate().is_ok()));
        }
        assert_eq!(find_language("python"), find_language("python3"));
        assert_eq!(find_language("cobol"), None);
    }
}
