//! Many bodies at once, and very large ones, through the modes that start a process for each request.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::sync::Barrier;

use crate::fork::{pattern, shell};
use crate::harness::{Answer, Watchdog};

const CONNECTIONS: usize = 64;
const MEGABYTE: usize = 1_000_000;
const GIBIBYTE: u64 = 1 << 30;
/// What the watchdog may grow by while a body passes through it.
const GROWTH_KIB: u64 = 16 * 1024;

/// One mode and handler, one test: for each size, as many connections as [`CONNECTIONS`] send such a body at once.
macro_rules! at_once {
    ($($test:ident: $mode:literal, $handler:literal => $expect:expr;)+) => {
        $(
            #[test]
            fn $test() {
                let watchdog = shell(concat!("exec ", $handler), &[("mode", $mode), ("exec_timeout", "0")]);
                for body in [vec![], pattern(MEGABYTE)] {
                    send_at_once(&watchdog, &body, $expect);
                }
            }
        )+
    };
}

at_once! {
    many_bodies_through_fork_cat: "fork", "cat" => |body, answer| answer.body == body;
    many_bodies_through_fork_env: "fork", "env" => |_, answer| names_the_method(answer);
    many_bodies_through_fork_md5sum: "fork", "md5sum" => |body, answer| answer.text() == digest(body);
    many_bodies_through_fork_shell: "fork", "sh -c 'echo $(wc -c)'" => |body, answer| answer.text() == size(body);
    many_bodies_through_fork_python: "fork", "python3 -c 'import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())'"
        => |body, answer| answer.body == body;
    many_bodies_through_serializing_cat: "serializing", "cat" => |body, answer| answer.body == body;
    many_bodies_through_serializing_env: "serializing", "env" => |_, answer| names_the_method(answer);
    many_bodies_through_serializing_md5sum: "serializing", "md5sum" => |body, answer| answer.text() == digest(body);
    many_bodies_through_serializing_shell: "serializing", "sh -c 'echo $(wc -c)'"
        => |body, answer| answer.text() == size(body);
    many_bodies_through_serializing_python: "serializing", "python3 -c 'import sys; print(len(sys.stdin.buffer.read()))'"
        => |body, answer| answer.text() == size(body);
    many_bodies_through_streaming_cat: "streaming", "cat" => |body, answer| answer.body == body;
    many_bodies_through_streaming_env: "streaming", "env" => |_, answer| names_the_method(answer);
    many_bodies_through_streaming_md5sum: "streaming", "md5sum" => |body, answer| answer.text() == digest(body);
    many_bodies_through_streaming_shell: "streaming", "sh -c 'echo $(wc -c)'"
        => |body, answer| answer.text() == size(body);
}

#[test]
fn many_bodies_through_http() {
    let watchdog = crate::http::python(&[("exec_timeout", "0")]);
    for body in [vec![], pattern(MEGABYTE)] {
        at_once_to(&watchdog, "/echo", &body, |body, answer| answer.body == body);
    }
}

fn send_at_once(watchdog: &Watchdog, body: &[u8], expect: fn(&[u8], &Answer) -> bool) {
    at_once_to(watchdog, "/", body, expect);
}

fn at_once_to(watchdog: &Watchdog, target: &str, body: &[u8], expect: fn(&[u8], &Answer) -> bool) {
    let together = Barrier::new(CONNECTIONS);
    let send = || {
        together.wait();
        let answer = watchdog.send("POST", target, "", body);
        assert!(answer.status == 200 && expect(body, &answer), "{} {:.200}", answer.status, show(&answer));
    };
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(send);
        }
    });
}

fn show(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

fn names_the_method(answer: &Answer) -> bool {
    answer.text().lines().any(|line| line == "Http_Method=POST")
}

fn digest(body: &[u8]) -> &'static str {
    match body.len() {
        0 => "d41d8cd98f00b204e9800998ecf8427e  -\n",
        _ => "35efddb2811ce9ecbdfa17f18472e604  -\n",
    }
}

fn size(body: &[u8]) -> String {
    format!("{}\n", body.len())
}

#[test]
fn a_gibibyte_streams_through_cat_in_flat_memory() {
    through("cat", |mut answer| {
        let expect = pattern(64 * 1024 + 251);
        let mut piece = vec![0; 64 * 1024];
        let mut total = 0;
        loop {
            let read = answer.read(&mut piece).unwrap();
            if read == 0 {
                break;
            }
            let from = usize::try_from(total % 251).unwrap();
            assert!(piece[..read] == expect[from..from + read], "after {total} bytes");
            total += read as u64;
        }
        assert_eq!(total, GIBIBYTE);
    });
}

#[test]
fn a_gibibyte_streams_through_md5sum_in_flat_memory() {
    through("md5sum", |mut answer| {
        let mut text = String::new();
        answer.read_to_string(&mut text).unwrap();
        assert_eq!(text, "1976e2c56303699ce5179193577352f1  -\n");
    });
}

/// Sends a gibibyte while `check` reads the answer.
fn through(command: &str, check: impl FnOnce(Chunks)) {
    let watchdog = Watchdog::start(&[("fprocess", command), ("mode", "streaming"), ("exec_timeout", "0")]);
    watchdog.post(&pattern(MEGABYTE));
    let before = memory_kib(&watchdog, "VmRSS:");
    let stream = watchdog.tcp();
    let mut sending = stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        let head =
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {GIBIBYTE}\r\nConnection: close\r\n\r\n");
        sending.write_all(head.as_bytes()).unwrap();
        let piece = pattern(251 * 1024);
        let mut left = GIBIBYTE;
        while left > 0 {
            let size = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
            sending.write_all(&piece[..size]).unwrap();
            left -= size as u64;
        }
    });
    check(Chunks::of(stream));
    writer.join().unwrap();
    let peak = memory_kib(&watchdog, "VmHWM:");
    assert!(peak < before + GROWTH_KIB, "{before} KiB grew to {peak} KiB");
}

fn memory_kib(watchdog: &Watchdog, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", watchdog.pid())).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    value.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A chunked body as it comes in.
pub(crate) struct Chunks {
    stream: BufReader<std::net::TcpStream>,
    /// Bytes left of the chunk that is being read.
    left: u64,
    ended: bool,
}

impl Chunks {
    /// Reads the head.
    pub(crate) fn of(stream: std::net::TcpStream) -> Self {
        let mut chunks = Self { stream: BufReader::with_capacity(64 * 1024, stream), left: 0, ended: false };
        assert_eq!(chunks.line(), "HTTP/1.1 200 OK");
        while !chunks.line().is_empty() {}
        chunks
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        assert!(line.ends_with("\r\n"), "it breaks off: {line:?}");
        line.trim_end().to_owned()
    }
}

impl Read for Chunks {
    fn read(&mut self, piece: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 && !self.ended {
            self.left = u64::from_str_radix(&self.line(), 16).unwrap();
            self.ended = self.left == 0;
        }
        let read = self.stream.by_ref().take(self.left).read(piece)?;
        self.left -= read as u64;
        if self.left == 0 && !self.ended {
            assert_eq!(self.line(), "");
        }
        Ok(read)
    }
}
