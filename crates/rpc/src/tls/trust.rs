//! Whom the calling end believes: nodes of one authority, known by its certificate or, to a
//! joiner, by the hash that its token carries.

use super::TlsError;
use rustls::DigitallySignedStruct;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error, SignatureScheme};
use std::sync::Arc;

/// One root, and no other.
pub(super) fn roots(authority: &CertificateDer<'static>) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).map_err(|error| TlsError(error.to_string()))?;
    Ok(Arc::new(roots))
}

#[derive(Debug)]
enum Known {
    Authority(Arc<WebPkiServerVerifier>),
    Pin([u8; 32]),
}

/// Checks that a server is a node of the cluster, whatever address it was found at.
#[derive(Debug)]
pub(super) struct NodeVerifier {
    known: Known,
    name: ServerName<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl NodeVerifier {
    pub(super) fn of(authority: &CertificateDer<'static>, name: ServerName<'static>) -> Result<Self, TlsError> {
        Ok(NodeVerifier { known: Known::Authority(webpki(authority)?), name, algorithms: algorithms() })
    }

    pub(super) fn pinned(pin: [u8; 32], name: ServerName<'static>) -> Self {
        NodeVerifier { known: Known::Pin(pin), name, algorithms: algorithms() }
    }
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    super::provider().signature_verification_algorithms
}

fn webpki(authority: &CertificateDer<'static>) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    WebPkiServerVerifier::builder_with_provider(roots(authority)?, super::provider())
        .build()
        .map_err(|error| TlsError(error.to_string()))
}

impl ServerCertVerifier for NodeVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _called: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifier = match &self.known {
            Known::Authority(verifier) => verifier.clone(),
            Known::Pin(pin) => {
                // Nodes send their authority's certificate along.
                let authority = intermediates.iter().find(|certificate| super::pin(certificate) == *pin);
                let authority = authority.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
                let made = webpki(&authority.clone().into_owned());
                made.map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?
            }
        };
        verifier.verify_server_cert(end_entity, intermediates, &self.name, &[], now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken between nodes".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
