//! HTTPS: a certificate and its key from files, read again when they change.
//!
//! Files that do not fit together are refused at start; later they are warned of, and what was there goes on.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::TlsFiles;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read, or holds no certificate or key.
    #[error("failed to read {what} from {}", path.display())]
    Read {
        /// The certificate chain or the key.
        what: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// The key is not the certificate's, or of an unknown kind.
    #[error("the certificate and its key cannot be used")]
    Unusable(#[from] rustls::Error),
}

/// Accepts TLS connections. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    current: Arc<Current>,
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Tls {
    /// Reads the files.
    pub(crate) fn new(files: &TlsFiles) -> Result<Self, Error> {
        let current = Arc::new(Current(ArcSwap::from_pointee(read(files)?)));
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = config.with_no_client_auth().with_cert_resolver(Arc::clone(&current) as _);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: Arc::new(config).into(), current })
    }

    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Reads the files again whenever they changed, for ever.
    pub(super) async fn follow(self, files: TlsFiles) {
        let mut seen = changed(&files);
        loop {
            tokio::time::sleep(LOOK).await;
            let now = changed(&files);
            if now == seen {
                continue;
            }
            seen = now;
            match read(&files) {
                Ok(key) => {
                    self.current.0.store(Arc::new(key));
                    tracing::info!(certificate = %files.certificates.display(), "read the certificate again");
                }
                // Perhaps one of the two is still being written.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the certificate changed and cannot be used: the last one is");
                }
            }
        }
    }
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, Error> {
    let failed = |what, path: &Path| {
        let path = path.to_owned();
        move |source| Error::Read { what, path, source }
    };
    let chain = failed("certificates", &files.certificates);
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(&files.certificates).and_then(Iterator::collect).map_err(chain)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(failed("a private key", &files.key))?;
    Ok(CertifiedKey::from_der(chain, key, &ring::default_provider())?)
}

/// When the files were last written, through links, as Kubernetes replaces them.
fn changed(files: &TlsFiles) -> [Option<SystemTime>; 2] {
    [&files.certificates, &files.key]
        .map(|path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok())
}
