//! Signatures of callbacks: `X-Faas-Signature: t=UNIX,v1=HEX`, where HEX is the HMAC-SHA256 of `UNIX.BODY`. The time is
//! signed too, so that a receiver can refuse what was recorded.

use std::fmt;
use std::fmt::Write as _;
use std::io;

use futures_util::StreamExt;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use crate::Body;

/// Its name.
pub const HEADER: &str = "x-faas-signature";

/// What callbacks are signed with. It prints as stars.
pub struct Key(Vec<u8>);

impl Key {
    /// From a secret's bytes. White space at their end is not theirs: editors and `echo` leave a newline.
    pub fn new(secret: &[u8]) -> Self {
        Self(secret.trim_ascii_end().to_vec())
    }

    /// Whether anybody could sign with it.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The header's value for a body, which is read to its end.
    pub(super) async fn sign(&self, at: Timestamp, body: Option<Body>) -> io::Result<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).map_err(io::Error::other)?;
        let second = at.as_second();
        mac.update(format!("{second}.").as_bytes());
        match body {
            None => {}
            Some(Body::Whole(bytes)) => mac.update(&bytes),
            Some(Body::Stream(mut stream)) => {
                while let Some(bytes) = stream.next().await {
                    mac.update(&bytes?);
                }
            }
        }
        let mut value = format!("t={second},v1=");
        for byte in mac.finalize().into_bytes() {
            let _ = write!(value, "{byte:02x}");
        }
        Ok(value)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(***)")
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// Checked with `printf '1700000000.hello' | openssl dgst -sha256 -hmac key`.
    const EXPECTED: &str = "4d583a269f4f276a3fa80ff31b5a01879a848096983222a17893d198418939aa";

    #[tokio::test]
    async fn whole_and_streamed_bodies_have_the_same_signature() {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let parts = [Ok(Bytes::from_static(b"hel")), Ok(Bytes::from_static(b"lo"))];
        let stream = Body::Stream(Box::pin(futures_util::stream::iter(parts)));
        for body in [Body::Whole(Bytes::from_static(b"hello")), stream] {
            let value = Key::new(b"key\n").sign(at, Some(body)).await.unwrap();
            assert_eq!(value, format!("t=1700000000,v1={EXPECTED}"));
        }
    }

    #[test]
    fn a_key_is_not_printed() {
        assert_eq!(format!("{:?}", Key::new(b"secret")), "Key(***)");
    }
}
