//! `marshal_request`: the request as one JSON document on standard input.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::HeaderMap;
use serde::Serialize;

use crate::environ::canonical;

#[derive(Serialize)]
struct Document {
    header: BTreeMap<String, Vec<String>>,
    body: Raw,
}

#[derive(Serialize)]
struct Raw {
    raw: String,
}

/// Writes the document.
pub(super) fn document(headers: &HeaderMap, body: &[u8]) -> Bytes {
    let mut header: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| *name != hyper::header::HOST) {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        header.entry(canonical(name.as_str())).or_default().push(value);
    }
    let document = Document { header, body: Raw { raw: STANDARD.encode(body) } };
    // Maps of strings always serialise.
    serde_json::to_vec(&document).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    #[test]
    fn headers_are_lists_and_the_body_is_base64() {
        let request =
            Request::post("/").header("host", "h").header("x-a", "1").header("x-a", "2").body(()).unwrap();
        let expect = r#"{"header":{"X-A":["1","2"]},"body":{"raw":"aGVsbG8="}}"#;
        assert_eq!(document(request.headers(), b"hello"), expect);
    }
}
