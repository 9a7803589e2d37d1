//! Who is at an end of a connection.

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use types::{NodeId, ReplicaId};

/// A secret that all gateways of a cluster share: what one has signed another can check.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterKey(pub [u8; 32]);

impl fmt::Debug for ClusterKey {
    /// Never the key itself: it would end up in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(…)")
    }
}

/// What a peer is to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerKind {
    /// A member that may hold data.
    Node,
    /// Holds nothing, serves people.
    Gateway,
    /// Has a token, and is not a member yet.
    Joining,
}

/// Who a process says it is, as far as its certificate bears it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// What it is.
    pub kind: PeerKind,
    /// Which node in which life, when it is one.
    pub node: Option<ReplicaId>,
    /// Where it can be reached, for people and logs; at most [`Peer::ADDRESS_BYTES_MAX`].
    pub address: String,
    /// The protocol agreed upon with this peer. Not said by it: filled in by
    /// the handshake; 0 in what a process says of itself.
    #[serde(skip)]
    pub protocol: u16,
    /// The node whose certificate it has shown, as the handshake found; a node's
    /// own gateways show the node's.
    #[serde(skip)]
    pub certified: Option<NodeId>,
}

impl Peer {
    /// Bytes in an address.
    pub const ADDRESS_BYTES_MAX: usize = 256;

    /// A node, in one of its lives.
    pub fn node(replica: ReplicaId, address: impl Into<String>) -> Peer {
        Peer { kind: PeerKind::Node, node: Some(replica), address: address.into(), protocol: 0, certified: None }
    }

    /// A gateway.
    pub fn gateway(address: impl Into<String>) -> Peer {
        Peer { kind: PeerKind::Gateway, node: None, address: address.into(), protocol: 0, certified: None }
    }

    /// A machine that asks to be let in.
    pub fn joining(address: impl Into<String>) -> Peer {
        Peer { kind: PeerKind::Joining, node: None, address: address.into(), protocol: 0, certified: None }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.node) {
            (PeerKind::Node, Some(replica)) => write!(f, "node {}.{}", replica.node, replica.incarnation)?,
            (PeerKind::Node, None) => f.write_str("node")?,
            (PeerKind::Gateway, _) => f.write_str("gateway")?,
            (PeerKind::Joining, _) => f.write_str("joining node")?,
        }
        write!(f, " at {}", self.address)
    }
}

/// What this process says of itself. It can change: a node that lost its lease
/// begins another life. Connections made before keep the name they were made with.
#[derive(Clone, Debug)]
pub struct Identity(Arc<RwLock<Peer>>);

impl Identity {
    /// Begins as `peer`.
    pub fn new(peer: Peer) -> Identity {
        Identity(Arc::new(RwLock::new(peer)))
    }

    /// Who we are now.
    pub fn get(&self) -> Peer {
        self.0.read().clone()
    }

    /// Takes another name for connections made from now on, in every clone.
    pub fn set(&self, peer: Peer) {
        *self.0.write() = peer;
    }
}
