//! How many connections there may be.

use std::net::IpAddr;

use crate::fixture::{Client, Server};

const LIMIT: usize = 5;

/// As many as are allowed from this address, each in use.
fn fill(source: &str, server: &Server) -> Vec<Client> {
    (0..LIMIT).map(|_| served(source, server).expect("a connection within the limit")).collect()
}

/// A connection from this address that is served.
fn served(source: &str, server: &Server) -> Option<Client> {
    let source: IpAddr = source.parse().unwrap();
    let mut client = Client::from(source, server).ok()?;
    client.is_open().then_some(client)
}

/// The limit holds for more than it allows, those within it are served, and who leaves makes room.
fn check(server: &Server, mut within: Vec<Client>, source: &str) {
    assert!((0..3).all(|_| served(source, server).is_none()), "more than the limit");
    assert!(within.iter_mut().all(Client::is_open));
    within.pop();
    let _another = faas_testing::wait_for("room", || served(source, server));
    assert!(served(source, server).is_none());
    assert!(within.iter_mut().all(Client::is_open));
}

#[test]
fn all_clients_have_so_many_connections_at_most() {
    let server = Server::with(|config| config.limits.connections = LIMIT);
    let within = fill("127.0.0.1", &server);
    check(&server, within, "127.0.0.2");
}

#[test]
fn one_client_has_so_many_connections_at_most() {
    let server = Server::with(|config| config.limits.connections_per_client = LIMIT);
    let within = fill("127.0.0.1", &server);
    let _other = fill("127.0.0.2", &server);
    check(&server, within, "127.0.0.1");
}

#[test]
fn a_trusted_proxy_has_as_many_as_all_clients() {
    let server = Server::with(|config| {
        config.limits.connections_per_client = LIMIT;
        config.trusted_proxies = Some(vec!["127.0.0.3".parse().unwrap()]);
    });
    let _many = [fill("127.0.0.3", &server), fill("127.0.0.3", &server)];
    let within = fill("127.0.0.1", &server);
    check(&server, within, "127.0.0.1");
}
