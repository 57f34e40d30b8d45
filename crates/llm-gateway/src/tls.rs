//! TLS of the server: a certificate and a private key from files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

/// The files of a server's certificate and private key, in PEM.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TlsFiles {
    /// The certificate of the server, followed by those of intermediate authorities.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl TlsFiles {
    /// A certificate and its private key.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
        }
    }
}

/// TLS 1.2 and 1.3 for [`Gateway::serve`](crate::Gateway::serve), with HTTP/1.1 and HTTP/2 (ALPN).
///
/// Clones share the certificate in force.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    files: TlsFiles,
    config: RwLock<Arc<ServerConfig>>,
}

/// Why a certificate and a private key cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("cannot read the {what} {}: {source}; give a PEM file that the gateway may read", file.display())]
    #[non_exhaustive]
    Unreadable {
        /// `certificate` or `private key`.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// The cause.
        source: pem::Error,
    },
    /// A file has no certificate or no private key.
    #[error("{} has no {what}: expected a line \"-----BEGIN {label}-----\"", file.display())]
    #[non_exhaustive]
    Missing {
        /// `certificate` or `private key`.
        what: &'static str,
        /// The label of the section in PEM.
        label: &'static str,
        /// The file.
        file: PathBuf,
    },
    /// The certificate and the key do not match, or are not supported.
    #[error("the certificate {} cannot be used with the private key {}: {source}", certificate.display(), key.display())]
    #[non_exhaustive]
    Rejected {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// The cause.
        source: rustls::Error,
    },
}

impl Tls {
    /// Reads a certificate and its private key.
    ///
    /// # Errors
    /// If a file cannot be read, or the certificate cannot be used with the key.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let config = RwLock::new(Arc::new(server_config(&files)?));
        Ok(Self(Arc::new(Inner { files, config })))
    }

    /// Reads the files again. New connections get the new certificate.
    ///
    /// # Errors
    /// Those of [`load`](Self::load). The previous certificate stays in force.
    pub fn reload(&self) -> Result<(), TlsError> {
        let next = Arc::new(server_config(&self.0.files)?);
        *self
            .0
            .config
            .write()
            .unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// The files.
    pub fn files(&self) -> &TlsFiles {
        &self.0.files
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let config = self.0.config.read();
        TlsAcceptor::from(Arc::clone(&config.unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.0.files).finish()
    }
}

/// The protocols that the server offers, the preferred one first.
const ALPN: [&[u8]; 2] = [HTTP2, b"http/1.1"];

pub(crate) const HTTP2: &[u8] = b"h2";

fn server_config(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let TlsFiles { certificate, key } = files;
    let chain = certificates(certificate)?;
    let private = private_key(key)?;
    let rejected = |source| TlsError::Rejected {
        certificate: certificate.clone(),
        key: key.clone(),
        source,
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(rejected)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(rejected)?;
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
    Ok(config)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let what = "certificate";
    let unreadable = |source| TlsError::Unreadable {
        what,
        file: file.to_owned(),
        source,
    };
    let chain = CertificateDer::pem_file_iter(file).map_err(unreadable)?;
    let chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(unreadable)?;
    if chain.is_empty() {
        return Err(TlsError::Missing {
            what,
            label: "CERTIFICATE",
            file: file.to_owned(),
        });
    }
    Ok(chain)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let what = "private key";
    PrivateKeyDer::from_pem_file(file).map_err(|source| match source {
        pem::Error::NoItemsFound => TlsError::Missing {
            what,
            label: "PRIVATE KEY",
            file: file.to_owned(),
        },
        source => TlsError::Unreadable {
            what,
            file: file.to_owned(),
            source,
        },
    })
}
