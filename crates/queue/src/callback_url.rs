//! URLs of callbacks, as far as they can be judged without looking at the network: the gateway does at ingest, the
//! worker again before it connects. Which addresses may be reached only the worker says, when it has resolved them.
//!
//! Of the platform's own gateway only invocations may be called back, since it lies where callbacks may not go.

use std::fmt;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};

/// Longer ones are nobody's; servers refuse them too.
const LONGEST: usize = 8192;

/// Why an answer is not sent there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCallback {
    /// Not a URL at all.
    #[error("the callback is no absolute URL of at most {LONGEST} bytes")]
    Url,
    /// Something else than the web.
    #[error("the callback's scheme is neither http nor https")]
    Scheme,
    /// A path of the platform's own that is no invocation.
    #[error("of the platform's own gateway, only /function/ and /async-function/ can be called back")]
    OwnPath,
}

/// Where an answer is sent. It prints without what may be secret: user, password and query.
#[derive(Clone, PartialEq, Eq)]
pub struct CallbackUrl {
    uri: Uri,
    user_info: Option<String>,
}

/// The names and ports by which the platform's own gateway is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnGateway(Vec<(String, u16)>);

/// Whether a job with this callback is accepted.
pub fn check_callback(url: &str, own: &OwnGateway) -> Result<(), InvalidCallback> {
    own.check(&CallbackUrl::parse(url)?)
}

impl CallbackUrl {
    /// Reads an absolute URL. A fragment is dropped.
    pub fn parse(text: &str) -> Result<Self, InvalidCallback> {
        let invalid = || InvalidCallback::Url;
        let parsed =
            Some(text).filter(|text| text.len() <= LONGEST).and_then(|text| text.parse::<Uri>().ok());
        let mut parts = parsed.ok_or_else(invalid)?.into_parts();
        let scheme = parts.scheme.as_ref().ok_or_else(invalid)?;
        if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS {
            return Err(InvalidCallback::Scheme);
        }
        let authority = parts.authority.take().ok_or_else(invalid)?;
        let (user_info, rest) = match authority.as_str().rsplit_once('@') {
            Some((user_info, rest)) => (Some(user_info.to_owned()), rest),
            None => (None, authority.as_str()),
        };
        parts.authority = Some(rest.parse().ok().filter(is_clear).ok_or_else(invalid)?);
        parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
        Ok(Self { uri: Uri::from_parts(parts).map_err(|_| invalid())?, user_info })
    }

    /// Where a redirect leads: `location` may be relative. User and password stay behind.
    pub fn join(&self, location: &HeaderValue) -> Result<Self, InvalidCallback> {
        let location = location.to_str().map_err(|_| InvalidCallback::Url)?;
        let origin = format!("{}://{}", self.scheme(), self.authority());
        let path = self.uri.path();
        let scheme = location.split(['/', '?', '#']).next().is_some_and(|start| start.ends_with(':'));
        let absolute = if scheme {
            location.to_owned()
        } else if location.starts_with("//") {
            format!("{}:{location}", self.scheme())
        } else if location.starts_with('/') {
            format!("{origin}{location}")
        } else if location.starts_with('?') {
            format!("{origin}{path}{location}")
        } else {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{origin}{folder}/{location}")
        };
        Self::parse(&absolute).map(|url| Self { user_info: None, ..url })
    }

    /// For the request; without user and password.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// `USER:PASSWORD` as it was written, percent-encoded.
    pub fn user_info(&self) -> Option<&str> {
        self.user_info.as_deref()
    }

    /// Whether a request is as safe there as here.
    pub fn has_origin_of(&self, other: &Self) -> bool {
        self.scheme() == other.scheme() && self.host() == other.host() && self.port() == other.port()
    }

    fn scheme(&self) -> &str {
        self.uri.scheme_str().unwrap_or_default()
    }

    fn authority(&self) -> &str {
        self.uri.authority().map_or("", Authority::as_str)
    }

    /// As compared, not as resolved.
    fn host(&self) -> String {
        normal_host(self.uri.host().unwrap_or_default())
    }

    fn port(&self) -> u16 {
        port(&self.uri)
    }
}

impl fmt::Display for CallbackUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}{}", self.scheme(), self.authority(), self.uri.path())
    }
}

impl fmt::Debug for CallbackUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

impl OwnGateway {
    /// From URLs: the setting `gateway_url`, and other names of the same. Cluster names match in all their lengths.
    pub fn new<'a>(urls: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidCallback> {
        let own = |url: &str| CallbackUrl::parse(url).map(|url| (url.host(), url.port()));
        urls.into_iter().map(own).collect::<Result<_, _>>().map(Self)
    }

    /// Whether it is the gateway.
    pub fn is(&self, host: &str, port: u16) -> bool {
        let host = normal_host(host);
        self.0.iter().any(|(own, own_port)| *own == host && *own_port == port)
    }

    /// Refuses what is the gateway's own and no invocation.
    pub fn check(&self, url: &CallbackUrl) -> Result<(), InvalidCallback> {
        let fine = !self.is(&url.host(), url.port()) || is_invocation(url.uri.path());
        fine.then_some(()).ok_or(InvalidCallback::OwnPath)
    }
}

/// The port that is meant.
pub(crate) fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or_else(|| if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 })
}

/// Whether host and port can be read in one way only.
fn is_clear(authority: &Authority) -> bool {
    let host = authority.host();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let named = !host.is_empty() && host.bytes().all(plain);
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let six = literal.is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
    let port = authority.as_str().strip_prefix(host);
    (named || six) && (port == Some("") || authority.port_u16().is_some_and(|port| port != 0))
}

/// In lower case, without a dot at its end, and without what a cluster's names may or may not end in.
fn normal_host(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    let service = host.strip_suffix(".cluster.local").unwrap_or(host).strip_suffix(".svc");
    service.filter(|name| name.contains('.')).unwrap_or(host).to_owned()
}

/// Whether the gateway takes this for an invocation, however it decodes and cleans paths.
fn is_invocation(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let ambiguous = ["%2e", "%2f", "%5c", "\\", "//"].iter().any(|part| lower.contains(part));
    let dots = path.split('/').any(|segment| segment == "." || segment == "..");
    let invocation = path.starts_with("/function/") || path.starts_with("/async-function/");
    invocation && !ambiguous && !dots
}

#[cfg(test)]
mod tests;
