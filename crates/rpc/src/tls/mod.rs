//! Mutual TLS between nodes, under the cluster's own authority.
//!
//! **Owns** the authority, certificates and who they name, and what both ends of a connection
//! check. **Invariants**: TLS 1.3 alone; a server must show a node's certificate of this
//! cluster's authority; a client without one may be nothing but a joiner; what a peer is follows
//! from its certificate. A renewed certificate is used by connections made from then on, and
//! ends none. **Proved by** `tests/strangers.rs`.

mod authority;
mod certificate;
mod trust;

pub use authority::{Authority, Certified, PendingKey, Validity};
pub use certificate::Subject;
pub(crate) use certificate::{Shown, read};

use parking_lot::RwLock;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ServerConfig};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use types::{ClusterId, NodeId};

/// Keys or certificates that are of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("certificate: {0}")]
pub struct TlsError(pub(crate) String);

impl From<rcgen::Error> for TlsError {
    fn from(error: rcgen::Error) -> TlsError {
        TlsError(error.to_string())
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> TlsError {
        TlsError(error.to_string())
    }
}

impl types::Classify for TlsError {
    fn action(&self) -> types::Action {
        types::Action::Rejected
    }
}

/// How long the connections of a node that was removed stay open: long enough for what is under way
/// through its gateways, and for its own clean end. It makes no new ones.
pub const FAREWELL: Duration = Duration::from_secs(2);

const ALPN: &[u8] = b"atoll-node/1";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The name that every node's certificate carries.
fn server_name(cluster: ClusterId) -> String {
    format!("node.{:032x}.atoll", cluster.0)
}

/// The hash by which a joiner knows an authority.
fn pin(certificate: &[u8]) -> [u8; 32] {
    *blake3::hash(certificate).as_bytes()
}

/// Who belongs to the cluster, as far as this process has heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Members.
    pub nodes: BTreeSet<NodeId>,
    /// The number that the next member will get: those from here on are newer than what we know.
    pub next: NodeId,
}

impl Members {
    /// False for a node that was a member once and was removed: numbers are never used again.
    pub fn admit(&self, node: NodeId) -> bool {
        self.nodes.contains(&node) || node >= self.next
    }
}

/// What a process shows, and whom it believes; clones share it.
#[derive(Clone)]
pub struct Keyring(Arc<Inner>);

struct Inner {
    cluster: ClusterId,
    /// None: a joiner, who knows only the pin.
    authority: Option<String>,
    using: RwLock<Using>,
    members: watch::Sender<Option<Arc<Members>>>,
    dismissed: watch::Sender<bool>,
}

#[derive(Clone)]
struct Using {
    client: Arc<ClientConfig>,
    server: Option<Arc<ServerConfig>>,
    expires: SystemTime,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("cluster", &self.0.cluster).field("expires", &self.expires()).finish()
    }
}

impl Keyring {
    /// Of a member or a gateway: the authority's certificate, and one's own.
    pub fn new(cluster: ClusterId, authority: &str, own: &Certified) -> Result<Keyring, TlsError> {
        let using = configure(cluster, authority, own)?;
        Ok(Keyring::of(cluster, Some(authority.to_string()), using))
    }

    /// Of a joiner, who knows the hash of the authority's certificate from its token.
    pub fn joining(cluster: ClusterId, pin: [u8; 32]) -> Result<Keyring, TlsError> {
        let verifier = trust::NodeVerifier::pinned(pin, name(cluster)?);
        let client = builder()?.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
        let using = Using { client: tuned(client), server: None, expires: SystemTime::now() };
        Ok(Keyring::of(cluster, None, using))
    }

    fn of(cluster: ClusterId, authority: Option<String>, using: Using) -> Keyring {
        let members = watch::Sender::new(None);
        let dismissed = watch::Sender::new(false);
        Keyring(Arc::new(Inner { cluster, authority, using: RwLock::new(using), members, dismissed }))
    }

