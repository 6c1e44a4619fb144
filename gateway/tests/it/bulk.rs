//! A gigabyte in each direction, and nothing of it held.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread::JoinHandle;

use faas_provider::Address;

use crate::fixture::{Client, Server, terms};

const BYTES: usize = 1 << 30;
const PIECE: usize = 256 << 10;
/// What this process may grow by while two bodies pass: buffers of sockets are the kernel's.
const GROWTH_KIB: u64 = 32 << 10;

#[test]
fn a_gigabyte_passes_each_way_in_flat_memory() {
    // In a process of its own: what other tests take is theirs.
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "bulk::a_gigabyte_each_way"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "run by the test above"]
fn a_gigabyte_each_way() {
    // Once before, so that buffers that are kept are there.
    pass(BYTES / 64);
    let before = peak_kib();
    pass(BYTES);
    let grown = peak_kib() - before;
    assert!(grown < GROWTH_KIB, "grew by {grown} KiB");
}

/// Up with a known length, then down in chunks.
fn pass(bytes: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::start();
    let address = Address::Tcp(listener.local_addr().unwrap());
    server.routes.set("f", &[address], terms(|_| ()));
    let upstream = swallow_and_give(listener, bytes);
    let mut client = Client::new(&server);
    client.send(format!("POST /function/f HTTP/1.1\r\nHost: gateway\r\nContent-Length: {bytes}\r\n\r\n"));
    write_all(&client.stream, bytes);
    assert_eq!(client.head().status, 200);
    let mut received = 0;
    loop {
        match client.chunk().len() {
            0 => break,
            length => received += length,
        }
    }
    assert_eq!(received, bytes);
    drop(client);
    drop(server);
    upstream.join().unwrap();
}

/// Reads a request with so many bytes, then answers with as many.
fn swallow_and_give(listener: TcpListener, bytes: usize) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut piece = vec![0; PIECE];
        let mut head = Vec::new();
        let end = loop {
            let count = stream.read(&mut piece).unwrap();
            assert!(count > 0, "the end within a head");
            head.extend_from_slice(&piece[..count]);
            if let Some(at) = head.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let mut received = head.len() - end;
        while received < bytes {
            let count = stream.read(&mut piece).unwrap();
            assert!(count > 0, "the end after {received} bytes");
            received += count;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        let chunk = [format!("{PIECE:x}\r\n").as_bytes(), &piece, b"\r\n"].concat();
        (0..bytes / PIECE).for_each(|_| stream.write_all(&chunk).unwrap());
        stream.write_all(b"0\r\n\r\n").unwrap();
    })
}

fn write_all(mut stream: &TcpStream, bytes: usize) {
    let piece = vec![b'a'; PIECE];
    (0..bytes / PIECE).for_each(|_| stream.write_all(&piece).unwrap());
}

/// The most memory that this process has had.
pub(crate) fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
