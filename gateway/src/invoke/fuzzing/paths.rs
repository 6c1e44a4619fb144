//! From a target to a function and its path.

use axum::http::Uri;
use faas_api::Namespace;

use crate::invoke::path::{canonical_path, own_uri, parse, split};

/// Beyond the longest target that is taken nothing new happens.
const MOST: usize = 4096;

/// A request's target. One that is redirected is so once, to a path of this server; one that is not has no traversal,
/// its function is the one whose name stands there, and that function sees what follows the name.
///
/// # Panics
///
/// When that does not hold.
pub fn paths(bytes: &[u8]) {
    let Some(uri) = bytes.get(..bytes.len().min(MOST)).and_then(|bytes| Uri::try_from(bytes).ok()) else {
        return;
    };
    if !uri.path().starts_with('/') {
        return;
    }
    match (canonical_path(&uri), decoded(uri.path())) {
        (Err(_), None) => {}
        (Ok(Some(location)), Some(path)) => {
            assert!(!is_canonical(&path), "{uri} was redirected");
            check_location(&uri, std::str::from_utf8(location.as_bytes()).expect("text"));
        }
        (Ok(None), path) => {
            assert!(path.as_deref().is_some_and(is_canonical), "{uri} was let through");
            check_function(&uri);
        }
        (found, path) => unreachable!("{uri}: {found:?}, decoded {path:?}"),
    }
}

fn check_location(uri: &Uri, location: &str) {
    let to = Uri::try_from(location).expect("a target");
    assert!(
        to.authority().is_none() && location.starts_with('/') && !location.starts_with("//"),
        "{location}"
    );
    assert_eq!(to.query(), uri.query());
    assert!(matches!(canonical_path(&to), Ok(None)), "{uri} is redirected to {location}, and that again");
    check_function(&to);
}

fn check_function(uri: &Uri) {
    let (name, rest) = split(uri);
    if let Some(path) = uri.path().strip_prefix("/function/") {
        let whole = if path.contains('/') { format!("{name}/{rest}") } else { name.to_owned() };
        assert!(whole == path && !name.contains('/'), "{path}: {name:?} and {rest:?}");
    } else {
        assert!(name.is_empty() && rest.is_empty(), "{uri}: {name:?} and {rest:?}");
    }
    if let Ok(function) = parse(name, &Namespace::default()) {
        let as_it_stands = [function.name.to_string(), function.to_string()];
        assert!(as_it_stands.iter().any(|it| it == name), "{name} is {function}");
    }
    check_own(rest, uri.query());
}

fn check_own(rest: &str, query: Option<&str>) {
    let own = own_uri(rest, query).unwrap_or_else(|_| unreachable!("{rest:?} and {query:?} are no target"));
    let text = own.to_string();
    let again = Uri::try_from(text.as_str()).unwrap_or_else(|_| unreachable!("{text:?} is no target"));
    assert!(own.authority().is_none() && own.scheme().is_none() && again.path() == own.path(), "{own}");
    assert_eq!(own.query(), query);
    assert!(
        own.path().bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&byte)),
        "{own}"
    );
    let path = decoded(own.path()).expect("escapes of ours");
    assert_eq!(path.strip_prefix(b"/"), decoded(rest).as_deref(), "{own}");
    assert!(is_canonical(&path), "{own}");
}

/// Percent-decoding by another way than the gateway's.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut pieces = text.as_bytes().split(|&byte| byte == b'%');
    let mut decoded = pieces.next()?.to_vec();
    for piece in pieces {
        let digits = std::str::from_utf8(piece.get(..2)?).ok()?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        decoded.push(u8::from_str_radix(digits, 16).ok()?);
        decoded.extend_from_slice(&piece[2..]);
    }
    Some(decoded)
}

/// No segment but the last is empty, and none is `.` or `..`.
fn is_canonical(path: &[u8]) -> bool {
    let inner = path.strip_prefix(b"/").unwrap_or(path);
    let inner = inner.strip_suffix(b"/").unwrap_or(inner);
    path == b"/" || inner.split(|&byte| byte == b'/').all(|segment| !matches!(segment, b"" | b"." | b".."))
}
