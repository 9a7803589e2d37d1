//! Whom connections over TLS believe, and what a gateway shows to who does not know it yet.

use super::{GatewayAddress, RemoteError};
use hyper_util::rt::TokioIo;
use parking_lot::{Mutex, RwLock};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long a gateway may take to show its certificate.
const LOOK_WITHIN: Duration = Duration::from_secs(5);

/// Whom connections over TLS believe. A cheap handle: clones share it.
#[derive(Clone)]
pub struct Trust(Arc<RwLock<Believed>>);

struct Believed {
    config: Arc<ClientConfig>,
    roots: RootCertStore,
    /// Certain authorities, and no others.
    narrow: bool,
    learned: Option<String>,
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}

impl Trust {
    /// Those authorities that this machine's system believes.
    pub fn system() -> Result<Trust, RemoteError> {
        let mut roots = RootCertStore::empty();
        // One that cannot be read is believed by nobody.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Trust::of(roots, false)
    }

    /// The authorities in this PEM, and no others.
    pub fn authority(pem: &str) -> Result<Trust, RemoteError> {
        let bad = |why: String| RemoteError::Invalid(format!("this is no authority's certificate: {why}"));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|error| bad(error.to_string()))?;
            roots.add(certificate).map_err(|error| bad(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(bad("there is none in the PEM".into()));
        }
        Trust::of(roots, true)
    }

    fn of(roots: RootCertStore, narrow: bool) -> Result<Trust, RemoteError> {
        let config = config(roots.clone())?;
        Ok(Trust(Arc::new(RwLock::new(Believed { config, roots, narrow, learned: None }))))
    }

    /// A gateway that was trusted without it, on this machine say, told of its cluster's authority: from now on that is
    /// believed as well, of the others. Where certain authorities are believed alone, it stays so.
    pub fn learn(&self, pem: &str) {
        let known = |believed: &Believed| believed.narrow || believed.learned.as_deref() == Some(pem);
        if known(&self.0.read()) {
            return;
        }
        let Ok(learned) = Trust::authority(pem) else { return };
        let mut believed = self.0.write();
        let mut roots = believed.roots.clone();
        roots.roots.extend(learned.0.read().roots.roots.iter().cloned());
        if let Ok(config) = config(roots) {
            (believed.config, believed.learned) = (config, Some(pem.to_string()));
        }
    }

    pub(super) fn learned(&self) -> Option<String> {
        self.0.read().learned.clone()
    }

    /// A connection to the gateway, if its certificate is for that host and by somebody believed.
    pub(super) async fn connect(&self, address: &GatewayAddress) -> std::io::Result<TokioIo<TlsStream<TcpStream>>> {
        let config = self.0.read().config.clone();
        shake_hands(config, address).await.map(TokioIo::new)
    }
}

fn config(roots: RootCertStore) -> Result<Arc<ClientConfig>, RemoteError> {
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let config = config.map_err(|error| RemoteError::Internal(error.to_string()))?;
    Ok(tuned(config.with_root_certificates(roots).with_no_client_auth()))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn tuned(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

async fn shake_hands(config: Arc<ClientConfig>, address: &GatewayAddress) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(address.host().to_string()).map_err(std::io::Error::other)?;
    let stream = TcpStream::connect(address.authority()).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(config).connect(name, stream).await
}

/// The authority that a gateway says made its certificate: to be believed by who compares the fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its certificate, PEM.
    pub pem: String,
    /// SHA-256 of that: pairs of hexadecimal digits with colons.
    pub fingerprint: String,
}

impl Shown {
    /// From PEM: of its last certificate, which nobody else in it has made.
    pub fn of(pem: &str) -> Option<Shown> {
        let last = CertificateDer::pem_slice_iter(pem.as_bytes()).last()?.ok()?;
        Some(Shown::new(&last))
    }

    fn new(authority: &CertificateDer<'_>) -> Shown {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(authority);
        // Base64 is ASCII: any cut is between characters.
        let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
        let digest = ::ring::digest::digest(&::ring::digest::SHA256, authority);
        let pairs: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        Shown { pem, fingerprint: pairs.join(":") }
    }
}

/// What the gateway shows, where the authority is among it and has made the rest for that host. Nothing is sent there.
pub async fn shown_by(address: &GatewayAddress) -> Option<Shown> {
    let seen = Arc::new(Seen { roots: Mutex::new(None), provider: provider() });
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().ok()?;
    let config = config.dangerous().with_custom_certificate_verifier(seen.clone()).with_no_client_auth();
    let _ = tokio::time::timeout(LOOK_WITHIN, shake_hands(tuned(config), address)).await;
    seen.roots.lock().take()
}

/// Looks at what is shown, and refuses it in any case.
#[derive(Debug)]
struct Seen {
    roots: Mutex<Option<Shown>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(last) = intermediates.last() {
            let mut roots = RootCertStore::empty();
            roots.add(last.clone().into_owned())?;
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone()).build();
            let verifier = verifier.map_err(|error| rustls::Error::General(error.to_string()))?;
            verifier.verify_server_cert(end_entity, intermediates, name, ocsp, now)?;
            *self.roots.lock() = Some(Shown::new(last));
        }
        Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
