//! Where the handler's server listens: `http://127.0.0.1:5000` or `unix:/path/to.sock`.
//!
//! Hosts are addresses or `localhost`: the handler runs beside us, and a static binary has no resolver.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use hyper::Uri;
use hyper::header::HeaderValue;
use tokio::net::{TcpStream, UnixStream};

/// A place to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upstream {
    place: Place,
    /// For requests that name no host.
    host: HeaderValue,
    /// What the URL's path puts before every request's, without a last slash.
    base: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// Tried in this order.
    Addresses(Vec<SocketAddr>),
    Socket(PathBuf),
}

/// A connection to it.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Why a URL is no upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("expected http://ADDRESS:PORT or unix:/PATH")]
    Form,
    #[error("the host must be an IP address or localhost")]
    Host,
}

impl Upstream {
    pub(crate) async fn connect(&self) -> io::Result<Stream> {
        match &self.place {
            Place::Socket(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
            Place::Addresses(addresses) => {
                let stream = TcpStream::connect(&addresses[..]).await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
        }
    }

    pub(crate) fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// The request target for a path with its query.
    pub(crate) fn target(&self, path: &str) -> String {
        let slash = if path.starts_with('/') { "" } else { "/" };
        format!("{}{slash}{path}", self.base)
    }
}

impl FromStr for Upstream {
    type Err = Invalid;

    fn from_str(url: &str) -> Result<Self, Invalid> {
        if let Some(path) = url.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let place = Place::Socket(path.into());
            let local = HeaderValue::from_static("localhost");
            return if path.starts_with('/') {
                Ok(Self { place, host: local, base: String::new() })
            } else {
                Err(Invalid::Form)
            };
        }
        let uri: Uri = url.parse().map_err(|_| Invalid::Form)?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or(Invalid::Form)?;
        let port = authority.port_u16().unwrap_or(80);
        let addresses =
            addresses(authority.host())?.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Invalid::Form)?;
        Ok(Self {
            place: Place::Addresses(addresses),
            host,
            base: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

fn addresses(host: &str) -> Result<Vec<IpAddr>, Invalid> {
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    Ok(vec![bare.parse().map_err(|_| Invalid::Host)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_sockets_are_read() {
        for (url, addresses) in [
            ("http://127.0.0.1:5000", &["127.0.0.1:5000"][..]),
            ("http://127.0.0.1:5000/", &["127.0.0.1:5000"]),
            ("http://127.0.0.1", &["127.0.0.1:80"]),
            ("http://[::1]:3000", &["[::1]:3000"]),
            ("http://localhost:3000", &["127.0.0.1:3000", "[::1]:3000"]),
        ] {
            let expect = addresses.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(url.parse::<Upstream>().unwrap().place, Place::Addresses(expect), "{url}");
        }
        for url in ["unix:/run/a.sock", "unix:///run/a.sock"] {
            assert_eq!(url.parse::<Upstream>().unwrap().place, Place::Socket("/run/a.sock".into()), "{url}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for (url, error) in [
            ("", Invalid::Form),
            ("127.0.0.1:5000", Invalid::Form),
            ("https://127.0.0.1", Invalid::Form),
            ("unix:relative", Invalid::Form),
            ("http://example.org:80", Invalid::Host),
        ] {
            assert_eq!(url.parse::<Upstream>().unwrap_err(), error, "{url}");
        }
    }

    #[test]
    fn a_path_in_the_url_goes_first() {
        for (url, path, target) in [
            ("http://127.0.0.1:1", "/a?b=c", "/a?b=c"),
            ("http://127.0.0.1:1/base/", "/a", "/base/a"),
            ("unix:/s", "ready", "/ready"),
        ] {
            assert_eq!(url.parse::<Upstream>().unwrap().target(path), target);
        }
    }
}
