//! Bodies that pass through piece by piece, in either direction.

use std::io::{Read as _, Write as _};

use faas_package::Signature;

use crate::function::Function;
use crate::harness::{Stream, Watchdog, children, peak_memory, until};

const STREAMS: &str = "
import os, threading, time, zlib

def handle(event, context):
    if event.path == '/count':
        count, check = 0, 1
        for part in event.stream:
            count += len(part)
            check = zlib.adler32(part, check)
        return '%d %d' % (count, check)
    if event.path == '/read':
        first = event.stream.read(3)
        return first + b'|' + event.stream.read() + b'|' + event.stream.read(5)
    if event.path == '/ignore':
        return 'not read'
    if event.path == '/big':
        return big(int(event.query['pieces']))
    if event.path == '/steps':
        return steps(event.query['file'])
    if event.path == '/both':
        return (part.upper() for part in event.stream)
    if event.path == '/forever':
        return forever(event.query['file'])

def big(pieces):
    piece = bytes(range(256)) * 4096
    for _ in range(pieces):
        yield piece

def steps(file):
    yield 'first'
    while not os.path.exists(file):
        time.sleep(0.001)
    yield ''
    yield 'second'

def forever(file):
    try:
        while True:
            yield b'x' * 1000
    finally:
        open(file, 'w').close()
";

const MIB: u64 = 1 << 20;

fn streams() -> Option<Function> {
    Function::python(Signature::Http, STREAMS)
}

/// Reads until `text` has come.
fn read_up_to(stream: &mut dyn Stream, text: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
    String::from_utf8(read).unwrap()
}

#[test]
fn parts_arrive_before_the_end() {
    let Some(function) = streams() else { return };
    for isolation in super::ISOLATIONS {
        let watchdog = function.ready(&[("worker_isolation", isolation)]);
        let file = watchdog.path("go on");
        let target = format!("/steps?file={}", file.display()).replace(' ', "%20");
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let mut stream = watchdog.begin(request.as_bytes());
        read_up_to(&mut *stream, "first\r\n");
        std::fs::write(&file, "").unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "6\r\nsecond\r\n0\r\n\r\n", "{isolation}");
    }
}

#[test]
fn the_stream_is_read_in_pieces_as_a_whole_or_not_at_all() {
    let Some(function) = streams() else { return };
    let watchdog = function.ready(&[("worker_count", "1")]);
    let body: Vec<u8> = (b'a'..=b'z').cycle().take(700_000).collect();
    let answer = watchdog.send("POST", "/read", "", &body);
    assert!(answer.body == [&body[..3], b"|", &body[3..], b"|"].concat());
    assert_eq!(watchdog.send("POST", "/ignore", "", &body).text(), "not read");
    assert!(watchdog.send("POST", "/both", "", &body).body == body.to_ascii_uppercase());
    assert_eq!(watchdog.send("POST", "/read", "", b"").text(), "||");
}

/// Sends so many MiB of zeros.
fn upload(watchdog: &Watchdog, mebibytes: u64) -> String {
    let length = mebibytes * MIB;
    let head =
        format!("POST /count HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    let mut stream = watchdog.begin(head.as_bytes());
    let zeros = vec![0; MIB.try_into().unwrap()];
    for _ in 0..mebibytes {
        stream.write_all(&zeros).unwrap();
    }
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.rsplit_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Reads an answer of so many MiB of counted bytes, piece by piece; its length with chunk frames.
fn download(watchdog: &Watchdog, mebibytes: u64) -> u64 {
    let request = format!("GET /big?pieces={mebibytes} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut stream = watchdog.begin(request.as_bytes());
    let (mut buffer, mut total) = (vec![0; 1 << 20], 0);
    let mut tail = Vec::new();
    loop {
        let read = stream.read(&mut buffer).unwrap();
        if read == 0 {
            assert!(tail.ends_with(b"0\r\n\r\n"), "it is whole");
            return total;
        }
        total += read as u64;
        tail.extend_from_slice(&buffer[read.saturating_sub(5)..read]);
        tail.drain(..tail.len().saturating_sub(5));
    }
}

/// Adler-32 of so many zeros.
fn adler_of_zeros(length: u64) -> u64 {
    ((length % 65_521) << 16) + 1
}

#[test]
fn large_uploads_and_downloads_pass_with_flat_memory() {
    let Some(function) = streams() else { return };
    let watchdog = function.ready(&[("worker_count", "1"), ("exec_timeout", "0")]);
    let worker: u32 = children(watchdog.pid())[0].parse().unwrap();
    let peaks = || [watchdog.pid(), worker].map(peak_memory);
    upload(&watchdog, 8);
    download(&watchdog, 8);
    let before = peaks();
    let expected = format!("{} {}", 1024 * MIB, adler_of_zeros(1024 * MIB));
    assert_eq!(upload(&watchdog, 1024), expected);
    assert!(download(&watchdog, 1024) >= 1024 * MIB);
    for (name, before, after) in [("watchdog", before[0], peaks()[0]), ("handler", before[1], peaks()[1])] {
        assert!(after - before < 16 * MIB, "{name}: {before} to {after}");
    }
}

#[test]
fn forked_processes_stream_too() {
    let Some(function) = streams() else { return };
    for isolation in ["fork", "exec"] {
        let watchdog = function.ready(&[("worker_isolation", isolation)]);
        upload(&watchdog, 4);
        let before = peak_memory(watchdog.pid());
        assert_eq!(upload(&watchdog, 64), format!("{} {}", 64 * MIB, adler_of_zeros(64 * MIB)));
        assert!(download(&watchdog, 64) >= 64 * MIB);
        assert!(peak_memory(watchdog.pid()) - before < 16 * MIB, "{isolation}");
    }
}

#[test]
fn a_slow_reader_stops_its_own_call_and_its_end_stops_the_handler() {
    let Some(function) = streams() else { return };
    let watchdog = function.ready(&[("worker_count", "2"), ("exec_timeout", "0")]);
    let before = peak_memory(watchdog.pid());
    let file = watchdog.path("ended");
    let request = format!("GET /forever?file={} HTTP/1.1\r\nHost: a\r\n\r\n", file.display());
    let mut slow = watchdog.begin(request.as_bytes());
    read_up_to(&mut *slow, "xxxx");
    for _ in 0..20 {
        assert_eq!(watchdog.send("POST", "/ignore", "", b"").text(), "not read");
    }
    assert!(peak_memory(watchdog.pid()) - before < 16 * MIB);
    assert!(!file.exists());
    drop(slow);
    until("the generator closed", || file.exists().then_some(()));
}
