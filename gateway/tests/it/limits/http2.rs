//! What a client of HTTP/2 may do to a gateway.

use crate::fixture::frames::{CANCEL, Frames, GOAWAY, REFUSED_STREAM, RST_STREAM};
use crate::fixture::{Client, Server, Upstream, get};

/// Frames of a flood; what ends it comes far earlier.
const FLOOD: usize = 20_000;

/// Sends what each number stands for until the gateway ends the connection, while another client is served.
fn assert_ended(frames: impl Fn(u32) -> Vec<u8>) {
    let upstream = Upstream::start();
    let server = Server::before(&upstream);
    let mut other = Client::new(&server);
    let flooding = Frames::new(&server);
    let ended = flooding.flood((0..FLOOD).map(|number| frames(u32::try_from(number).unwrap())));
    assert_eq!(other.call(get("/function/f", &[])).text(), "ok");
    assert!(ended, "{FLOOD} times, and the connection lives on");
}

#[test]
fn a_connection_has_so_many_streams_at_most() {
    let upstream = Upstream::scripted(|exchange| exchange.read_to_close());
    let server = Server::with(|config| config.limits.streams = 8);
    server.route("f", &[&upstream]);
    let mut client = Frames::new(&server);
    for number in 0..20 {
        client.send(Frames::get(number * 2 + 1, "/function/f"));
    }
    upstream.wait_requests(8);
    let mut refused = 0;
    while refused < 12 {
        match client.next() {
            Some(frame) if frame.kind == RST_STREAM => {
                assert_eq!(frame.code(), REFUSED_STREAM);
                refused += 1;
            }
            Some(frame) if frame.kind == GOAWAY => break,
            Some(_) => {}
            None => break,
        }
    }
    assert_eq!(upstream.requests().len(), 8);
}

#[test]
fn streams_that_are_reset_at_once_end_the_connection() {
    assert_ended(|number| {
        [Frames::get(number * 2 + 1, "/function/f"), Frames::reset(number * 2 + 1, CANCEL)].concat()
    });
}

#[test]
fn a_flood_of_settings_ends_the_connection() {
    assert_ended(|_| Frames::settings());
}

#[test]
fn a_flood_of_pings_ends_the_connection() {
    assert_ended(|number| Frames::ping(number));
}

#[test]
fn a_flood_of_empty_frames_ends_the_connection() {
    assert_ended(|number| match number {
        0 => Frames::post(1, "/function/f"),
        _ => Frames::empty_data(1),
    });
}

#[test]
fn a_head_without_end_ends_the_connection() {
    assert_ended(|number| match number {
        0 => Frames::unfinished(1, "/function/f"),
        _ => Frames::continuation(1),
    });
}
