//! Header fields between caller and function, both ways.

use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, TE, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use faas_api::headers as names;

use crate::Limits;
use crate::framing::{self, Fields};
use crate::invoke::headers::{CLAIMS, Stamp, call_id, readdress, to_caller, to_function};
use crate::invoke::tunnel::Upgrade;
use crate::server::Caller;

/// Never passed on; `TE`, `Upgrade` and `Connection` only as the gateway writes them.
const ONE_HOP: [&str; 6] = [
    "transfer-encoding",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "expect",
];
/// What the gateway itself says, whatever the caller did; each once.
const OURS: [&str; 4] = ["host", names::CALL_ID, names::START_TIME, names::FORWARDED_HOST];
/// Stays though `Connection` names it.
const NEVER_ONE_HOP: [&str; 3] = ["host", names::FORWARDED_FOR, names::FORWARDED_HOST];
const ADDRESS: &str = "192.0.2.1:9";

/// What the first byte of an input chooses.
struct Setting {
    trusted: bool,
    h2c: bool,
    version: Version,
}

impl Setting {
    fn of(byte: u8) -> Self {
        let version = match byte >> 2 & 3 {
            0 | 1 => Version::HTTP_11,
            2 => Version::HTTP_10,
            _ => Version::HTTP_2,
        };
        Self { trusted: byte & 1 != 0, h2c: byte & 2 != 0, version }
    }
}

/// A setting, a target, and lines `name: value`: taken as a request's, and as an answer's.
pub fn headers(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let Some(uri) = lines.next().and_then(|target| Uri::try_from(target).ok()) else { return };
    let Some(fields) = lines.map(field).collect::<Option<Vec<_>>>() else { return };
    let given: HeaderMap = fields.into_iter().collect();
    check_answer(first, &given);
    check_request(&Setting::of(first), uri, &given);
}

fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let value = line.get(colon + 1..)?.trim_ascii();
    Some((HeaderName::from_bytes(&line[..colon]).ok()?, HeaderValue::from_bytes(value).ok()?))
}

fn check_request(setting: &Setting, uri: Uri, given: &HeaderMap) {
    let mut request = Request::new(());
    (*request.uri_mut(), *request.version_mut()) = (uri, setting.version);
    *request.method_mut() = Method::POST;
    *request.headers_mut() = given.clone();
    let Ok(fields) = framing::check(&request, &Limits::default()) else { return };
    check_length(setting.version, given);
    let authority = request.uri().authority().map(ToString::to_string);
    let caller = Caller { address: HeaderValue::from_static(ADDRESS), trusted: setting.trusted };
    let stamp = Stamp::new(call_id(request.headers(), &fields));
    let upgrades = fields.hop_by_hop.upgrade() && !setting.h2c;
    let upgrade = if upgrades { Upgrade::wanted(&mut request) } else { None };
    to_function(&mut request, &fields, &caller, &stamp);
    assert_eq!(request.headers()[names::CALL_ID], stamp.call_id());
    check_host(&fields, authority.as_deref(), given, request.headers());
    check_forwarded(setting, given, request.headers());
    readdress(&mut request, Uri::from_static("/own?x"), setting.h2c, upgrade.as_ref());
    check_target(setting, &request);
    check_sent(setting, upgrade.is_some(), given, request.headers());
}

/// Told once, in a way that the version has.
fn check_length(version: Version, given: &HeaderMap) {
    let codings: Vec<_> = given.get_all(TRANSFER_ENCODING).iter().map(HeaderValue::as_bytes).collect();
    match (codings.as_slice(), given.get_all(CONTENT_LENGTH).iter().count()) {
        ([], 0 | 1) => {}
        ([coding], 0) if version == Version::HTTP_11 => assert!(coding.eq_ignore_ascii_case(b"chunked")),
        _ => unreachable!("no length, or several: {given:?}"),
    }
}

/// The target's, else the caller's own, else one of ours.
fn check_host(fields: &Fields, authority: Option<&str>, given: &HeaderMap, sent: &HeaderMap) {
    let hosts: Vec<_> = given.get_all(HOST).iter().collect();
    assert!(hosts.len() < 2 && hosts.first().copied() == fields.host.as_ref(), "{given:?}");
    let expected = authority.map(str::as_bytes).or_else(|| hosts.first().map(|host| host.as_bytes()));
    assert_eq!(sent[HOST].as_bytes(), expected.unwrap_or(b"function"), "{given:?}");
}

/// Ours, unless the caller is believed and has said something.
fn check_forwarded(setting: &Setting, given: &HeaderMap, sent: &HeaderMap) {
    let values = |headers: &HeaderMap| -> Vec<HeaderValue> {
        headers.get_all(names::FORWARDED_FOR).iter().cloned().collect()
    };
    let (given_for, sent_for) = (values(given), values(sent));
    let theirs = setting.trusted && !given_for.is_empty();
    let expected = if theirs { given_for } else { vec![HeaderValue::from_static(ADDRESS)] };
    assert_eq!(sent_for, expected, "{given:?}");
    let hosts = given.get_all(names::FORWARDED_HOST).iter().count();
    let sent_hosts: Vec<_> = sent.get_all(names::FORWARDED_HOST).iter().collect();
    let theirs = setting.trusted && hosts > 0;
    if !theirs && !sent_hosts.is_empty() {
        assert_eq!(sent_hosts, [&sent[HOST]], "{given:?}");
    }
}

