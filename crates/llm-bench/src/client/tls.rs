use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsConnector;

use crate::error::Error;

/// Which certificates of servers are accepted: by default, those that the system trusts.
#[derive(Clone, Debug, Default)]
pub struct TlsTrust {
    authorities: Vec<CertificateDer<'static>>,
    is_insecure: bool,
}

impl TlsTrust {
    /// Also accepts certificates of the authorities in a file, in PEM.
    ///
    /// # Errors
    ///
    /// [`Error::Read`]; [`Error::Usage`] if the file has no certificate.
    pub fn with_ca_file(mut self, path: &Path) -> Result<Self, Error> {
        let pem = fs::read(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let found = read.ok().filter(|found| !found.is_empty()).ok_or_else(|| {
            let reason = "expected certificates in PEM";
            Error::usage("--ca-file", path.display().to_string(), reason)
        })?;
        self.authorities.extend(found);
        Ok(self)
    }

    /// Accepts every certificate: anyone between client and server can read the key.
    #[must_use]
    pub fn insecure(mut self) -> Self {
        self.is_insecure = true;
        self
    }

    pub(super) fn connector(&self) -> Result<TlsConnector, Error> {
        let broken = |error: rustls::Error| Error::Start(io::Error::other(error));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match self.is_insecure {
            true => Arc::new(AnyCertificate(Arc::clone(&provider))),
            false => {
                let authorities = self.authorities.iter().cloned();
                let verifier = Verifier::new_with_extra_roots(authorities, Arc::clone(&provider));
                Arc::new(verifier.map_err(broken)?)
            }
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(broken)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// Accepts every certificate, but checks that the server has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