    /// From now on shows another certificate to new connections; those that are open go on.
    pub fn renew(&self, own: &Certified) -> Result<(), TlsError> {
        let authority = self.0.authority.as_deref().ok_or(TlsError("a joiner has none to renew".into()))?;
        let using = configure(self.0.cluster, authority, own)?;
        *self.0.using.write() = using;
        Ok(())
    }

    /// Which cluster.
    pub fn cluster(&self) -> ClusterId {
        self.0.cluster
    }

    /// When one's own certificate runs out.
    pub fn expires(&self) -> SystemTime {
        self.0.using.read().expires
    }

    /// Takes up who belongs to the cluster: others are refused, and their connections end.
    pub fn set_members(&self, members: Members) {
        self.0.members.send_if_modified(|known| {
            let changed = known.as_deref() != Some(&members);
            if changed {
                *known = Some(Arc::new(members));
            }
            changed
        });
    }

    /// False for a node that was removed.
    pub fn admits(&self, node: NodeId) -> bool {
        self.0.members.borrow().as_ref().is_none_or(|members| members.admit(node))
    }

    /// Returns [`FAREWELL`] after that node was removed.
    pub(crate) async fn expelled(&self, node: Option<NodeId>) {
        let Some(node) = node else { return std::future::pending().await };
        let mut members = self.0.members.subscribe();
        let gone = members.wait_for(|members| members.as_ref().is_some_and(|members| !members.admit(node)));
        if gone.await.is_err() {
            std::future::pending().await
        }
        tokio::time::sleep(FAREWELL).await;
    }

    /// A member has said that this node was removed: it is true, for it has proved that it is one,
    /// and numbers are never used again.
    pub(crate) fn dismiss(&self) {
        self.0.dismissed.send_replace(true);
    }

    /// Returns once this node was refused because it is no member any more.
    pub async fn dismissed(&self) {
        if self.0.dismissed.subscribe().wait_for(|dismissed| *dismissed).await.is_err() {
            std::future::pending().await
        }
    }

    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        self.0.using.read().client.clone()
    }

    /// None for a joiner.
    pub(crate) fn server(&self) -> Option<Arc<ServerConfig>> {
        self.0.using.read().server.clone()
    }
}

fn name(cluster: ClusterId) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(server_name(cluster)).map_err(|error| TlsError(error.to_string()))
}

/// Under which sessions with an address are kept, to be resumed; it is not sent.
pub(crate) fn session_name(address: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(format!("at-{}.atoll", &blake3::hash(address.as_bytes()).to_hex()[..32])).ok()
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TlsError> {
    Ok(ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13])?)
}

fn tuned(mut client: ClientConfig) -> Arc<ClientConfig> {
    client.alpn_protocols = vec![ALPN.to_vec()];
    client.enable_sni = false;
    Arc::new(client)
}

/// Fresh configurations: sessions made under an older certificate are not resumed.
fn configure(cluster: ClusterId, authority: &str, own: &Certified) -> Result<Using, TlsError> {
    let authority = authority::certificate(authority)?;
    let certificate = authority::certificate(&own.certificate)?;
    let expires = read(&certificate, cluster)?.expires;
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).map_err(|error| TlsError(error.to_string()))?;
    let chain = vec![certificate, authority.clone()];

    let verifier = trust::NodeVerifier::of(&authority, name(cluster)?)?;
    let client = builder()?.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let client = client.with_client_auth_cert(chain.clone(), key.clone_key())?;

    let clients = WebPkiClientVerifier::builder_with_provider(trust::roots(&authority)?, provider())
        .allow_unauthenticated()
        .build()
        .map_err(|error| TlsError(error.to_string()))?;
    let server = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut server = server.with_client_cert_verifier(clients).with_single_cert(chain, key)?;
    server.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Using { client: tuned(client), server: Some(Arc::new(server)), expires })
}
