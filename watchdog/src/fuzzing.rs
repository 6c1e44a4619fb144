//! What fuzzing asserts of the parsers; `make fuzz` finds input, and a test runs what it has kept.

use bytes::BytesMut;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};

use crate::environ;
use crate::frame::{self, Frame, Kind};
use crate::mode::worker::{head, hello};

/// Bytes from a handler process, in one piece and in two, are read alike, and what was read is what was sent.
pub fn frame(bytes: &[u8]) {
    let (frames, left) = read(&[bytes]);
    let middle = bytes.first().map_or(0, |&first| usize::from(first)).min(bytes.len());
    let (one, two) = bytes.split_at(middle);
    assert_eq!(read(&[one, two]).0, frames);
    let mut sent = Vec::new();
    for frame in &frames {
        frame::put(&mut sent, frame.kind, frame.flags, frame.call, &[&frame.payload]);
    }
    assert_eq!(sent, &bytes[..bytes.len() - left]);
    for frame in frames {
        take_apart(frame);
    }
}

/// The frames, and how many bytes were not used.
fn read(pieces: &[&[u8]]) -> (Vec<Frame>, usize) {
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while let Ok(Some(frame)) = Frame::take(&mut buffer) {
            frames.push(frame);
        }
    }
    (frames, buffer.len())
}

fn take_apart(mut frame: Frame) {
    let whole = frame.payload.len();
    let usage = frame.take_usage();
    assert!(usage.is_err() || frame.payload.len() <= whole);
    let _ = frame.number();
    match frame.kind {
        Kind::Hello => {
            if let Ok(hello) = hello::Hello::parse(&frame.payload) {
                assert!(hello.concurrency > 0);
            }
        }
        Kind::Head => {
            if let Ok(text) = frame.split_head()
                && let Ok((status, headers)) = head::parse(&text, &Method::GET)
            {
                assert!(status.as_u16() >= 200 && !headers.contains_key("x-faas-fault"));
            }
        }
        _ => {}
    }
}

/// A request's lines: method, target, and headers `name: value`. No variable can break out of its entry, and no header
/// can pose as what the request says.
pub fn environ(bytes: &[u8]) {
    let Some(request) = request(bytes) else { return };
    let head = request.into_parts().0;
    for variables in [environ::variables(&head, Some(7)), environ::of_watchdog_variables(&head)] {
        for (name, value) in &variables {
            let (name, value) = (name.as_encoded_bytes(), value.as_encoded_bytes());
            assert!(name.starts_with(b"Http_") && !name.contains(&b'=') && !name.contains(&0));
            assert!(!value.contains(&0));
        }
        let last = |wanted: &str| variables.iter().rfind(|(name, _)| name == wanted).map(|(_, value)| value);
        assert!(last("Http_Method").is_some_and(|method| method == head.method.as_str()));
        assert_eq!(last("Http_Query").is_some(), head.uri.query().is_some_and(|query| !query.is_empty()));
    }
}

fn request(bytes: &[u8]) -> Option<Request<()>> {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let method = Method::from_bytes(lines.next()?).ok()?;
    let uri = Uri::try_from(lines.next()?).ok()?;
    let mut request = Request::builder().method(method).uri(uri);
    for line in lines {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name).ok()?;
        request = request.header(name, HeaderValue::from_bytes(value.get(1..)?).ok()?);
    }
    request.body(()).ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// The folder is asked for when the test runs: clones share a build cache.
    #[expect(clippy::disallowed_methods, reason = "cargo tells its tests where they are")]
    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let own = std::env::var_os("CARGO_MANIFEST_DIR").unwrap();
        let folder = Path::new(&own).join("fuzz/corpus").join(target);
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
    }

    #[test]
    fn what_was_found_holds() {
        for (target, check) in [("frame", super::frame as fn(&[u8])), ("environ", super::environ)] {
            let corpus = corpus(target);
            assert!(corpus.len() >= 5, "{target} has {} inputs", corpus.len());
            for bytes in &corpus {
                check(bytes);
            }
        }
    }
}
