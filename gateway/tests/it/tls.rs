//! HTTPS, and a certificate that changes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use faas_gateway::TlsFiles;
use rcgen::CertifiedKey;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use crate::fixture::{LIMIT, Server, Upstream};

/// Writes a new certificate of `localhost` and its key.
pub(crate) fn write(folder: &Path) -> (TlsFiles, CertificateDer<'static>) {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles { certificates: folder.join("tls.crt"), key: folder.join("tls.key") };
    std::fs::write(&files.certificates, cert.pem()).unwrap();
    std::fs::write(&files.key, signing_key.serialize_pem()).unwrap();
    (files, cert.der().clone())
}

fn start(upstream: &Upstream) -> (Server, TlsFiles, CertificateDer<'static>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (files, certificate) = write(folder.path());
    let server = Server::with(|config| config.tls = Some(files.clone()));
    server.route("f", &[upstream]);
    (server, files, certificate, folder)
}

/// A client that trusts this certificate alone, and offers these protocols.
fn connect(
    server: &Server,
    trusted: &CertificateDer<'static>,
    protocols: &[&[u8]],
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let client = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    StreamOwned::new(client, TcpStream::connect(server.address).unwrap())
}

/// What the gateway says to a client of HTTP/1.1.
fn call(server: &Server, trusted: &CertificateDer<'static>) -> std::io::Result<String> {
    let mut stream = connect(server, trusted, &[b"http/1.1"]);
    stream.write_all(b"GET /function/f HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_function_answers_over_tls() {
    let upstream = Upstream::start();
    let (server, _, certificate, _folder) = start(&upstream);
    let answer = call(&server, &certificate).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "{answer}");
}

#[test]
fn the_newest_protocol_that_a_client_offers_is_spoken() {
    let upstream = Upstream::start();
    let (server, _, certificate, _folder) = start(&upstream);
    for (offered, agreed) in
        [(&[&b"http/1.1"[..], b"h2"][..], Some(&b"h2"[..])), (&[b"http/1.1"], Some(b"http/1.1")), (&[], None)]
    {
        let mut stream = connect(&server, &certificate, offered);
        stream.conn.complete_io(&mut stream.sock).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), agreed);
    }
}

#[test]
fn who_never_ends_the_handshake_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let (files, _) = write(folder.path());
    let server = Server::with(|config| {
        config.tls = Some(files.clone());
        config.limits.head_timeout = Duration::from_secs(1);
    });
    // Nothing, and the beginning of a ClientHello.
    for begun in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(begun).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "{begun:?}");
    }
}

#[test]
fn who_speaks_no_tls_gets_nothing_and_disturbs_nobody() {
    let upstream = Upstream::start();
    let (server, _, certificate, _folder) = start(&upstream);
    let mut plain = TcpStream::connect(server.address).unwrap();
    plain.write_all(b"GET /function/f HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut seen = Vec::new();
    // An alert perhaps, and the end.
    let _ = plain.read_to_end(&mut seen);
    assert!(!seen.starts_with(b"HTTP"), "{seen:?}");
    assert!(call(&server, &certificate).is_ok());
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_certificate_that_changes_is_used_and_one_that_is_broken_is_not() {
    let upstream = Upstream::start();
    let (server, files, first, folder) = start(&upstream);
    std::fs::write(&files.certificates, "no certificate").unwrap();
    assert!(call(&server, &first).is_ok());
    let (_, second) = write(folder.path());
    faas_testing::wait_for("the new certificate", || call(&server, &second).ok());
    assert!(call(&server, &first).is_err());
}

#[test]
fn files_that_do_not_fit_are_told_at_the_start() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (files, _) = write(one.path());
    let (others, _) = write(other.path());
    let missing = TlsFiles { certificates: one.path().join("absent.crt"), ..files.clone() };
    let swapped = TlsFiles { key: others.key, ..files };
    for (files, expected) in [(missing, "absent.crt"), (swapped, "cannot be used")] {
        let error = Server::refused(|config| config.tls = Some(files));
        assert!(error.contains(expected), "{error}");
    }
}
