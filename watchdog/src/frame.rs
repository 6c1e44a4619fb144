//! Frames of the worker protocol: `docs/reference/worker-protocol.md`.
//!
//! Shapes: bytes from a handler process in, frames out, and the other way round. A frame that cannot be read is an error;
//! what is not whole yet is left in the buffer. Bounded: a payload at [`PAYLOAD`], so a buffer at that and a header.

use bytes::{Buf as _, Bytes, BytesMut};

/// Bytes of a frame before its payload.
const HEADER: usize = 10;
/// The largest payload.
const PAYLOAD: usize = 2 * 1024 * 1024;
/// Bytes that usage takes at the end of a payload.
const USAGE_BYTES: usize = 16;

/// The body ends with this frame.
pub(crate) const END: u8 = 1;
/// The payload's last bytes are usage.
const USAGE: u8 = 2;
/// Lines that were written to standard error.
const STDERR: u8 = 1;
/// An abort of a call that the handler never saw.
const UNSEEN: u8 = 1;
/// An exit that left others of its group behind.
const LEFT: u8 = 1;

/// What a frame is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Hello = 1,
    Head = 2,
    Body = 3,
    Abort = 4,
    Ack = 5,
    Log = 6,
    Run = 7,
    Exit = 8,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) call: u32,
    pub(crate) payload: Bytes,
}

/// What a call took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) cpu_micros: u64,
    /// Resident, at its peak.
    pub(crate) memory_bytes: u64,
}

/// Bytes that are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("a frame of unknown kind {0}")]
    Kind(u8),
    #[error("a frame of {0} bytes")]
    TooLarge(usize),
    #[error("a frame that is cut short")]
    Short,
}

impl Frame {
    /// Takes the first frame off the buffer, if it is there whole.
    pub(crate) fn take(buffer: &mut BytesMut) -> Result<Option<Self>, Malformed> {
        let Some(mut header) = buffer.get(..HEADER) else { return Ok(None) };
        let (kind, flags) = (header.get_u8(), header.get_u8());
        let (call, length) = (header.get_u32(), header.get_u32() as usize);
        let kind = Kind::of(kind).ok_or(Malformed::Kind(kind))?;
        if length > PAYLOAD {
            return Err(Malformed::TooLarge(length));
        }
        if buffer.len() < HEADER + length {
            buffer.reserve(HEADER + length - buffer.len());
            return Ok(None);
        }
        buffer.advance(HEADER);
        Ok(Some(Self { kind, flags, call, payload: buffer.split_to(length).freeze() }))
    }

    pub(crate) fn ends(&self) -> bool {
        self.flags & END != 0
    }

    pub(crate) fn is_stderr(&self) -> bool {
        self.flags & STDERR != 0
    }

    pub(crate) fn is_unseen(&self) -> bool {
        self.flags & UNSEEN != 0
    }

    pub(crate) fn leaves_others(&self) -> bool {
        self.flags & LEFT != 0
    }

    /// Takes usage off the end, if it is there.
    pub(crate) fn take_usage(&mut self) -> Result<Option<Usage>, Malformed> {
        if self.flags & USAGE == 0 || !matches!(self.kind, Kind::Head | Kind::Body) {
            return Ok(None);
        }
        let start = self.payload.len().checked_sub(USAGE_BYTES).ok_or(Malformed::Short)?;
        self.flags &= !USAGE;
        Usage::read(&mut self.payload.split_off(start)).map(Some)
    }

    /// Divides HEAD's payload into the head and the first part of the body.
    pub(crate) fn split_head(&mut self) -> Result<Bytes, Malformed> {
        let length = self.payload.try_get_u32().map_err(|_| Malformed::Short)? as usize;
        if length > self.payload.len() {
            return Err(Malformed::Short);
        }
        Ok(self.payload.split_to(length))
    }

    /// The one number of ACK.
    pub(crate) fn number(&self) -> Result<u32, Malformed> {
        (&self.payload[..]).try_get_u32().map_err(|_| Malformed::Short)
    }
}

