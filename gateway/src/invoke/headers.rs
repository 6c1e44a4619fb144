//! Headers that change between caller and function, both ways.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::header::{
    CONNECTION, CONTENT_TYPE, COOKIE, EXPECT, FORWARDED, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use axum::http::uri::{Authority, Scheme};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version};
use bytes::BytesMut;
use faas_api::headers;
use uuid::Uuid;

use super::tunnel::Upgrade;
use crate::framing::Fields;
use crate::server::Caller;
use crate::table::Entry;

pub(crate) const CALL_ID: HeaderName = HeaderName::from_static(headers::CALL_ID);
const USAGE: HeaderName = HeaderName::from_static(headers::USAGE);
pub(crate) const START_TIME: HeaderName = HeaderName::from_static(headers::START_TIME);
pub(crate) const QUEUE: HeaderName = HeaderName::from_static(headers::QUEUE);
const CAPACITY: HeaderName = HeaderName::from_static(headers::CAPACITY);
pub(crate) const FORWARDED_HOST: HeaderName = HeaderName::from_static(headers::FORWARDED_HOST);
pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static(headers::FORWARDED_FOR);
/// What proxies say of a caller besides, and anybody can.
pub(crate) const CLAIMS: [HeaderName; 4] = [
    FORWARDED,
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
];
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

const PAGE_BYTES: usize = 4096;
/// A longer one of a caller's is replaced: it is logged and echoed.
const CALL_ID_BYTES: usize = 256;

/// Meant for the next hop only (RFC 9110, 7.6.1, and the peers' list); the body's framing is each hop's own. `Trailer`,
/// which the peers drop too, stays: without it trailers would not be sent on.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    TRANSFER_ENCODING,
    TE,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    // The gateway has answered it itself by the time the function reads the body.
    EXPECT,
];

/// Which of those a message has; mostly none. The last bit says that `Connection` may name others.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct HopByHop(u16);

const NAMES: u16 = 1 << 15;

impl HopByHop {
    /// Notes a field; whether it is one of them.
    pub(crate) fn note(&mut self, name: &HeaderName, value: &HeaderValue) -> bool {
        let position = HOP_BY_HOP.iter().position(|known| known == name);
        self.0 |= position.map_or(0, |position| 1 << position);
        if name == CONNECTION && !value.as_bytes().eq_ignore_ascii_case(b"keep-alive") {
            self.0 |= NAMES;
        }
        position.is_some()
    }

    pub(crate) fn upgrade(self) -> bool {
        self.has(&UPGRADE)
    }

    /// Whether this field of the message is for the next hop only, as `named` by `Connection` or by itself.
    pub(crate) fn covers(self, name: &HeaderName, named: &[HeaderName]) -> bool {
        self.0 != 0 && (named.contains(name) || self.has(name))
    }

    /// What `Connection` names, if it is there.
    pub(crate) fn named(self, headers: &HeaderMap) -> Vec<HeaderName> {
        if self.0 & NAMES != 0 { named(headers) } else { Vec::new() }
    }

    fn has(self, name: &HeaderName) -> bool {
        HOP_BY_HOP.iter().position(|known| known == name).is_some_and(|position| self.0 & 1 << position != 0)
    }

    /// Removes them, and what `Connection` names.
    fn remove(self, headers: &mut HeaderMap) {
        for name in self.named(headers) {
            headers.remove(name);
        }
        for (position, name) in HOP_BY_HOP.iter().enumerate() {
            if self.0 & 1 << position != 0 {
                headers.remove(name);
            }
        }
    }
}

fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(CONNECTION).iter().map(HeaderValue::as_bytes);
    let words = lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    // Who a request is for, and who sent it, is no hop's own business.
    let kept = [HOST, FORWARDED_FOR, FORWARDED_HOST];
    words.filter_map(|word| HeaderName::from_bytes(word).ok()).filter(|name| !kept.contains(name)).collect()
}

thread_local! {
    /// What stamps are written into, one after the other: memory is asked for once in dozens of them, not four times for
    /// each.
    static PAGE: RefCell<BytesMut> = RefCell::default();
}

/// A header's value that is copied once and never again. Text that cannot be one does not occur.
fn write(text: &str) -> HeaderValue {
    let bytes = PAGE.with_borrow_mut(|page| {
        if page.capacity() < text.len() {
            page.reserve(PAGE_BYTES);
        }
        page.extend_from_slice(text.as_bytes());
        page.split().freeze()
    });
    HeaderValue::from_maybe_shared(bytes).unwrap_or(HeaderValue::from_static("-"))
}

