//! Tables for the rows of contract 4.2, and properties for everything else that a stranger may send.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;

use hyper::Request;
use proptest::prelude::*;

use super::*;

fn map(request: Request<()>, length: Option<u64>) -> BTreeMap<String, Vec<u8>> {
    let pairs = variables(&request.into_parts().0, length);
    pairs.into_iter().map(|(name, value)| (name.into_string().unwrap(), value.into_vec())).collect()
}

fn names(request: Request<()>) -> Vec<String> {
    map(request, Some(0)).into_keys().collect()
}

#[test]
fn a_request_becomes_the_contracts_variables() {
    let request = Request::post("/a%20b/c?x=1&y=%20")
        .header("host", "example.org:8080")
        .header("x-my-header", "first")
        .header("x-my-header", "second")
        .header("content-type", "text/plain")
        .body(());
    let map = map(request.unwrap(), Some(5));
    for (name, value) in [
        ("Http_Method", "POST"),
        ("Http_Path", "/a b/c"),
        ("Http_Query", "x=1&y=%20"),
        ("Http_Host", "example.org:8080"),
        ("Http_ContentLength", "5"),
        ("Http_Content_Length", "5"),
        ("Http_X_My_Header", "first"),
        ("Http_Content_Type", "text/plain"),
    ] {
        assert_eq!(map[name], value.as_bytes(), "{name}");
    }
    assert_eq!(map.len(), 8);
}

#[test]
fn an_unknown_length_is_minus_one_and_its_encoding_is_told() {
    let request = Request::post("/").header("transfer-encoding", "chunked").body(()).unwrap();
    let map = map(request, None);
    assert_eq!(map["Http_ContentLength"], b"-1");
    assert_eq!(map["Http_Content_Length"], b"-1");
    assert_eq!(map["Http_Transfer_Encoding"], b"chunked");
}

#[test]
fn of_watchdogs_handlers_learn_neither_length_nor_host() {
    let request = Request::post("/a?b").header("host", "h").header("content-length", "5").header("x-a", "1");
    let pairs = of_watchdog_variables(&request.body(()).unwrap().into_parts().0);
    let mut names: Vec<_> = pairs.into_iter().map(|(name, _)| name.into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["Http_Method", "Http_Path", "Http_Query", "Http_X_A"]);
}

#[test]
fn an_empty_query_is_left_out() {
    for uri in ["/", "/?"] {
        let expect = ["Http_ContentLength", "Http_Content_Length", "Http_Host", "Http_Method", "Http_Path"];
        assert_eq!(names(Request::get(uri).body(()).unwrap()), expect, "{uri}");
    }
}

#[test]
fn a_header_cannot_pose_as_method_path_or_length() {
    let request = Request::get("/real")
        .header("method", "EVIL")
        .header("path", "/evil")
        .header("contentlength", "9")
        .header("query", "evil=1");
    let map = map(request.body(()).unwrap(), Some(0));
    assert_eq!((&map["Http_Method"][..], &map["Http_Path"][..]), (&b"GET"[..], &b"/real"[..]));
    assert!(!map.contains_key("Http_Query"), "no query in the URL");
    // Go spells that header Contentlength: another name.
    assert_eq!((&map["Http_ContentLength"][..], &map["Http_Contentlength"][..]), (&b"0"[..], &b"9"[..]));
}

#[test]
fn paths_are_decoded_where_they_can_be() {
    for (path, expect) in [
        ("/", &b"/"[..]),
        ("/%41", b"/A"),
        ("/%zz%4", b"/%zz%4"),
        ("/%", b"/%"),
        ("/%ff", b"/\xff"),
        ("/%00", b"/%00"),
        ("/%2541", b"/%41"),
    ] {
        assert_eq!(decode_path(path), expect, "{path}");
    }
}

#[test]
fn names_are_spelled_as_go_spells_them() {
    for (name, expect) in
        [("x-call-id", "X-Call-Id"), ("etag", "Etag"), ("x_y-z", "X_y-Z"), ("-a", "-A"), ("", "")]
    {
        assert_eq!(canonical(name), expect);
    }
}

proptest! {
    #[test]
    fn no_header_breaks_a_variable(name in "[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,30}", value in prop::collection::vec(0_u8.., 0..50)) {
        let Ok(request) = Request::get("/").header(&name, &value[..]).body(()) else { return Ok(()) };
        for (name, value) in variables(&request.into_parts().0, None) {
            prop_assert!(!name.as_bytes().iter().any(|byte| matches!(byte, 0 | b'=')) && name.as_bytes().starts_with(b"Http_"));
            prop_assert!(!value.as_bytes().contains(&0));
        }
    }

    #[test]
    fn no_path_breaks_a_variable(path in "/([a-z]|%[0-9a-fA-F]{2}|%){0,20}") {
        let decoded = decode_path(&path);
        prop_assert!(!decoded.contains(&0) && decoded.len() <= path.len());
    }

    #[test]
    fn encoded_paths_read_back(bytes in prop::collection::vec(1_u8.., 0..30)) {
        let path = bytes.iter().fold(String::new(), |path, byte| format!("{path}%{byte:02x}"));
        prop_assert_eq!(decode_path(&path), bytes);
    }
}
