//! What must not be passed on because somebody after us might read it otherwise. The parser refuses most of it and
//! closes the connection; here is what it lets through, told from the parsed head. Refusals close the connection too. Of
//! an answer, its length is left told in one way.

use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version};

use crate::Limits;
use crate::fault::{Fault, Side};
use crate::invoke::headers::{CALL_ID, FORWARDED_FOR, FORWARDED_HOST, HopByHop, QUEUE};

/// As many as the parser of HTTP/1.1 takes; that of HTTP/2 does not count them.
const MOST_FIELDS: usize = 100;

/// What one look at a request's fields finds. (Measured: looking each of them up in the map took 5 % of a request.)
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) host: Option<HeaderValue>,
    pub(crate) content_type: Option<HeaderValue>,
    hosts: u8,
    codings: u8,
    lengths: u8,
    pub(crate) hop_by_hop: HopByHop,
    pub(crate) cookies: u8,
    pub(crate) call_ids: u8,
    pub(crate) forwarded_for: bool,
    pub(crate) forwarded_host: bool,
    /// It comes from the queue's worker.
    pub(crate) queue: bool,
}

impl Fields {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers {
            if name == HOST {
                fields.hosts = fields.hosts.saturating_add(1);
                fields.host = Some(value.clone());
            } else if name == CONTENT_TYPE {
                // The first, if a caller sends several.
                fields.content_type.get_or_insert_with(|| value.clone());
            } else if name == CALL_ID {
                fields.call_ids = fields.call_ids.saturating_add(1);
            } else if name == CONTENT_LENGTH {
                fields.lengths = fields.lengths.saturating_add(1);
            } else if name == COOKIE {
                fields.cookies = fields.cookies.saturating_add(1);
            } else if fields.hop_by_hop.note(name, value) {
                fields.codings = fields.codings.saturating_add(u8::from(name == TRANSFER_ENCODING));
            } else {
                fields.forwarded_for |= name == FORWARDED_FOR;
                fields.forwarded_host |= name == FORWARDED_HOST;
                fields.queue |= name == QUEUE;
            }
        }
        fields
    }
}

/// What the request's fields are, if it may be looked at further.
pub(crate) fn check<B>(request: &Request<B>, limits: &Limits) -> Result<Fields, Fault> {
    let length = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if length > limits.uri_bytes {
        let reason =
            format!("the request's target has {length} bytes, at most {} are taken", limits.uri_bytes);
        return Err(Fault::new(Side::Client, StatusCode::URI_TOO_LONG, "the target is too long").body(reason));
    }
    if request.headers().len() > MOST_FIELDS {
        let reason = format!("the request has more than {MOST_FIELDS} header fields");
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(Fault::new(Side::Client, status, "too many header fields").body(reason));
    }
    if request.method() == Method::CONNECT {
        let reason = "this is no tunnel: CONNECT is not allowed";
        return Err(Fault::new(Side::Client, StatusCode::METHOD_NOT_ALLOWED, reason).body(reason));
    }
    check_target(request.method(), request.uri())?;
    let fields = Fields::of(request.headers());
    check_codings(&fields, request.version(), request.headers())?;
    check_host(&fields, request)?;
    Ok(fields)
}

/// The body's length must be told once, and in one way; only chunks are decoded.
fn check_codings(fields: &Fields, version: Version, headers: &HeaderMap) -> Result<(), Fault> {
    if fields.lengths > 1 {
        return bad("Content-Length: expected once");
    }
    if fields.codings == 0 {
        return Ok(());
    }
    if version != Version::HTTP_11 || fields.codings > 1 {
        return bad("Transfer-Encoding: expected once, in HTTP/1.1");
    }
    if fields.lengths > 0 {
        return bad("both Content-Length and Transfer-Encoding: expected one of them");
    }
    let coding = headers.get(TRANSFER_ENCODING).map_or(&b""[..], HeaderValue::as_bytes);
    if coding.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    bad("Transfer-Encoding: only \"chunked\" is understood")
}

/// Leaves an answer one way to tell its body's length, the one that its parser went by; else the reason why there is
/// none. Lengths that differ the parser has refused.
pub(crate) fn settle_answer(headers: &mut HeaderMap) -> Result<(), &'static str> {
    let (mut lengths, mut codings) = (0_usize, 0_usize);
    for (name, value) in headers.iter() {
        if name == CONTENT_LENGTH {
            lengths += 1;
            if !value.as_bytes().iter().all(u8::is_ascii_digit) {
                return Err("the answer's Content-Length is not one number");
            }
        } else if name == TRANSFER_ENCODING {
            codings += 1;
            if codings > 1 || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err("the answer has a Transfer-Encoding other than one \"chunked\"");
            }
        }
    }
    if lengths > 0 && lengths + codings > 1 {
        let length = headers.remove(CONTENT_LENGTH).filter(|_| codings == 0);
        headers.extend(length.map(|length| (CONTENT_LENGTH, length)));
    }
    Ok(())
}

