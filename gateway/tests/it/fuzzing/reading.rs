//! Another reading of a client's bytes, for comparison: strict, and with nothing of the gateway's in it.
//!
//! It takes the repairs that RFC 9112 leaves to a server (empty lines before a request, a bare LF in a head, equal
//! lengths, a length beside chunks if nothing follows), and stops at all else.

use crate::fixture::Request;

mod body;

/// A request that a client meant.
#[derive(Debug, Default)]
pub(super) struct Meant {
    method: String,
    target: String,
    body: Vec<u8>,
    whole: bool,
}

impl Meant {
    /// Whether the function may have seen this: it, or its beginning.
    pub(super) fn allows(&self, seen: &Request) -> bool {
        let body =
            if seen.whole { self.whole && self.body == seen.body } else { self.body.starts_with(&seen.body) };
        self.method == seen.method
            && body
            && own(&self.target).is_some_and(|own| Some(own) == apart(&seen.target))
    }
}

/// The decoded path, and the query, that the function `f` sees of a target.
fn own(target: &str) -> Option<(Vec<u8>, Option<&str>)> {
    let target = target.split('#').next()?;
    let path = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => &rest[rest.find('/')?..],
        _ => target,
    };
    let rest = path.strip_prefix("/function/f")?;
    let rest = rest.strip_prefix(".openfaas-fn").unwrap_or(rest);
    if rest.is_empty() || rest.starts_with('?') {
        return Some((b"/".to_vec(), rest.strip_prefix('?')));
    }
    apart(rest)
}

/// A path, decoded, and a query.
fn apart(target: &str) -> Option<(Vec<u8>, Option<&str>)> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    // Each character is a byte.
    let bytes = |text: &str| text.chars().filter_map(|byte| u8::try_from(byte).ok()).collect::<Vec<_>>();
    let mut pieces = path.strip_prefix('/')?.split('%');
    let mut decoded = [b"/".to_vec(), bytes(pieces.next()?)].concat();
    for piece in pieces {
        decoded.push(u8::from_str_radix(piece.get(..2)?, 16).ok()?);
        decoded.extend(bytes(&piece[2..]));
    }
    Some((decoded, query))
}

/// All requests that were meant, up to what is malformed; the last may not be whole.
pub(super) fn read(mut bytes: &[u8]) -> Vec<Meant> {
    let mut all = Vec::new();
    while let Some((meant, left)) = read_one(bytes) {
        all.push(meant);
        match left {
            Some(left) => bytes = left,
            None => break,
        }
    }
    all
}

/// The next, and what follows it if anything may.
fn read_one(bytes: &[u8]) -> Option<(Meant, Option<&[u8]>)> {
    let (head, after) = Head::read(bytes)?;
    let framing = head.framing()?;
    let (body, left) = body::read(&framing, after);
    let both_lengths = framing.chunked && !head.all("content-length").is_empty();
    let goes_on = left.is_some() && !head.ends() && !both_lengths;
    let meant = Meant { method: head.method, target: head.target, body, whole: left.is_some() };
    Some((meant, left.filter(|_| goes_on)))
}

struct Head {
    method: String,
    target: String,
    old: bool,
    headers: Vec<(String, String)>,
}

/// How the body's end is told.
struct Framing {
    chunked: bool,
    length: usize,
}

impl Head {
    fn read(mut bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut line = next_line(&mut bytes)?;
        while line.is_empty() {
            line = next_line(&mut bytes)?;
        }
        let words: Vec<_> = line.split(' ').collect();
        let [method, target, version @ ("HTTP/1.0" | "HTTP/1.1")] = words[..] else { return None };
        if !is_token(method) || target.is_empty() || method == "CONNECT" {
            return None;
        }
        let (method, target) = (method.to_owned(), target.to_owned());
        let mut head = Self { method, target, old: version == "HTTP/1.0", headers: Vec::new() };
        loop {
            let line = next_line(&mut bytes)?;
            if line.is_empty() {
                return Some((head, bytes));
            }
            head.headers.push(field(&line)?);
        }
    }

    fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
    }

    fn framing(&self) -> Option<Framing> {
        let hosts = self.all("host").len();
        if hosts > 1 || hosts == 0 && !self.old {
            return None;
        }
        let (codings, lengths) = (self.all("transfer-encoding"), self.all("content-length"));
        match codings[..] {
            [] => {}
            [coding] if coding.eq_ignore_ascii_case("chunked") && !self.old => {
                return Some(Framing { chunked: true, length: 0 });
            }
            _ => return None,
        }
        let numbers: Option<Vec<usize>> = lengths.iter().map(|length| number(length, 10)).collect();
        let numbers = numbers?;
        let length = numbers.first().copied().unwrap_or_default();
        numbers.iter().all(|number| *number == length).then_some(Framing { chunked: false, length })
    }

    /// Whether nothing may follow on the connection.
    fn ends(&self) -> bool {
        let values = self.all("connection");
        let says = |wanted: &str| {
            values
                .iter()
                .flat_map(|value| value.split(','))
                .any(|word| word.trim_ascii().eq_ignore_ascii_case(wanted))
        };
        says("close") || self.old && !says("keep-alive")
    }
}

/// Up to CR LF or LF, without control characters; each byte as a character.
fn next_line(bytes: &mut &[u8]) -> Option<String> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    *bytes = rest;
    let visible = |byte: &u8| *byte == b'\t' || *byte >= b' ' && *byte != 0x7f;
    line.iter().all(visible).then(|| line.iter().map(|&byte| char::from(byte)).collect())
}

fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    is_token(name).then(|| (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()))
}

fn is_token(text: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(token)
}

/// Digits only, and not too many.
fn number(text: &str, radix: u32) -> Option<usize> {
    let digits = !text.is_empty() && text.chars().all(|digit| digit.is_digit(radix));
    usize::from_str_radix(text, radix).ok().filter(|_| digits)
}