fn check_target(setting: &Setting, request: &Request<()>) {
    assert_eq!(request.uri().path_and_query().map(PathAndQuery::as_str), Some("/own?x"));
    if setting.h2c {
        assert_eq!(request.version(), Version::HTTP_2);
        let complete = request.uri().scheme_str() == Some("http") && request.uri().authority().is_some();
        assert!(complete && !request.headers().contains_key(HOST), "{:?}", request.uri());
    } else {
        assert_eq!(request.version(), Version::HTTP_11);
        assert!(request.uri().authority().is_none() && request.headers().get_all(HOST).iter().count() == 1);
    }
}

fn check_sent(setting: &Setting, upgrade: bool, given: &HeaderMap, sent: &HeaderMap) {
    check_one_hop(sent);
    assert!(sent.get_all(CONTENT_LENGTH).iter().count() < 2 && !sent.contains_key(TRANSFER_ENCODING));
    assert!(sent.get_all(COOKIE).iter().count() < 2, "{sent:?}");
    assert!(sent.get_all(names::CALL_ID).iter().count() == 1 && sent.contains_key("user-agent"));
    assert!(sent[names::START_TIME].to_str().is_ok_and(|text| text.parse::<u64>().is_ok()));
    let te = sent.contains_key(TE);
    assert!(!te || sent.get_all(TE).iter().eq(["trailers"]), "{sent:?}");
    let connection: Vec<_> = sent.get_all(CONNECTION).iter().collect();
    let expected: &[&str] = if setting.h2c {
        &[]
    } else if upgrade {
        &["upgrade"]
    } else if te {
        &["te"]
    } else {
        &[]
    };
    assert_eq!(connection, expected, "{given:?}");
    assert_eq!(sent.get_all(UPGRADE).iter().count(), usize::from(upgrade), "{given:?}");
    assert!(!sent.contains_key(names::QUEUE), "what is said to the gateway itself: {given:?}");
    let claims: &[HeaderName] = if setting.trusted { &[] } else { &CLAIMS };
    assert!(!claims.iter().any(|name| sent.contains_key(name)), "{given:?} became {sent:?}");
    let changed = ["cookie", "user-agent", "x-forwarded-for", "te", "upgrade", "connection", names::QUEUE];
    let claims: Vec<_> = claims.iter().map(HeaderName::as_str).collect();
    check_kept(given, sent, &[&OURS[..], &changed, &claims].concat());
}

fn check_answer(status: u8, given: &HeaderMap) {
    let mut answer = Response::new(());
    let switches = status & 0x80 != 0;
    *answer.status_mut() = if switches { StatusCode::SWITCHING_PROTOCOLS } else { StatusCode::OK };
    *answer.headers_mut() = given.clone();
    let stamp = Stamp::new(None);
    let call_id = stamp.call_id().clone();
    to_caller(&mut answer, stamp, given.get(CONTENT_TYPE).cloned());
    let sent = answer.headers();
    assert!(!sent.contains_key(names::USAGE) && !sent.contains_key(TE), "{given:?}");
    check_one_hop(sent);
    let upgrades = switches && given.contains_key(UPGRADE);
    assert_eq!(sent.contains_key(UPGRADE), upgrades, "{given:?}");
    assert!(sent.get_all(CONNECTION).iter().eq(upgrades.then_some("upgrade")), "{given:?}");
    assert!(sent.get_all(names::CALL_ID).iter().eq([&call_id]), "{given:?}");
    assert!(sent.get_all(names::START_TIME).iter().count() == 1);
    let changed =
        ["te", "upgrade", "connection", "content-type", names::USAGE, names::CALL_ID, names::START_TIME];
    check_kept(given, sent, &changed);
}

fn check_one_hop(sent: &HeaderMap) {
    for name in ONE_HOP {
        assert!(!sent.contains_key(name), "{name}: {sent:?}");
    }
}

/// What is for the next hop only is gone, everything else as it was, but for `ours`.
fn check_kept(given: &HeaderMap, sent: &HeaderMap, ours: &[&str]) {
    let lines = given.get_all(CONNECTION).iter().flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    let named: Vec<_> = lines.map(|word| word.trim_ascii().to_ascii_lowercase()).collect();
    for name in given.keys().chain(sent.keys()).filter(|name| !ours.contains(&name.as_str())) {
        let dropped =
            ONE_HOP.contains(&name.as_str()) || named.iter().any(|word| word == name.as_str().as_bytes());
        let (before, after) = (given.get_all(name), sent.get_all(name));
        if dropped && !NEVER_ONE_HOP.contains(&name.as_str()) {
            assert!(after.iter().next().is_none(), "{name} was for one hop: {sent:?}");
        } else {
            assert!(before.iter().eq(after.iter()), "{name}: {given:?} became {sent:?}");
        }
    }
}