fn write_id(id: Uuid) -> HeaderValue {
    write(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
}

/// The caller's own; the first, if there are several.
pub(crate) fn call_id(headers: &HeaderMap, fields: &Fields) -> Option<HeaderValue> {
    if fields.call_ids > 0 { headers.get(CALL_ID).cloned() } else { None }
}

/// Which invocation it is, and when the gateway took it.
pub(crate) struct Stamp {
    call_id: HeaderValue,
    /// Whether the call id is new and random.
    fresh: bool,
    started: HeaderValue,
    unix_milliseconds: u64,
}

impl Stamp {
    /// With the caller's call id, or a new one.
    pub(crate) fn new(call_id: Option<HeaderValue>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let call_id = call_id.filter(|call_id| call_id.len() <= CALL_ID_BYTES);
        let fresh = call_id.is_none();
        let call_id = call_id.unwrap_or_else(|| write_id(Uuid::new_v4()));
        // In 64 bits, which last until 2554: wider numbers are slow to write.
        let nanoseconds = now.as_secs() * 1_000_000_000 + u64::from(now.subsec_nanos());
        let started = write(itoa::Buffer::new().format(nanoseconds));
        let unix_milliseconds = nanoseconds / 1_000_000;
        Self { call_id, fresh, started, unix_milliseconds }
    }

    pub(crate) fn call_id(&self) -> &HeaderValue {
        &self.call_id
    }

    /// Whether the call id is one that nothing else has.
    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// It goes by this id from now on.
    pub(crate) fn rename(&mut self, id: Uuid) {
        (self.call_id, self.fresh) = (write_id(id), false);
    }

    /// It goes by a new id from now on.
    pub(crate) fn renew(&mut self) {
        (self.call_id, self.fresh) = (write_id(Uuid::new_v4()), true);
    }

    /// Tells the caller.
    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        headers.insert(CALL_ID, self.call_id);
        headers.insert(START_TIME, self.started);
    }

    pub(super) fn unix_milliseconds(&self) -> u64 {
        self.unix_milliseconds
    }
}

/// What the function gets: the caller's headers less the hop-by-hop ones, and ours.
pub(super) fn to_function<B>(request: &mut Request<B>, fields: &Fields, caller: &Caller, stamp: &Stamp) {
    let authority = request.uri().authority().cloned();
    let headers = request.headers_mut();
    let trailers = fields.hop_by_hop.has(&TE) && headers.get_all(TE).iter().any(takes_trailers);
    fields.hop_by_hop.remove(headers);
    if trailers {
        headers.insert(TE, TRAILERS);
    }
    if fields.cookies > 1 {
        join_cookies(headers);
    }
    if fields.queue {
        headers.remove(QUEUE);
    }
    let named = authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if named.is_some() || fields.host.is_none() {
        // Old clients name none, and HTTP/1.1 has to have one.
        headers.insert(HOST, named.clone().unwrap_or(HeaderValue::from_static("function")));
    }
    // Who is not believed does not choose what is said of it.
    if !caller.trusted {
        for name in &CLAIMS {
            headers.remove(name);
        }
    }
    if !(caller.trusted && fields.forwarded_host) {
        match named.as_ref().or(fields.host.as_ref()) {
            Some(host) => drop(headers.insert(FORWARDED_HOST, host.clone())),
            None => drop(headers.remove(FORWARDED_HOST)),
        }
    }
    if !(caller.trusted && fields.forwarded_for) {
        headers.insert(FORWARDED_FOR, caller.address.clone());
    }
    headers.insert(CALL_ID, stamp.call_id.clone());
    headers.insert(START_TIME, stamp.started.clone());
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(crate::SERVED_BY));
}

fn takes_trailers(value: &HeaderValue) -> bool {
    let words = value.to_str().unwrap_or_default().split(',');
    words.into_iter().any(|word| word.trim().eq_ignore_ascii_case("trailers"))
}

/// HTTP/2 may send a cookie in pieces; HTTP/1.1 has one line (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let pieces: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if pieces.len() > 1
        && let Ok(whole) = HeaderValue::from_bytes(&pieces.join(b"; ".as_slice()))
    {
        headers.insert(COOKIE, whole);
    }
}

/// The function's own path, in the protocol that it speaks.
pub(super) fn readdress<B>(request: &mut Request<B>, uri: Uri, h2c: bool, upgrade: Option<&Upgrade>) {
    if h2c {
        *request.version_mut() = Version::HTTP_2;
        // What was HTTP/1.1's Host becomes part of the target.
        let host = request.headers_mut().remove(HOST);
        let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
        let mut parts = uri.into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = authority.or(Some(Authority::from_static("function")));
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        return;
    }
    *request.version_mut() = Version::HTTP_11;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    if let Some(upgrade) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, upgrade.protocols.clone());
    } else if headers.contains_key(TE) {
        // It is for the next hop, and has to say so.
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
}

