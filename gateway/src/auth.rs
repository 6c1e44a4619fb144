//! Basic auth on `/system`, compared in constant time.

use std::fmt;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::Gateway;

/// User and password, kept as a hash only: comparing hashes tells nothing of a length either.
#[derive(Clone)]
pub struct Credentials([u8; 32]);

impl Credentials {
    /// The pair that will be accepted.
    pub fn new(user: &str, password: &str) -> Self {
        Self(Sha256::digest(format!("{user}:{password}")).into())
    }

    fn accept(&self, headers: &HeaderMap) -> bool {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
            .and_then(|(_, encoded)| STANDARD.decode(encoded.trim()).ok());
        given.is_some_and(|pair| Sha256::digest(pair).ct_eq(&self.0).into())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials(***)")
    }
}

/// Middleware: lets a request with the right credentials through, answers 401 to any other.
pub(crate) async fn require(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    let credentials = gateway.0.config.credentials.as_ref();
    if credentials.is_none_or(|credentials| credentials.accept(request.headers())) {
        return next.run(request).await;
    }
    let realm = [(header::WWW_AUTHENTICATE, "Basic realm=\"Restricted\"")];
    (StatusCode::UNAUTHORIZED, realm, "invalid credentials").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        Credentials::new("admin", "s3:cret").accept(&headers)
    }

    #[test]
    fn only_the_right_pair_is_accepted() {
        let encode = |pair: &str| STANDARD.encode(pair);
        assert!(accepts(&format!("Basic {}", encode("admin:s3:cret"))));
        assert!(accepts(&format!("basic {}", encode("admin:s3:cret"))));
        for bad in ["admin:wrong", "root:s3:cret", "admin", "", "admin:s3:cret "] {
            assert!(!accepts(&format!("Basic {}", encode(bad))), "{bad}");
        }
        for bad in ["Basic", "Basic !!", "Bearer abc", ""] {
            assert!(!accepts(bad), "{bad}");
        }
        assert!(!Credentials::new("admin", "").accept(&HeaderMap::new()));
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Credentials::new("a", "b")), "Credentials(***)");
    }
}
