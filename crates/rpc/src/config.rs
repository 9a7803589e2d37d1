//! What a process brings to a connection, and the bounds it sets.

use crate::peer::{ClusterKey, Identity, Peer};
use std::time::Duration;
use types::ClusterId;

/// What makes a process a part of its cluster.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The shared secret.
    pub key: ClusterKey,
    /// Which cluster.
    pub cluster: ClusterId,
    /// Oldest and newest protocol spoken.
    pub protocols: (u16, u16),
    /// Who we are; shared by all clones.
    pub me: Identity,
}

impl Credentials {
    /// Credentials that speak this release's protocols.
    pub fn new(key: ClusterKey, cluster: ClusterId, me: Peer) -> Credentials {
        Credentials { key, cluster, protocols: crate::PROTOCOLS, me: Identity::new(me) }
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
            calls_max: 4096,
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
            calls_max: 8192,
            call_bytes_max: 256 << 20,
            queue_bytes_max: 64 << 20,
        }
    }
}
