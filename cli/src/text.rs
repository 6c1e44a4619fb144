//! Small conversions of text that several commands need.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use crate::failure::{Failure, failure};

/// Escapes what cannot stand in one segment of a path or in a query's value.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// A query of these pairs; what is empty is left out.
pub(crate) fn query(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<_> = pairs.map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// `KEY=VALUE` flags as a map; the last of one key wins. `what` names the flag in the error.
pub(crate) fn parse_pairs(pairs: &[String], what: &str) -> Result<BTreeMap<String, String>, Failure> {
    pairs.iter().map(|pair| parse_pair(pair, what)).collect()
}

/// One `KEY=VALUE`.
pub(crate) fn parse_pair(pair: &str, what: &str) -> Result<(String, String), Failure> {
    match pair.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(failure(format!("{what} format is not correct, needs key=value: {pair:?}"))),
    }
}

/// Each item on a line of its own.
pub(crate) fn lines<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().fold(String::new(), |mut text, item| {
        let _ = writeln!(text, "{item}");
        text
    })
}

/// A size as people read it.
pub(crate) fn human_bytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let exact = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", exact / 1e3),
        _ => format!("{:.1} MB", exact / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_escaped_and_leave_out_what_is_empty() {
        assert_eq!(query(&[("a", "1 2/ä"), ("b", ""), ("c", "x")]), "?a=1%202%2F%C3%A4&c=x");
        assert_eq!(query(&[("b", "")]), "");
    }

    #[test]
    fn pairs_split_at_the_first_equals_sign() {
        let map = parse_pairs(&["a=b=c".into(), "d=".into(), "a=2".into()], "label").unwrap();
        assert_eq!((map["a"].as_str(), map["d"].as_str()), ("2", ""));
        for bad in ["", "a", "=b"] {
            assert!(parse_pair(bad, "label").is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_readable() {
        let shown = [12, 1_234, 1_234_567].map(human_bytes);
        assert_eq!(shown, ["12 B", "1.2 kB", "1.2 MB"]);
    }
}
