//! Names of functions and namespaces: parsed once at the edge, valid ever after.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The namespace of a function whose caller named none.
pub const DEFAULT_NAMESPACE: &str = "openfaas-fn";

/// A DNS label allows this many characters (RFC 1035).
const LONGEST: usize = 63;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a DNS label: 1 to 63 of a-z, 0-9 and dashes, beginning and ending with a letter or digit"
)]
pub struct InvalidName(pub String);

fn check(text: &str) -> Result<(), InvalidName> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let valid = bytes.len() <= LONGEST
        && bytes.first().is_some_and(|&byte| inner(byte))
        && bytes.last().is_some_and(|&byte| inner(byte))
        && bytes.iter().all(|&byte| inner(byte) || byte == b'-');
    valid.then_some(()).ok_or_else(|| InvalidName(text.to_owned()))
}

/// Whether a text is a DNS-1123 subdomain: at most 253 characters, labels of a-z, 0-9 and inner dashes. It is a safe file name too.
pub fn is_subdomain(name: &str) -> bool {
    let label = |label: &str| {
        let edge =
            |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        edge(label.bytes().next())
            && edge(label.bytes().last())
            && label.bytes().all(|byte| byte == b'-' || edge(Some(byte)))
    };
    name.len() <= 253 && name.split('.').all(label)
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                check(&text)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A function's name within its namespace: a DNS label.
    FunctionName
}
name! {
    /// A namespace's name: a DNS label.
    Namespace
}

impl Default for Namespace {
    fn default() -> Self {
        Self(DEFAULT_NAMESPACE.to_owned())
    }
}

/// A function among all: `NAME.NAMESPACE`, as metrics, logs, paths and jobs write it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FunctionId {
    /// Where the name is unique.
    pub namespace: Namespace,
    /// The name itself.
    pub name: FunctionName,
}

impl FunctionId {
    /// The function `name` in `namespace`.
    pub fn new(name: FunctionName, namespace: Namespace) -> Self {
        Self { namespace, name }
    }

    /// Splits `name` or `name.namespace` at the last dot; without one, `default` is the namespace.
    pub fn parse(text: &str, default: &Namespace) -> Result<Self, InvalidName> {
        match text.rsplit_once('.') {
            Some((name, namespace)) => Ok(Self::new(name.parse()?, namespace.parse()?)),
            None => Ok(Self::new(text.parse()?, default.clone())),
        }
    }
}

impl TryFrom<String> for FunctionId {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        let (name, namespace) = text.rsplit_once('.').ok_or_else(|| InvalidName(text.clone()))?;
        Ok(Self::new(name.parse()?, namespace.parse()?))
    }
}

impl From<FunctionId> for String {
    fn from(function: FunctionId) -> Self {
        function.to_string()
    }
}

impl fmt::Display for FunctionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.name, self.namespace)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_dns_labels() {
        for good in ["a", "0", "hello-python", "a-b", &"a".repeat(63)] {
            assert!(good.parse::<FunctionName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "a/b", "ä", &"a".repeat(64)] {
            assert!(bad.parse::<FunctionName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_split_at_the_last_dot() {
        let default = Namespace::default();
        assert_eq!(FunctionId::parse("f", &default).unwrap().to_string(), "f.openfaas-fn");
        assert_eq!(FunctionId::parse("f.dev", &default).unwrap().to_string(), "f.dev");
        for bad in ["", ".dev", "f.", "a.b.c", "../x"] {
            assert!(FunctionId::parse(bad, &default).is_err(), "{bad}");
        }
    }

    #[test]
    fn subdomains_are_safe_file_names() {
        for good in ["a", "api-key", "tls.crt", "a.b-c.0"] {
            assert!(is_subdomain(good), "{good}");
        }
        for bad in ["", ".", "..", "a..b", "-a", "a-", "A", "a/b", "../x", "a_b", &"a".repeat(254)] {
            assert!(!is_subdomain(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_prints_as_it_was(text in "[-a-z0-9.]{1,70}") {
            if let Ok(name) = text.parse::<FunctionName>() {
                prop_assert_eq!(name.as_str(), text.as_str());
                prop_assert!(!text.contains('.'));
            }
        }

        #[test]
        fn ids_round_trip(name in "[a-z0-9]{1,20}", namespace in "[a-z0-9]{1,20}") {
            let text = format!("{name}.{namespace}");
            prop_assert_eq!(FunctionId::parse(&text, &Namespace::default()).unwrap().to_string(), text);
        }
    }
}
