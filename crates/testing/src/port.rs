//! A port that stays ours while nobody listens on it.

use std::net::{Ipv4Addr, SocketAddrV4};

use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt};

/// A free port of loopback. Whoever allows the reuse of addresses, as servers do, may listen on it; nobody else gets it,
/// not even as the near end of a connection, however often it is asked for while its server is dead.
#[derive(Debug)]
pub struct Port {
    /// Its number.
    pub number: u16,
    _socket: OwnedFd,
}

impl Port {
    /// Takes one.
    pub fn reserve() -> Self {
        // Of this process alone, so that it is free when this is dropped.
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let socket = socket.expect("a socket can be made");
        sockopt::set_socket_reuseaddr(&socket, true).expect("it is a TCP socket");
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = getsockname(&socket).expect("it is bound");
        let address = SocketAddrV4::try_from(address).expect("it is of loopback");
        Self { number: address.port(), _socket: socket }
    }
}
