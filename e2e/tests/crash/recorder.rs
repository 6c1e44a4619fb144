//! Notes what runs, outside of what is killed.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

/// How often each id came.
pub(crate) type Runs = BTreeMap<usize, usize>;

/// A server that runs as long as the test.
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    runs: Arc<Mutex<Runs>>,
}

impl Recorder {
    /// For who sends a line with an id, and waits for one that says that it was noted.
    pub(crate) fn of_lines() -> Self {
        Self::start(|stream, runs| {
            let _ = note_line(&mut BufReader::new(stream), runs);
        })
    }

    /// A function that serves HTTP, with an id as the request's body; on kept connections.
    pub(crate) fn of_requests() -> Self {
        Self::start(|stream, runs| {
            let mut stream = BufReader::new(stream);
            while note_request(&mut stream, runs).is_some() {}
        })
    }

    fn start(note: fn(&TcpStream, &Mutex<Runs>)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, runs) = (listener.local_addr().unwrap(), Arc::default());
        let noted = Arc::clone(&runs);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let runs = Arc::clone(&noted);
                std::thread::spawn(move || note(&stream, &runs));
            }
        });
        Self { address, runs }
    }

    pub(crate) fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap()
    }
}

/// `None` at the connection's end. Who was killed may have said nothing, or half of it.
fn note_line(stream: &mut BufReader<&TcpStream>, runs: &Mutex<Runs>) -> Option<()> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    note(line.strip_suffix('\n')?, runs)?;
    stream.get_mut().write_all(b"noted\n").ok()
}

fn note_request(stream: &mut BufReader<&TcpStream>, runs: &Mutex<Runs>) -> Option<()> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let line = line.strip_suffix("\r\n")?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    note(&String::from_utf8_lossy(&body), runs)?;
    stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()
}

fn note(id: &str, runs: &Mutex<Runs>) -> Option<()> {
    let id = id.trim().parse().ok()?;
    *runs.lock().unwrap().entry(id).or_default() += 1;
    Some(())
}
