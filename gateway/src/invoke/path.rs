//! From the request's path to a function and the path it sees.
//!
//! `/function/NAME[.NAMESPACE][/rest]`: the name is the raw first segment and must be a name as it stands, so that no
//! encoding of a slash or a dot reaches another function. The rest is percent-decoded and encoded again, as the peers
//! do: `%2F` becomes `/`.

use std::fmt::Write as _;

use axum::http::{HeaderValue, StatusCode, Uri};
use faas_api::{FunctionId, Namespace};

use crate::fault::{Fault, Side};

/// A `%` that no two hexadecimal digits follow.
#[derive(Debug, thiserror::Error)]
#[error("invalid URL escape in the path: \"%\" must be followed by two hexadecimal digits")]
pub(crate) struct InvalidEscape;

/// The name as it was written, and what follows it.
pub(super) fn split(uri: &Uri) -> (&str, &str) {
    let path = uri.path().strip_prefix("/function/").unwrap_or_default();
    path.split_once('/').unwrap_or((path, ""))
}

/// The function of a name that is in no table.
pub(crate) fn parse(name: &str, default: &Namespace) -> Result<FunctionId, Fault> {
    if name.is_empty() {
        let fault = Fault::new(Side::Client, StatusCode::BAD_REQUEST, "no function's name");
        return Err(fault.body("Provide function name in the request path"));
    }
    FunctionId::parse(name, default).map_err(|invalid| {
        Fault::new(Side::Client, StatusCode::NOT_FOUND, "not a function's name").body(format!(
            "error finding function {name}: server returned non-200 status code (404) for function, {name}, body: {invalid}"
        ))
    })
}

/// Path and query as the function sees them.
pub(super) fn own_uri(rest: &str, query: Option<&str>) -> Result<Uri, Fault> {
    if rest.is_empty() && query.is_none() {
        return Ok(Uri::from_static("/"));
    }
    build_uri(rest, query).ok_or_else(|| {
        Fault::new(Side::Client, StatusCode::BAD_REQUEST, "invalid path").body(InvalidEscape.to_string())
    })
}

fn build_uri(rest: &str, query: Option<&str>) -> Option<Uri> {
    let mut text = String::with_capacity(rest.len() + query.map_or(1, |query| query.len() + 2));
    text.push('/');
    if rest.bytes().all(is_plain) {
        text.push_str(rest);
    } else {
        encode(&decode(rest).ok()?, &mut text);
    }
    if let Some(query) = query {
        text.push('?');
        text.push_str(query);
    }
    Uri::from_maybe_shared(text.into_bytes()).ok()
}

/// The path to redirect to, if this one has empty, `.` or `..` segments, once decoded.
pub(crate) fn canonical_path(uri: &Uri) -> Result<Option<HeaderValue>, InvalidEscape> {
    let path = uri.path();
    if is_surely_canonical(path.as_bytes()) {
        return Ok(None);
    }
    let decoded = decode(path)?;
    let cleaned = clean(&decoded);
    if cleaned == decoded {
        return Ok(None);
    }
    let mut location = String::new();
    encode(&cleaned, &mut location);
    if let Some(query) = uri.query() {
        let _ = write!(location, "?{query}");
    }
    HeaderValue::try_from(location).map(Some).map_err(|_| InvalidEscape)
}

/// Almost every path has neither an escape nor a segment that is empty or begins with a dot. One look at each byte.
fn is_surely_canonical(path: &[u8]) -> bool {
    let mut last = 0;
    path.iter().all(|&byte| {
        let plain = byte != b'%' && !(last == b'/' && (byte == b'/' || byte == b'.'));
        last = byte;
        plain
    })
}

fn clean(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut last: &[u8] = b"";
    for segment in path.split(|&byte| byte == b'/') {
        last = segment;
        match segment {
            b"" | b"." => {}
            b".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let mut cleaned = vec![b'/'];
    cleaned.extend(kept.join(&b'/'));
    // A folder stays a folder.
    if last.is_empty() && !kept.is_empty() {
        cleaned.push(b'/');
    }
    cleaned
}

fn decode(text: &str) -> Result<Vec<u8>, InvalidEscape> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(bytes.next())? << 4 | hex(bytes.next())?,
            other => other,
        });
    }
    Ok(decoded)
}

fn hex(byte: Option<u8>) -> Result<u8, InvalidEscape> {
    let digit = byte.and_then(|byte| char::from(byte).to_digit(16)).ok_or(InvalidEscape)?;
    u8::try_from(digit).map_err(|_| InvalidEscape)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte)
}

/// Escapes what a path may not hold as it is (RFC 3986, pchar and slash).
fn encode(bytes: &[u8], text: &mut String) {
    for &byte in bytes {
        if is_plain(byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(uri: &str) -> Option<(String, String)> {
        let uri: Uri = uri.parse().unwrap();
        let (name, rest) = split(&uri);
        let function = parse(name, &Namespace::default()).ok()?;
        Some((function.to_string(), own_uri(rest, uri.query()).ok()?.to_string()))
    }

    #[test]
    fn a_function_sees_what_follows_its_name() {
        for (uri, function, path) in [
            ("/function/f", "f.openfaas-fn", "/"),
            ("/function/f/", "f.openfaas-fn", "/"),
            ("/function/f.dev/a/b?q=1", "f.dev", "/a/b?q=1"),
            ("/function/f?x=%2F", "f.openfaas-fn", "/?x=%2F"),
            ("/function/f/a%2Fb%20c", "f.openfaas-fn", "/a/b%20c"),
            ("/function/f/%C3%A4", "f.openfaas-fn", "/%C3%A4"),
            ("/function/f/a/", "f.openfaas-fn", "/a/"),
            ("/function/f/a\\b", "f.openfaas-fn", "/a%5Cb"),
        ] {
            assert_eq!(seen(uri).unwrap(), (function.into(), path.into()), "{uri}");
        }
        for bad in
            ["/function/", "/function/.openfaas-fn", "/function/a%2Fb", "/function/A", "/function/f/%zz"]
        {
            assert!(seen(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn paths_that_are_not_canonical_are_redirected() {
        for (uri, location) in [
            ("/function//f", "/function/f"),
            ("/function/f/../g?x=1", "/function/g?x=1"),
            ("/function/f/%2e%2e/g", "/function/g"),
            ("/function/f/./a/", "/function/f/a/"),
            ("/../../x", "/x"),
        ] {
            assert_eq!(canonical_path(&uri.parse().unwrap()).unwrap().unwrap(), location, "{uri}");
        }
        for good in ["/", "/function/f/a.b/.c", "/function/f/", "/function/f/a%20b", "/x?a=//"] {
            assert!(canonical_path(&good.parse().unwrap()).unwrap().is_none(), "{good}");
        }
    }

    proptest! {
        #[test]
        fn cleaning_is_final_and_leaves_no_traversal(path in "(/[a%2.eE]{0,4}){1,6}") {
            let Ok(uri) = path.parse::<Uri>() else { return Ok(()) };
            if let Ok(Some(location)) = canonical_path(&uri) {
                let again: Uri = location.to_str().unwrap().parse().unwrap();
                prop_assert!(canonical_path(&again).unwrap().is_none());
                prop_assert!(!again.path().split('/').any(|segment| segment == ".."));
            }
        }

        #[test]
        fn encoding_round_trips(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut text = String::new();
            encode(&bytes, &mut text);
            prop_assert_eq!(decode(&text).unwrap(), bytes);
        }
    }
}
