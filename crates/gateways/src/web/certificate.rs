//! The certificate that browsers are shown: can be another at any time, for connections made from then on.

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// A certificate or a key that is of no use.
#[derive(Debug, thiserror::Error)]
pub enum TlsFailure {
    /// There is none in the PEM.
    #[error("no {0} in PEM was found")]
    Missing(&'static str),
    /// They cannot be used together, or not at all.
    #[error("the certificate and its key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// What is shown; clones share it.
#[derive(Clone, Debug)]
pub struct Shown(Arc<Resolver>);

#[derive(Debug)]
struct Resolver(watch::Sender<Arc<CertifiedKey>>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.borrow().clone())
    }
}

impl Shown {
    /// A chain of certificates, the server's own first, and its private key, both PEM.
    pub fn new(chain: &[u8], key: &[u8]) -> Result<Shown, TlsFailure> {
        Ok(Shown(Arc::new(Resolver(watch::Sender::new(read(chain, key)?)))))
    }

    /// From now on another. After an error the last one is shown still.
    pub fn replace(&self, chain: &[u8], key: &[u8]) -> Result<(), TlsFailure> {
        self.0.0.send_replace(read(chain, key)?);
        Ok(())
    }

    /// SHA-256 of the server's own certificate, as browsers show it: pairs of hexadecimal digits with colons.
    pub fn fingerprint(&self) -> String {
        let shown = self.0.0.borrow().clone();
        let own = shown.cert.first().map(|certificate| certificate.as_ref()).unwrap_or_default();
        let digest = ::ring::digest::digest(&::ring::digest::SHA256, own);
        digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }

    /// TLS 1.2 and 1.3, for HTTP/1.1.
    pub fn acceptor(&self) -> Result<TlsAcceptor, TlsFailure> {
        self.acceptor_of(b"http/1.1")
    }

    /// The same, for HTTP/2.
    pub fn acceptor_of_h2(&self) -> Result<TlsAcceptor, TlsFailure> {
        self.acceptor_of(b"h2")
    }

    fn acceptor_of(&self, protocol: &[u8]) -> Result<TlsAcceptor, TlsFailure> {
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth();
        let mut config = config.with_cert_resolver(self.0.clone());
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Checks that the key is that of the certificate.
fn read(chain: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>, TlsFailure> {
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsFailure::Missing("certificate"))?;
    if certificates.is_empty() {
        return Err(TlsFailure::Missing("certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsFailure::Missing("private key"))?;
    Ok(Arc::new(CertifiedKey::from_der(certificates, key, &ring::default_provider())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc::tls::{Authority, Validity};
    use std::time::Duration;
    use types::ClusterId;

    #[test]
    fn a_key_of_another_certificate_is_refused_and_the_last_goes_on() {
        let authority = Authority::new(ClusterId(7)).unwrap();
        let make = || authority.issue_server(&["here".into()], Validity::from_now(Duration::from_secs(600))).unwrap();
        let (one, two) = (make(), make());
        let shown = Shown::new(one.certificate.as_bytes(), one.key.as_bytes()).unwrap();
        let first = shown.fingerprint();
        assert!(shown.replace(two.certificate.as_bytes(), one.key.as_bytes()).is_err());
        assert!(shown.replace(b"", one.key.as_bytes()).is_err());
        assert!(shown.replace(one.certificate.as_bytes(), b"nothing").is_err());
        assert_eq!(shown.fingerprint(), first);
        shown.replace(two.certificate.as_bytes(), two.key.as_bytes()).unwrap();
        assert_ne!(shown.fingerprint(), first);
        assert_eq!(first.len(), 32 * 3 - 1);
    }
}
