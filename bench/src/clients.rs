//! Clients that keep a connection and mostly do nothing.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::net::TcpSocket;

use crate::descriptors::Raised;

/// Well below what one address may have by a gateway's default.
const EACH: u32 = 500;
/// No answer takes this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections to one server, from as many loopback addresses as it takes.
pub(crate) struct Clients {
    streams: Vec<TcpStream>,
    request: String,
    _raised: Raised,
}

impl Clients {
    pub(crate) fn connect(server: SocketAddr, path: &str, count: u32) -> anyhow::Result<Self> {
        let raised = Raised::new()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\n\r\n");
        // Only its sockets can be given an address before they connect.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let connected = |number| runtime.block_on(connect(number, server));
        let streams = (0..count).map(connected).collect::<anyhow::Result<_>>()?;
        Ok(Self { streams, request, _raised: raised })
    }

    /// Sends a request on each, one after the other; the answers end so.
    pub(crate) fn ask(&mut self, end: &str) -> anyhow::Result<()> {
        for (number, stream) in self.streams.iter_mut().enumerate() {
            stream.write_all(self.request.as_bytes())?;
            let answer = read(stream, end).with_context(|| format!("connection {number}"))?;
            ensure!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
        }
        Ok(())
    }
}

async fn connect(number: u32, server: SocketAddr) -> anyhow::Result<TcpStream> {
    let address = Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + 1 + number / EACH);
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((address, 0)))?;
    let stream = socket.connect(server).await?.into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn read(stream: &mut TcpStream, end: &str) -> anyhow::Result<Vec<u8>> {
    let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
    while !answer.ends_with(end.as_bytes()) {
        let count = stream.read(&mut buffer)?;
        ensure!(count > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..count]);
    }
    Ok(answer)
}