/// A path, or with OPTIONS the whole server; of another server only what is HTTP.
fn check_target(method: &Method, uri: &Uri) -> Result<(), Fault> {
    if uri.scheme_str().is_some_and(|scheme| scheme != "http" && scheme != "https") {
        return bad("the request's target: expected a path, or an http or https URL");
    }
    let server = uri.path() == "*" && method == Method::OPTIONS;
    if server || uri.path().starts_with('/') { Ok(()) } else { bad("the request's target: expected a path") }
}

/// HTTP/1.1 has exactly one Host, which is one; with another authority in the target it would be anybody's guess.
fn check_host<B>(fields: &Fields, request: &Request<B>) -> Result<(), Fault> {
    if fields.hosts > 1 {
        return bad("Host: expected once");
    }
    if request.uri().authority().is_some_and(|authority| !is_host(authority.as_str().as_bytes())) {
        return bad("the request's target: expected NAME or NAME:PORT for its host");
    }
    let Some(host) = &fields.host else {
        return if request.version() == Version::HTTP_11 {
            bad("Host: expected in HTTP/1.1")
        } else {
            Ok(())
        };
    };
    if !is_host(host.as_bytes()) {
        return bad("Host: expected NAME or NAME:PORT");
    }
    match request.uri().authority() {
        Some(authority) if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) => {
            bad("Host: the request's target names another one")
        }
        _ => Ok(()),
    }
}

/// A name or an address, and a port perhaps (RFC 3986, 3.2.2), without a look at what they mean.
fn is_host(host: &[u8]) -> bool {
    let name = match host.iter().rposition(|byte| !byte.is_ascii_digit()) {
        Some(colon) if host[colon] == b':' => &host[..colon],
        _ => host,
    };
    // What is left of a colon then is an address in brackets, or no host.
    let plain = |byte: &u8| HOST_BYTES[usize::from(*byte)];
    name.iter().all(plain) && (!name.contains(&b':') || (name.starts_with(b"[") && name.ends_with(b"]")))
}

/// What a host may consist of. (A table: each byte of each request is looked at.)
static HOST_BYTES: [bool; 256] = {
    let allowed = b"-._~:[]%!$&'()*+,;=0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let (mut table, mut position) = ([false; 256], 0);
    while position < allowed.len() {
        table[allowed[position] as usize] = true;
        position += 1;
    }
    table
};

fn bad<T>(reason: &'static str) -> Result<T, Fault> {
    Err(Fault::new(Side::Client, StatusCode::BAD_REQUEST, reason).body(reason))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn refused(version: Version, uri: &str, headers: &[(&str, &str)]) -> Option<u16> {
        let mut request = Request::builder().version(version).uri(uri).body(()).unwrap();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
        }
        check(&request, &Limits::default()).err().map(|fault| fault.status.as_u16())
    }

    #[test]
    fn what_others_might_read_otherwise_is_refused() {
        let host = ("host", "a");
        let chunked = ("transfer-encoding", "chunked");
        for (headers, expected) in [
            (vec![host], None),
            (vec![host, chunked], None),
            (vec![host, ("transfer-encoding", "Chunked")], None),
            (vec![host, chunked, chunked], Some(400)),
            (vec![host, ("transfer-encoding", "gzip, chunked")], Some(400)),
            (vec![host, ("transfer-encoding", "chunked,")], Some(400)),
            (vec![host, chunked, ("content-length", "1")], Some(400)),
            (vec![host, ("content-length", "1"), ("content-length", "1")], Some(400)),
            (vec![], Some(400)),
            (vec![host, host], Some(400)),
            (vec![("host", "a/b")], Some(400)),
            (vec![("host", "u@a")], Some(400)),
            (vec![("host", "a:b")], Some(400)),
            (vec![("host", "a:80")], None),
            (vec![("host", "a:b:80")], Some(400)),
            (vec![("host", "::1")], Some(400)),
            (vec![("host", "a:b]")], Some(400)),
            (vec![("host", "a[::1]")], Some(400)),
            (vec![("host", "[::1]")], None),
            (vec![("host", "[::1]:80")], None),
            (vec![("host", "")], None),
        ] {
            assert_eq!(refused(Version::HTTP_11, "/function/f", &headers), expected, "{headers:?}");
        }
        assert_eq!(refused(Version::HTTP_11, "http://b/function/f", &[host]), Some(400));
        assert_eq!(refused(Version::HTTP_11, "http://A/function/f", &[host]), None);
        assert_eq!(refused(Version::HTTP_11, "ftp://a/function/f", &[host]), Some(400));
        assert_eq!(refused(Version::HTTP_11, "*", &[host]), Some(400));
        assert_eq!(refused(Version::HTTP_10, "/", &[]), None);
        assert_eq!(refused(Version::HTTP_10, "/", &[chunked]), Some(400));
        let long = format!("/{}", "a".repeat(20_000));
        assert_eq!(refused(Version::HTTP_11, &long, &[host]), Some(414));
    }
}
