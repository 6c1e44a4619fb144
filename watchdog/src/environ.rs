//! A request as environment variables, as the classic watchdog maps it.
//!
//! Shapes: a request's head in, names and values out; values are bytes, since headers and paths may be anything but
//! NUL. Later entries win over earlier ones of the same name, so a header cannot pose as the method or the path.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use hyper::header::{HOST, HeaderMap, HeaderName, TRANSFER_ENCODING};
use hyper::http::request::Parts;

/// What a handler sees of the request. `length` is the body's, where it is known.
pub(crate) fn variables(head: &Parts, length: Option<u64>) -> Vec<(OsString, OsString)> {
    let mut variables: Vec<_> = head.headers.keys().filter_map(|name| header(&head.headers, name)).collect();
    let mut add = |name: &str, value: Vec<u8>| variables.push((name.into(), OsString::from_vec(value)));
    add("Http_Method", head.method.as_str().into());
    let length = length.map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string());
    add("Http_ContentLength", length.clone().into());
    add("Http_Content_Length", length.into());
    if let Some(query) = head.uri.query().filter(|query| !query.is_empty()) {
        add("Http_Query", query.into());
    }
    add("Http_Path", decode_path(head.uri.path()));
    add("Http_Host", host(head));
    if let Some(encoding) = head.headers.get(TRANSFER_ENCODING) {
        add("Http_Transfer_Encoding", encoding.as_bytes().into());
    }
    variables
}

/// The same for of-watchdog's handlers, who learn neither length nor host.
pub(crate) fn of_watchdog_variables(head: &Parts) -> Vec<(OsString, OsString)> {
    let mut variables = variables(head, None);
    let unknown = ["Http_ContentLength", "Http_Content_Length", "Http_Host"];
    variables.retain(|(name, _)| !unknown.iter().any(|unknown| name == unknown));
    variables
}

/// The first value of a header; the host has a rule of its own, and a header must not pose as a query that is not there.
fn header(headers: &HeaderMap, name: &HeaderName) -> Option<(OsString, OsString)> {
    let value = headers.get(name).filter(|_| name != HOST && name != "query")?;
    let variable = format!("Http_{}", canonical(name.as_str()).replace('-', "_"));
    Some((variable.into(), OsString::from_vec(value.as_bytes().to_vec())))
}

fn host(head: &Parts) -> Vec<u8> {
    let written = head.headers.get(HOST).map(|host| host.as_bytes().to_vec());
    written.or_else(|| head.uri.authority().map(|host| host.as_str().into())).unwrap_or_default()
}

/// `x-my-header` as Go spells it: `X-My-Header`.
pub(crate) fn canonical(name: &str) -> String {
    let mut upper = true;
    let spell = |c: char| {
        let spelled = if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        upper = c == '-';
        spelled
    };
    name.chars().map(spell).collect()
}

/// A path with its `%41` read. One that would hold NUL, which no variable can, stays as it is written.
fn decode_path(path: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        let byte = if *first == b'%' { hex_pair(after) } else { None };
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    if decoded.contains(&0) { path.into() } else { decoded }
}

fn hex_pair(text: &[u8]) -> Option<u8> {
    let digit = |index: usize| char::from(*text.get(index)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests;
