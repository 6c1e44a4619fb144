//! Heads as they stand in HEAD frames: a line for the request or the status, a line for each header.
//!
//! What is about the connection stays out, in both directions, and so does what only the platform may say. An answer's
//! length is what is sent, unless nothing is (HEAD, 304).

use hyper::header::{CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use crate::answer;
use crate::mode::http::headers::strip_connection;

/// A head that is none: what is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("an answer whose status is not 200 to 999")]
    Status,
    #[error("an answer with a header that is none")]
    Header,
}

/// The request's head. Leaves `head` without what is about the connection.
pub(super) fn write(head: &mut Parts) -> Vec<u8> {
    strip_connection(&mut head.headers);
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut text = Vec::with_capacity(256);
    text.extend_from_slice(head.method.as_str().as_bytes());
    text.push(b' ');
    text.extend_from_slice(target.as_bytes());
    for (name, value) in &head.headers {
        if name != TRANSFER_ENCODING && name != EXPECT {
            text.push(b'\n');
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
        }
    }
    text
}

/// Status and headers of an answer to a request of this method.
pub(crate) fn parse(text: &[u8], method: &Method) -> Result<(StatusCode, HeaderMap), Invalid> {
    let mut lines = text.split(|&byte| byte == b'\n');
    let status = lines.next().and_then(|line| StatusCode::from_bytes(line).ok());
    let status = status.filter(|status| status.as_u16() >= 200).ok_or(Invalid::Status)?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = divide(line).ok_or(Invalid::Header)?;
        headers.append(name, value);
    }
    strip_connection(&mut headers);
    headers.remove(TRANSFER_ENCODING);
    if method != Method::HEAD && status != StatusCode::NOT_MODIFIED {
        headers.remove(CONTENT_LENGTH);
    }
    answer::strip_platform_headers(&mut headers);
    Ok((status, headers))
}

fn divide(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
    let value = value.strip_prefix(b" ").unwrap_or(value);
    Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    #[test]
    fn a_request_is_written_line_by_line() {
        let request = Request::post("/a%20b?c=d")
            .header("Host", "h")
            .header("Connection", "X-Hop")
            .header("X-Hop", "1")
            .header("Transfer-Encoding", "chunked")
            .header("X-Two", "1")
            .header("X-Two", "2");
        let mut head = request.body(()).unwrap().into_parts().0;
        let text = String::from_utf8(write(&mut head)).unwrap();
        assert_eq!(text, "POST /a%20b?c=d\nhost: h\nx-two: 1\nx-two: 2");
    }

    #[test]
    fn an_answer_is_read_and_freed_of_what_it_may_not_say() {
        let text = b"201\nContent-Type: a\nset-cookie:b\nSet-Cookie: c\nContent-Length: 9\nX-Faas-Fault: gateway; x\nKeep-Alive: 5";
        let (status, headers) = parse(text, &Method::GET).unwrap();
        let shown: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
        assert_eq!(
            (status.as_u16(), shown),
            (201, ["content-type=a", "set-cookie=b", "set-cookie=c"].map(String::from).to_vec())
        );
        let (_, headers) = parse(text, &Method::HEAD).unwrap();
        assert_eq!(headers["content-length"], "9");
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for (text, error) in [
            ("", Invalid::Status),
            ("100", Invalid::Status),
            ("2000", Invalid::Status),
            ("200 OK", Invalid::Status),
            ("200\n", Invalid::Header),
            ("200\nno colon", Invalid::Header),
            ("200\nbad name: x", Invalid::Header),
            ("200\na: \x01", Invalid::Header),
        ] {
            assert_eq!(parse(text.as_bytes(), &Method::GET).unwrap_err(), error, "{text:?}");
        }
    }
}
