//! What a client of HTTP/2 may do to a gateway.

use std::thread;
use std::time::Duration;

use crate::fixture::frames::{CANCEL, Frames, GOAWAY, REFUSED_STREAM, RST_STREAM};
use crate::fixture::{Client, Exchange, Server, Upstream, get};

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
    let upstream = Upstream::scripted(Exchange::read_to_close);
    let server = Server::with(|config| config.limits.streams = 8);
    server.route("f", &[&upstream]);
    let mut client = Frames::new(&server);
    for number in 0..20 {
        client.send(&Frames::get(number * 2 + 1, "/function/f"));
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

/// A flood of frames that must be answered ends the connection, while another client is served.
fn assert_flood_ends(frame: Vec<u8>, reading: bool) {
    let upstream = Upstream::start();
    let server = Server::with(|config| config.limits.body_timeout = Duration::from_secs(1));
    server.route("f", &[&upstream]);
    let mut other = Client::new(&server);
    let flooding = Frames::new(&server);
    let flood = thread::spawn(move || flooding.repeat(&frame, reading));
    while !flood.is_finished() {
        assert_eq!(other.call(get("/function/f", &[])).text(), "ok");
        thread::sleep(Duration::from_millis(5));
    }
    assert!(flood.join().unwrap(), "taken without end");
}

#[test]
fn a_flood_of_settings_ends_the_connection() {
    assert_flood_ends(Frames::settings(), true);
}

#[test]
fn a_flood_of_pings_ends_the_connection() {
    assert_flood_ends(Frames::ping(1), true);
}

#[test]
fn a_flood_whose_answers_nobody_reads_ends_the_connection() {
    assert_flood_ends(Frames::ping(1), false);
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
