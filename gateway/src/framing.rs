//! What must not be passed on because somebody after us might read it otherwise. The parser refuses most of it and
//! closes the connection; here is what it lets through, told from the parsed head. Refusals close the connection too.

use std::borrow::Cow;

use axum::http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Request, StatusCode, Version};

use crate::Limits;

/// An answer to a request that nobody else gets to see.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) reason: Cow<'static, str>,
}

/// Whether the request may be looked at further.
pub(crate) fn check<B>(request: &Request<B>, limits: &Limits) -> Result<(), Refusal> {
    let (uri, headers) = (request.uri(), request.headers());
    let length = uri.path_and_query().map_or(0, |path| path.as_str().len());
    if length > limits.uri_bytes {
        let reason =
            format!("the request's target has {length} bytes, at most {} are taken", limits.uri_bytes);
        return refuse(StatusCode::URI_TOO_LONG, reason);
    }
    if request.method() == Method::CONNECT {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "this is no tunnel: CONNECT is not allowed");
    }
    check_codings(request.version(), headers)?;
    check_host(request)
}

/// The body's length must be told once, and in one way; only chunks are decoded.
fn check_codings(version: Version, headers: &HeaderMap) -> Result<(), Refusal> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if version != Version::HTTP_11 || codings.next().is_some() {
            return bad("Transfer-Encoding: expected once, in HTTP/1.1");
        }
        if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return refuse(StatusCode::NOT_IMPLEMENTED, "Transfer-Encoding: only \"chunked\" is understood");
        }
        if headers.contains_key(CONTENT_LENGTH) {
            return bad("both Content-Length and Transfer-Encoding: expected one of them");
        }
    }
    if headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        return bad("Content-Length: expected once");
    }
    Ok(())
}

/// HTTP/1.1 has exactly one Host, which is one; with another authority in the target it would be anybody's guess.
fn check_host<B>(request: &Request<B>) -> Result<(), Refusal> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return bad("Host: expected once");
    }
    let Some(host) = host else {
        return if request.version() == Version::HTTP_11 {
            bad("Host: expected in HTTP/1.1")
        } else {
            Ok(())
        };
    };
    let valid = host.is_empty()
        || Authority::try_from(host.as_bytes()).is_ok_and(|host| !host.as_str().contains('@'));
    if !valid {
        return bad("Host: expected NAME or NAME:PORT");
    }
    match request.uri().authority() {
        Some(authority) if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) => {
            bad("Host: the request's target names another one")
        }
        _ => Ok(()),
    }
}

fn bad(reason: &'static str) -> Result<(), Refusal> {
    refuse(StatusCode::BAD_REQUEST, reason)
}

fn refuse(status: StatusCode, reason: impl Into<Cow<'static, str>>) -> Result<(), Refusal> {
    Err(Refusal { status, reason: reason.into() })
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn refused(version: Version, uri: &str, headers: &[(&str, &str)]) -> Option<u16> {
        let mut request = Request::builder().version(version).uri(uri).body(()).unwrap();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
        }
        check(&request, &Limits::default()).err().map(|refusal| refusal.status.as_u16())
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
            (vec![host, ("transfer-encoding", "gzip, chunked")], Some(501)),
            (vec![host, ("transfer-encoding", "chunked,")], Some(501)),
            (vec![host, chunked, ("content-length", "1")], Some(400)),
            (vec![host, ("content-length", "1"), ("content-length", "1")], Some(400)),
            (vec![], Some(400)),
            (vec![host, host], Some(400)),
            (vec![("host", "a/b")], Some(400)),
            (vec![("host", "u@a")], Some(400)),
            (vec![("host", "[::1]:80")], None),
            (vec![("host", "")], None),
        ] {
            assert_eq!(refused(Version::HTTP_11, "/function/f", &headers), expected, "{headers:?}");
        }
        assert_eq!(refused(Version::HTTP_11, "http://b/function/f", &[host]), Some(400));
        assert_eq!(refused(Version::HTTP_11, "http://A/function/f", &[host]), None);
        assert_eq!(refused(Version::HTTP_10, "/", &[]), None);
        assert_eq!(refused(Version::HTTP_10, "/", &[chunked]), Some(400));
        let long = format!("/{}", "a".repeat(20_000));
        assert_eq!(refused(Version::HTTP_11, &long, &[host]), Some(414));
    }
}