impl Kind {
    fn of(number: u8) -> Option<Self> {
        use Kind::{Abort, Ack, Body, Exit, Head, Hello, Log, Run};
        [Hello, Head, Body, Abort, Ack, Log, Run, Exit].into_iter().find(|&kind| kind as u8 == number)
    }
}

impl Usage {
    /// Two numbers of eight bytes.
    pub(crate) fn read(bytes: &mut Bytes) -> Result<Self, Malformed> {
        let mut number = || bytes.try_get_u64().map_err(|_| Malformed::Short);
        Ok(Self { cpu_micros: number()?, memory_bytes: number()? })
    }
}

/// Writes a frame whose payload is `parts`, one after the other, at the end of `out`.
pub(crate) fn put(out: &mut Vec<u8>, kind: Kind, flags: u8, call: u32, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    // A payload that no length can tell is never made: heads and windows are far smaller.
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    out.reserve(HEADER + length as usize);
    out.extend([kind as u8, flags]);
    out.extend(call.to_be_bytes());
    out.extend(length.to_be_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KINDS: [Kind; 8] =
        [Kind::Hello, Kind::Head, Kind::Body, Kind::Abort, Kind::Ack, Kind::Log, Kind::Run, Kind::Exit];

    fn any_frame() -> impl Strategy<Value = Frame> {
        let payload = proptest::collection::vec(any::<u8>(), 0..300);
        let parts = (proptest::sample::select(&KINDS), any::<u8>(), any::<u32>(), payload);
        parts.prop_map(|(kind, flags, call, payload)| Frame { kind, flags, call, payload: payload.into() })
    }

    fn written(frames: &[Frame]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for Frame { kind, flags, call, payload } in frames {
            let (first, second) = payload.split_at(payload.len() / 2);
            put(&mut bytes, *kind, *flags, *call, &[first, second]);
        }
        bytes
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_however_it_is_cut(
            frames in proptest::collection::vec(any_frame(), 0..8),
            piece in 1_usize..700,
        ) {
            let (mut buffer, mut read) = (BytesMut::new(), Vec::new());
            for bytes in written(&frames).chunks(piece) {
                buffer.extend_from_slice(bytes);
                while let Some(frame) = Frame::take(&mut buffer).unwrap() {
                    read.push(frame);
                }
            }
            prop_assert_eq!(read, frames);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn usage_and_heads_come_off_whole(cpu in any::<u64>(), memory in any::<u64>(), head in "[ -~]{0,40}", body in "[ -~]{0,40}") {
            let mut bytes = Vec::new();
            let length = u32::try_from(head.len()).unwrap().to_be_bytes();
            let parts: [&[u8]; 5] =
                [&length, head.as_bytes(), body.as_bytes(), &cpu.to_be_bytes(), &memory.to_be_bytes()];
            put(&mut bytes, Kind::Head, END | USAGE, 1, &parts);
            let mut frame = Frame::take(&mut BytesMut::from(&bytes[..])).unwrap().unwrap();
            let usage = Usage { cpu_micros: cpu, memory_bytes: memory };
            prop_assert_eq!(frame.take_usage(), Ok(Some(usage)));
            prop_assert_eq!(frame.take_usage(), Ok(None));
            prop_assert_eq!(frame.split_head().unwrap(), head.as_bytes());
            prop_assert_eq!(frame.payload, body.as_bytes());
        }
    }

    #[test]
    fn what_is_no_frame_is_told() {
        for (bytes, expect) in [
            (&b"\x02\0\0\0\0\x01\0\0\0"[..], Ok(None)),
            (b"\0\0\0\0\0\x01\0\0\0\0", Err(Malformed::Kind(0))),
            (b"\x09\0\0\0\0\x01\0\0\0\0", Err(Malformed::Kind(9))),
            (b"\x03\0\0\0\0\x01\0\x20\0\x01", Err(Malformed::TooLarge(PAYLOAD + 1))),
            (b"\x03\0\0\0\0\x01\0\x20\0\0", Ok(None)),
        ] {
            assert_eq!(Frame::take(&mut BytesMut::from(bytes)), expect, "{bytes:?}");
        }
    }
}
