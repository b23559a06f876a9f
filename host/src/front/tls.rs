//! TLS on the gate's own side: a certificate and its key, from PEM files, read again when they change.
//!
//! Knows rustls and the two files. Knows nothing of HTTP.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::file::{Unreadable, Watched};
use crate::config::TlsConfig;

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{0}; see `cert` and `key` in [http.tls]")]
    Unreadable(#[from] Unreadable),
    /// A file is not PEM.
    #[error("{}: is not PEM: {detail}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The certificate's file holds none.
    #[error("{}: holds no certificate (`-----BEGIN CERTIFICATE-----`)", .0.display())]
    NoCertificate(PathBuf),
    /// The key's file holds none.
    #[error("{}: holds no private key (`-----BEGIN PRIVATE KEY-----`, not encrypted)", .0.display())]
    NoKey(PathBuf),
    /// They do not belong together, or rustls cannot use them.
    #[error("{} and {} cannot be used together: {source}", cert.display(), key.display())]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
}

/// The server's side of TLS 1.2 and 1.3.
#[derive(Debug)]
pub struct Tls {
    files: Watched<2>,
    paths: TlsConfig,
    config: ArcSwap<ServerConfig>,
}

/// Makes *ring* the process's provider of cryptography, for whoever makes a TLS client without naming one. May be
/// called any number of times.
pub fn install_provider() {
    if CryptoProvider::get_default().is_none() {
        // Another thread may have been faster: then it is installed all the same.
        let _ = default_provider().install_default();
    }
}

impl Tls {
    /// Reads certificate and key.
    pub fn open(paths: &TlsConfig) -> Result<Self, TlsError> {
        let (files, [cert, key]) = Watched::open([&paths.cert, &paths.key])?;
        let config = server_config(paths, &cert, &key)?;
        Ok(Self {
            files,
            paths: paths.clone(),
            config: ArcSwap::from_pointee(config),
        })
    }

    /// Shakes hands with a client, by the certificate as it is now. The caller bounds the time.
    pub async fn accept<S>(&self, stream: S) -> std::io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        TlsAcceptor::from(self.current(Instant::now()))
            .accept(stream)
            .await
    }

    /// The files as they are now, or as they last could be used: a half-written pair must not shut anybody out.
    fn current(&self, now: Instant) -> Arc<ServerConfig> {
        if let Some([cert, key]) = self.files.changed(now) {
            match server_config(&self.paths, &cert, &key) {
                Ok(config) => self.config.store(Arc::new(config)),
                Err(error) => {
                    tracing::warn!("{error}; the certificate read before stays in force");
                }
            }
        }
        self.config.load_full()
    }
}

fn server_config(paths: &TlsConfig, cert: &[u8], key: &[u8]) -> Result<ServerConfig, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(cert)
        .collect::<Result<_, _>>()
        .map_err(|e| not_pem(&paths.cert, &e))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(paths.cert.clone()));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| match e {
        pem::Error::NoItemsFound => TlsError::NoKey(paths.key.clone()),
        other => not_pem(&paths.key, &other),
    })?;
    let pair = |source| TlsError::Pair {
        cert: paths.cert.clone(),
        key: paths.key.clone(),
        source,
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn not_pem(path: &Path, error: &pem::Error) -> TlsError {
    TlsError::Pem {
        path: path.to_owned(),
        detail: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::TlsConnector;

    use super::*;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/fixtures/tls")
            .join(name)
    }

    fn pair(cert: &str, key: &str) -> TlsConfig {
        TlsConfig {
            cert: fixture(cert),
            key: fixture(key),
        }
    }

    /// Shakes hands in memory; the certificate that a client is shown.
    async fn shown(config: Arc<ServerConfig>) -> Vec<u8> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_file(fixture("root.pem")).unwrap();
        roots.add(root).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let connector = TlsConnector::from(Arc::new(client));
        let name = ServerName::try_from("localhost").unwrap();
        let (client, server) = tokio::join!(
            connector.connect(name, theirs),
            TlsAcceptor::from(config).accept(ours)
        );
        server.unwrap();
        let client = client.unwrap();
        client.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    #[tokio::test]
    async fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let paths = TlsConfig {
            cert: dir.path().join("cert.pem"),
            key: dir.path().join("key.pem"),
        };
        let copy = |name: &str, to: &Path| {
            std::fs::copy(fixture(name), to).unwrap();
        };
        copy("one.cert.pem", &paths.cert);
        copy("one.key.pem", &paths.key);
        let tls = Tls::open(&paths).unwrap();
        let start = Instant::now();
        let one = shown(tls.current(start)).await;
        let at = |seconds| start + Duration::from_secs(seconds);

        copy("two.cert.pem", &paths.cert);
        assert_eq!(shown(tls.current(at(2))).await, one, "half of a pair");
        copy("two.key.pem", &paths.key);
        let two = shown(tls.current(at(4))).await;
        assert_ne!(two, one);
        std::fs::write(&paths.cert, "no certificate").unwrap();
        assert_eq!(shown(tls.current(at(6))).await, two, "the last good one");
        std::fs::remove_file(&paths.cert).unwrap();
        assert_eq!(shown(tls.current(at(8))).await, two, "the last good one");
    }

    #[test]
    fn what_is_wrong_names_the_file() {
        let error = |cert: &str, key: &str| Tls::open(&pair(cert, key)).unwrap_err().to_string();
        let text = error("one.cert.pem", "two.key.pem");
        assert!(
            text.contains("two.key.pem cannot be used together: "),
            "{text}"
        );
        let text = error("one.key.pem", "one.key.pem");
        assert!(text.contains("one.key.pem: holds no certificate"), "{text}");
        let text = error("one.cert.pem", "one.cert.pem");
        assert!(
            text.contains("one.cert.pem: holds no private key"),
            "{text}"
        );
        let text = error("missing.pem", "one.key.pem");
        assert!(text.contains("missing.pem: cannot be read: "), "{text}");
        let dir = tempfile::tempdir().unwrap();
        let cut = dir.path().join("cut.pem");
        std::fs::write(&cut, "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
        let paths = TlsConfig {
            cert: cut,
            key: fixture("one.key.pem"),
        };
        let text = Tls::open(&paths).unwrap_err().to_string();
        assert!(text.contains("cut.pem: is not PEM: "), "{text}");
    }

    #[test]
    fn the_provider_may_be_installed_again() {
        install_provider();
        install_provider();
        assert!(CryptoProvider::get_default().is_some());
    }
}
