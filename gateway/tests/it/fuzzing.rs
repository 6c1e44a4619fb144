//! Any bytes as a client's connection: what a function sees of them is whole and canonical, and no more than a strict
//! reader finds in them. `make fuzz` finds input, and a test runs what it has kept; paths and headers by themselves are
//! in `src/invoke/fuzzing.rs`.

mod reading;
mod recorder;
mod rig;

use crate::fixture::Request;
use reading::Meant;

/// Whoever begins with it speaks HTTP/2 from then on, which the strict reader does not.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

thread_local! {
    static RIG: rig::Rig = rig::Rig::start();
}

/// Sends the bytes on a connection of their own, then somebody else's request: that one arrives as it was sent, and
/// everything that was seen before it is what the bytes say.
pub(crate) fn framing(bytes: &[u8]) {
    let conversation = RIG.with(|rig| rig.feed(bytes));
    if let Err(fault) = conversation.check() {
        panic!(
            "{fault}\nof {:?}\nseen {:#?}",
            conversation.sent.escape_ascii().to_string(),
            conversation.seen
        );
    }
}

/// What came of an input.
struct Conversation {
    /// All that was sent.
    sent: Vec<u8>,
    /// From where, as the gateway says it.
    client: String,
    /// What the function saw, in the order in which it began.
    seen: Vec<Request>,
    /// What it saw that was not canonical.
    fault: Option<String>,
}

impl Conversation {
    fn check(&self) -> Result<(), String> {
        if let Some(fault) = &self.fault {
            return Err(format!("not canonical: {fault}"));
        }
        for request in &self.seen {
            self.check_origin(request)?;
        }
        if self.sent.starts_with(HTTP2) { Ok(()) } else { self.check_meant() }
    }

    /// The gateway has written the head: nobody else knows the client's port.
    fn check_origin(&self, request: &Request) -> Result<(), String> {
        let once = |name| request.all(name).len() == 1;
        if request.all("x-forwarded-for") != [self.client.as_str()]
            || !once("x-call-id")
            || !once("x-start-time")
        {
            return Err(format!("smuggled, or not from {}: {}", self.client, request.summary()));
        }
        Ok(())
    }

    /// Each is one that was meant, in order; only the last may be cut off.
    fn check_meant(&self) -> Result<(), String> {
        let meant = reading::read(&self.sent);
        let mut left = meant.iter();
        for (number, request) in self.seen.iter().enumerate() {
            if !left.any(|meant: &Meant| meant.allows(request)) {
                return Err(format!("{} was not meant; meant are {meant:#?}", request.summary()));
            }
            if !request.whole && number + 1 < self.seen.len() {
                return Err(format!("something follows {}, which is cut off", request.summary()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// The folder is asked for when the test runs: clones share a build cache.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "cargo tells its tests where they are")]
    fn what_was_found_holds() {
        let own = std::env::var_os("CARGO_MANIFEST_DIR").unwrap();
        let entries = std::fs::read_dir(Path::new(&own).join("fuzz/corpus/framing")).unwrap();
        let corpus: Vec<_> = entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
        assert!(corpus.len() >= 5, "{} inputs", corpus.len());
        for bytes in &corpus {
            super::framing(bytes);
        }
    }

    #[test]
    fn plain_requests_arrive() {
        let requests = "GET /function/f/a HTTP/1.1\r\nHost: h\r\n\r\nPOST /function/f/b HTTP/1.1\r\nHost: h\r\n\
                        Content-Length: 5\r\n\r\nhello";
        let conversation = super::RIG.with(|rig| rig.feed(requests.as_bytes()));
        conversation.check().unwrap();
        let seen: Vec<_> = conversation.seen.iter().map(super::Request::summary).collect();
        assert_eq!(seen, ["GET /a ", "POST /b hello"]);
    }
}
