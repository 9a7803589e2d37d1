//! What a process brings to a connection, and the bounds it sets.

use crate::peer::{Identity, Peer, PeerKind};
use crate::tls::{Authority, Keyring, Subject, TlsError, Validity};
use std::time::Duration;

/// Calls under way at a time by one way to a server.
pub(crate) const CALLS_MAX: usize = 4096;

/// What makes a process a part of its cluster.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Its certificate, and whose it believes; shared by all clones.
    pub keys: Keyring,
    /// Oldest and newest protocol spoken.
    pub protocols: (u16, u16),
    /// Who we are; shared by all clones.
    pub me: Identity,
}

impl Credentials {
    /// Credentials that speak this release's protocols.
    pub fn new(keys: Keyring, me: Peer) -> Credentials {
        Credentials { keys, protocols: crate::PROTOCOLS, me: Identity::new(me) }
    }

    /// Credentials fresh from the authority, for what `me` is; a joiner's are without a certificate.
    pub fn issued(authority: &Authority, me: Peer, validity: Validity) -> Result<Credentials, TlsError> {
        let subject = match (me.kind, me.node) {
            (PeerKind::Joining, _) => {
                return Ok(Credentials::new(Keyring::joining(authority.cluster(), authority.pin()?)?, me));
            }
            (PeerKind::Node, Some(replica)) => Subject::Node(replica.node),
            _ => Subject::Gateway,
        };
        let own = authority.issue(subject, validity)?;
        Ok(Credentials::new(Keyring::new(authority.cluster(), authority.certificate(), &own)?, me))
    }

    /// The same certificate, used by a gateway in the same process.
    #[must_use]
    pub fn as_gateway(&self, address: impl Into<String>) -> Credentials {
        let me = Identity::new(Peer::gateway(address));
        Credentials { keys: self.keys.clone(), protocols: self.protocols, me }
    }
}

/// How a connection shows that it lives, and when the other end is given up.
///
/// Silence is counted in our own beats, not in time passed: a process that was
/// itself stopped for a while gets the chance to read what came meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Vitality {
    /// Something is sent at least this often.
    pub heartbeat: Duration,
    /// Beats without a byte received before the peer counts as dead.
    pub silent_beats: u32,
}

impl Default for Vitality {
    fn default() -> Self {
        Vitality { heartbeat: Duration::from_millis(500), silent_beats: 4 }
    }
}

/// The calling side.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// What we show the server.
    pub credentials: Credentials,
    /// Heartbeats.
    pub vitality: Vitality,
    /// For name look-up and TCP.
    pub connect_timeout: Duration,
    /// For the handshake after that.
    pub handshake_timeout: Duration,
    /// Calls under way on one connection; more wait for a place until their time is up.
    /// Keep it below the server's, which refuses where this waits.
    pub calls_max: usize,
    /// Bytes that wait to be written to one connection.
    pub queue_bytes_max: usize,
    /// Addresses in a pool.
    pub addresses_max: usize,
}

impl ClientConfig {
    /// The usual bounds.
    pub fn new(credentials: Credentials) -> ClientConfig {
        ClientConfig {
            credentials,
            vitality: Vitality::default(),
            connect_timeout: Duration::from_secs(1),
            handshake_timeout: Duration::from_secs(2),
            calls_max: CALLS_MAX,
            queue_bytes_max: 64 << 20,
            addresses_max: 1024,
        }
    }
}

/// The called side.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// What we show clients.
    pub credentials: Credentials,
    /// Heartbeats.
    pub vitality: Vitality,
    /// From accepting a connection to the end of the handshake.
    pub handshake_timeout: Duration,
    /// Connections in their handshake; more wait in the system's backlog.
    pub handshakes_max: usize,
    /// Connections past it; more are refused with the reason.
    pub connections_max: usize,
    /// How many of those may be joiners', who have shown no certificate.
    pub joiners_max: usize,
    /// After which a joiner's connection is ended.
    pub joiner_time: Duration,
    /// Within which it must have asked something.
    pub joiner_patience: Duration,
    /// The largest message that a joiner may send. One call of its runs at a time.
    pub joiner_bytes_max: usize,
    /// Calls that a joiner may make before its connection is ended.
    pub joiner_calls_max: usize,
    /// Calls running for one connection; more are refused as busy.
    pub calls_max: usize,
    /// Bytes of the bodies of those calls; likewise.
    pub call_bytes_max: usize,
    /// Bytes that wait to be written to one connection; replies wait for room.
    pub queue_bytes_max: usize,
}

impl ServerConfig {
    /// The usual bounds.
    pub fn new(credentials: Credentials) -> ServerConfig {
        ServerConfig {
            credentials,
            vitality: Vitality::default(),
            handshake_timeout: Duration::from_secs(5),
            handshakes_max: 256,
            connections_max: 1024,
            joiners_max: 16,
            joiner_time: Duration::from_secs(30),
            joiner_patience: Duration::from_secs(5),
            joiner_bytes_max: 64 << 10,
            joiner_calls_max: 8,
            calls_max: 8192,
            call_bytes_max: 256 << 20,
            queue_bytes_max: 64 << 20,
        }
    }
}