/// What the caller gets besides the function's own; an answer that says nothing of its type is taken to have the
/// request's.
pub(super) fn to_caller<B>(response: &mut Response<B>, stamp: Stamp, content_type: Option<HeaderValue>) {
    // The function's is its hop's own.
    *response.version_mut() = Version::HTTP_11;
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    let (mut hop_by_hop, mut typed, mut usage) = (HopByHop::default(), switches, false);
    for (name, value) in headers.iter() {
        typed |= name == CONTENT_TYPE;
        usage |= name == USAGE;
        hop_by_hop.note(name, value);
    }
    if usage {
        // For us alone.
        headers.remove(USAGE);
    }
    let protocol = if switches { headers.remove(UPGRADE) } else { None };
    hop_by_hop.remove(headers);
    if let Some(protocol) = protocol {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
    stamp.tell(headers);
    if !typed {
        headers.insert(CONTENT_TYPE, content_type.unwrap_or(HeaderValue::from_static("text/plain")));
    }
}

/// Tells the queue's worker how many invocations the function takes at a time, if that is known.
pub(super) fn tell_capacity<B>(response: &mut Response<B>, entry: &Entry) {
    let capacity = entry.route.terms.max_inflight.and_then(|most| {
        let most = most.get().saturating_mul(entry.upstreams.len());
        (most > 0).then_some(most)
    });
    match capacity {
        Some(most) => drop(response.headers_mut().insert(CAPACITY, most.into())),
        None => drop(response.headers_mut().remove(CAPACITY)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a function gets of these headers, from a client who is believed or not.
    fn sent(version: Version, trusted: bool, given: &[(&str, &str)]) -> HeaderMap {
        let mut request = Request::builder().version(version).uri("http://a.example/f").body(()).unwrap();
        for (name, value) in given {
            request.headers_mut().append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let caller = Caller { address: HeaderValue::from_static("10.0.0.1:99"), trusted };
        let fields = Fields::of(request.headers());
        let stamp = Stamp::new(call_id(request.headers(), &fields));
        to_function(&mut request, &fields, &caller, &stamp);
        readdress(&mut request, Uri::from_static("/x"), false, None);
        std::mem::take(request.headers_mut())
    }

    fn forwarded(given: &[(&str, &str)]) -> HeaderMap {
        sent(Version::HTTP_11, true, given)
    }

    #[test]
    fn hop_by_hop_headers_and_those_that_connection_names_are_dropped() {
        let headers = forwarded(&[
            ("connection", "close, X-Secret-Hop"),
            ("x-secret-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("te", "deflate"),
            ("authorization", "Basic abc"),
            ("cookie", "a=b"),
        ]);
        for gone in ["connection", "x-secret-hop", "transfer-encoding", "te"] {
            assert!(!headers.contains_key(gone), "{gone}");
        }
        assert!(headers.contains_key("authorization") && headers.contains_key("cookie"));
    }

    #[test]
    fn what_the_caller_set_is_kept() {
        let headers =
            forwarded(&[("x-call-id", "mine"), ("x-forwarded-for", "1.2.3.4"), ("user-agent", "curl")]);
        assert_eq!(headers["x-call-id"], "mine");
        assert_eq!(headers["x-forwarded-for"], "1.2.3.4");
        assert_eq!(headers["x-forwarded-host"], "a.example");
        assert_eq!(headers["user-agent"], "curl");
    }

    #[test]
    fn what_the_caller_left_out_is_added() {
        let headers = forwarded(&[]);
        assert_eq!(headers["x-call-id"].len(), 36);
        assert_eq!(headers["x-forwarded-for"], "10.0.0.1:99");
        assert_eq!(headers["user-agent"], crate::SERVED_BY);
        assert!(headers["x-start-time"].to_str().unwrap().parse::<u64>().unwrap() > 0);
    }

    #[test]
    fn callers_do_not_see_what_an_invocation_took() {
        let mut answer = Response::new(());
        answer.headers_mut().insert(USAGE, HeaderValue::from_static("wall=1, cpu=1, memory=1"));
        to_caller(&mut answer, Stamp::new(None), None);
        assert!(!answer.headers().contains_key(USAGE) && answer.headers().contains_key(CALL_ID));
    }

    #[test]
    fn who_is_not_believed_does_not_choose_where_it_comes_from() {
        let given = [("x-forwarded-for", "1.2.3.4"), ("x-forwarded-host", "b.example")];
        let headers = sent(Version::HTTP_11, false, &given);
        assert_eq!(headers["x-forwarded-for"], "10.0.0.1:99");
        assert_eq!(headers["x-forwarded-host"], "a.example");
    }

    #[test]
    fn a_cookie_in_pieces_is_one_line_again() {
        let headers = sent(Version::HTTP_2, true, &[("cookie", "a=1"), ("cookie", "b=2")]);
        assert_eq!(headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }

    #[test]
    fn a_caller_that_takes_trailers_says_so_again() {
        let headers = forwarded(&[("connection", "te"), ("te", "trailers"), ("trailer", "x-sum")]);
        assert_eq!((&headers["te"], &headers["connection"]), (&TRAILERS, &HeaderValue::from_static("te")));
        assert!(headers.contains_key("trailer"));
    }
}
