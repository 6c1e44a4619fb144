//! Malformed and ambiguous requests: what each is answered, whether its connection is closed, and what the function saw.
//!
//! For every entry alike: the function saw nothing at all, or requests in canonical form (the recorder takes nothing
//! else), never more of them than were meant, and nothing ever reached the function `other` that some entries hide a
//! request for.

mod chunks;
mod codings;
mod connection;
mod heads;
mod hosts;
mod http2;
mod lengths;
mod lines;
mod smuggling;

use crate::fixture::{Client, Request, Server, Upstream};

/// A request and what becomes of it.
struct Entry {
    name: &'static str,
    bytes: Vec<u8>,
    expect: Expect,
}

/// What becomes of a request.
enum Expect {
    /// This status and a closed connection; the function saw nothing.
    Refused(u16),
    /// This status by the gateway itself on a connection that lives on; the function saw nothing.
    Declined(u16),
    /// The function saw these, as `METHOD target body`; the connection lives on.
    Forwarded(&'static [&'static str]),
    /// The same, on a connection that is closed then.
    ForwardedThenClosed(&'static [&'static str]),
    /// The function may have seen the beginning of one request, cut off; the connection is closed, with or without
    /// this status before.
    Cut(u16),
    /// Where hyper repairs without a trace: either refused with 400, or exactly this request.
    Repaired(&'static [&'static str]),
    /// The same, and what follows is not read as another request.
    RepairedThenClosed(&'static [&'static str]),
    /// The gateway's own affair, whatever it answers; the function saw nothing.
    Kept,
}

use Expect::{Cut, Declined, Forwarded, ForwardedThenClosed, Kept, Refused, Repaired, RepairedThenClosed};

fn entry(name: &'static str, bytes: impl AsRef<[u8]>, expect: Expect) -> Entry {
    Entry { name, bytes: bytes.as_ref().to_vec(), expect }
}

/// A POST to the function `f` with these header lines, ended each, and these bytes after the head.
fn post(name: &'static str, headers: &str, after: &str, expect: Expect) -> Entry {
    let text = format!("POST /function/f HTTP/1.1\r\nHost: h\r\n{headers}\r\n{after}");
    entry(name, text, expect)
}

/// A GET of the function `f` with these header lines, ended each.
fn get(name: &'static str, headers: impl AsRef<[u8]>, expect: Expect) -> Entry {
    let before: &[u8] = b"GET /function/f HTTP/1.1\r\nHost: h\r\n";
    entry(name, [before, headers.as_ref(), b"\r\n"].concat(), expect)
}

/// Sends each entry on a connection of its own, and says of all that went wrong at once.
fn check(entries: &[Entry]) {
    let server = Server::start();
    let wrong: Vec<String> = entries.iter().filter_map(|entry| outcome(&server, entry).err()).collect();
    assert!(wrong.is_empty(), "{} of {} entries:\n{}", wrong.len(), entries.len(), wrong.join("\n"));
}

fn outcome(server: &Server, entry: &Entry) -> Result<(), String> {
    let (upstream, other) = (Upstream::start(), Upstream::start());
    server.route("f", &[&upstream]);
    server.route("other", &[&other]);
    let mut client = Client::new(server);
    // It may be closed before all of it was taken.
    let _ = client.try_send(&entry.bytes);
    let statuses = statuses(&mut client, entry);
    let open = client.is_open();
    upstream.finish();
    other.finish();
    if let Some(fault) = upstream.fault() {
        return Err(format!("  {}: not canonical: {fault}", entry.name));
    }
    let (requests, smuggled) = (upstream.requests(), other.requests().len());
    let seen: Vec<_> = requests.iter().filter(|request| request.whole).map(Request::summary).collect();
    let begun = requests.len();
    if entry.expect.allows(&statuses, open, &seen, begun) && smuggled == 0 {
        return Ok(());
    }
    let got = format!("{statuses:?}, open: {open}, seen: {seen:?} of {begun}, smuggled: {smuggled}");
    Err(format!("  {}: expected {}; got {got}", entry.name, entry.expect))
}

/// As many answers as are expected, or as came.
fn statuses(client: &mut Client, entry: &Entry) -> Vec<u16> {
    let wanted = match entry.expect {
        Forwarded(seen) | ForwardedThenClosed(seen) | Repaired(seen) | RepairedThenClosed(seen) => seen.len(),
        _ => 1,
    };
    let mut statuses = Vec::new();
    while statuses.len() < wanted {
        let Some(answer) = client.try_answer_to(method(&entry.bytes)) else { break };
        statuses.push(answer.status);
    }
    statuses
}

fn method(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes.split(|&byte| byte == b' ').next().unwrap_or_default()).unwrap_or_default()
}

impl Expect {
    fn allows(&self, statuses: &[u16], open: bool, seen: &[String], begun: usize) -> bool {
        let refused = |status: u16| statuses == [status] && !open && begun == 0;
        let answered = |expected: &[&str]| {
            seen == expected && begun == seen.len() && statuses == vec![200; expected.len()]
        };
        match *self {
            Refused(status) => refused(status),
            Declined(status) => statuses == [status] && open && begun == 0,
            Forwarded(expected) => answered(expected) && open,
            ForwardedThenClosed(expected) => answered(expected) && !open,
            Cut(status) => (statuses.is_empty() || statuses == [status]) && !open && seen.is_empty(),
            Repaired(expected) => answered(expected) || refused(400),
            RepairedThenClosed(expected) => answered(expected) && !open || refused(400),
            Kept => begun == 0,
        }
    }
}

impl std::fmt::Display for Expect {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused(status) => write!(formatter, "{status} and closed"),
            Declined(status) => write!(formatter, "{status} and open"),
            Forwarded(seen) => write!(formatter, "{seen:?} and open"),
            ForwardedThenClosed(seen) => write!(formatter, "{seen:?} and closed"),
            Cut(status) => write!(formatter, "cut off, {status} or nothing"),
            Repaired(seen) => write!(formatter, "{seen:?}, or 400 and closed"),
            RepairedThenClosed(seen) => write!(formatter, "{seen:?} or 400, and closed"),
            Kept => write!(formatter, "nothing forwarded"),
        }
    }
}
