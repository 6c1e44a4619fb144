//! A callback's address as Go's `url.URL` is written in JSON, field by field, since that is what third-party workers
//! read.

use serde::{Deserialize, Serialize};

/// Go's `url.URL`. `User` has no exported field, so credentials never show in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct GoUrl {
    scheme: String,
    opaque: String,
    user: Option<Nothing>,
    host: String,
    path: String,
    raw_path: String,
    omit_host: bool,
    force_query: bool,
    raw_query: String,
    fragment: String,
    raw_fragment: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Nothing {}

impl GoUrl {
    /// The parts of an address. It was checked where it was accepted; what is none becomes a path.
    pub(super) fn parse(text: &str) -> Self {
        let (text, raw_fragment) = text.split_once('#').unwrap_or((text, ""));
        let (text, raw_query, asked) = match text.split_once('?') {
            Some((text, query)) => (text, query, true),
            None => (text, "", false),
        };
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let at = if scheme.is_empty() { 0 } else { rest.find('/').unwrap_or(rest.len()) };
        let (authority, raw_path) = rest.split_at(at);
        let (user, host) = match authority.rsplit_once('@') {
            Some((_, host)) => (Some(Nothing {}), host),
            None => (None, authority),
        };
        let (path, fragment) = (decode(raw_path), decode(raw_fragment));
        Self {
            scheme: scheme.to_ascii_lowercase(),
            user,
            host: host.to_owned(),
            raw_path: different(raw_path, &path),
            path,
            force_query: asked && raw_query.is_empty(),
            raw_query: raw_query.to_owned(),
            raw_fragment: different(raw_fragment, &fragment),
            fragment,
            ..Self::default()
        }
    }

    /// The address, of a message that has no other; without credentials.
    pub(super) fn text(&self) -> String {
        let path = if self.raw_path.is_empty() { &self.path } else { &self.raw_path };
        let mut text = format!("{}://{}{path}", self.scheme, self.host);
        if self.force_query || !self.raw_query.is_empty() {
            text = format!("{text}?{}", self.raw_query);
        }
        text
    }
}

/// As written, if that says more than what it means.
fn different(raw: &str, decoded: &str) -> String {
    if raw == decoded { String::new() } else { raw.to_owned() }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if let (b'%', Some(byte)) = (first, hex(tail)) {
            bytes.push(byte);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(text: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(text.get(..2)?).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart_as_go_does() {
        let url = GoUrl::parse("https://u:p@example.com:8080/a%2Fb/%C3%A4?x=1&y=%20#top");
        let json = serde_json::to_value(&url).unwrap();
        let expect = serde_json::json!({
            "Scheme": "https", "Opaque": "", "User": {}, "Host": "example.com:8080", "Path": "/a/b/ä",
            "RawPath": "/a%2Fb/%C3%A4", "OmitHost": false, "ForceQuery": false, "RawQuery": "x=1&y=%20",
            "Fragment": "top", "RawFragment": "",
        });
        assert_eq!(json, expect);
    }

    #[test]
    fn addresses_without_credentials_come_back() {
        for text in ["http://gateway:8080/function/a", "https://a.b/%2F?q", "http://a", "http://a/?"] {
            assert_eq!(GoUrl::parse(text).text(), text);
        }
    }

    #[test]
    fn odd_ones_do_no_harm() {
        for text in ["", "%", "://", "a%zz", "http://", "http://%%%%/%1", "%ü", "@", "http://a%\u{e4}"] {
            let _ = GoUrl::parse(text).text();
        }
    }
}
