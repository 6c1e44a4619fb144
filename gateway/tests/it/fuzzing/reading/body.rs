//! Bodies: of a known length, or in chunks, whose sizes end in CR LF alone.

use super::{Framing, number};
use crate::fixture::find;

/// What there is of it, and what follows it if it has ended.
pub(super) fn read<'a>(framing: &Framing, bytes: &'a [u8]) -> (Vec<u8>, Option<&'a [u8]>) {
    if framing.chunked {
        return read_chunks(bytes);
    }
    let (body, left) = bytes.split_at_checked(framing.length).unzip();
    (body.unwrap_or(bytes).to_vec(), left)
}

fn read_chunks(mut bytes: &[u8]) -> (Vec<u8>, Option<&[u8]>) {
    let mut body = Vec::new();
    while let Some(size) = chunk_size(&mut bytes) {
        if size == 0 {
            return (body, read_trailers(bytes));
        }
        let there = size.min(bytes.len());
        body.extend_from_slice(&bytes[..there]);
        match bytes[there..].strip_prefix(b"\r\n") {
            Some(left) if there == size => bytes = left,
            _ => break,
        }
    }
    (body, None)
}

/// Digits, space that RFC 9112 calls bad but does not forbid, and an extension: the parser drops it unseen, whatever it is
/// made of, and only a line's end could be mistaken for another.
fn chunk_size(bytes: &mut &[u8]) -> Option<usize> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let line = bytes[..end].strip_suffix(b"\r").filter(|line| !line.contains(&b'\r'))?;
    *bytes = &bytes[end + 1..];
    let size = std::str::from_utf8(line.split(|&byte| byte == b';').next()?).ok()?;
    number(size.trim_end_matches([' ', '\t']), 16)
}

/// To the empty line that ends them; the parser does not show a bare LF among them, which is a repair like one in a head.
fn read_trailers(bytes: &[u8]) -> Option<&[u8]> {
    let end = if bytes.starts_with(b"\r\n") { 2 } else { find(bytes, b"\r\n\r\n")? + 4 };
    Some(&bytes[end..])
}
