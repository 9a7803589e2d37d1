//! What a client must be told, and how patient it is.

use rpc::{Credentials, Local};
use std::time::Duration;
use types::NodeId;

/// What a client must be told.
#[derive(Clone)]
pub struct ClientConfig {
    /// Some nodes, `host:port`; the others are learned from the layout.
    pub addresses: Vec<String>,
    /// What it shows the nodes: the cluster's authority made it.
    pub credentials: Credentials,
    /// The node to read from where it can answer: the one on this machine.
    pub local: Option<NodeId>,
    /// The node in this process, which is asked without a connection.
    pub own: Option<Local>,
    /// How patient to be.
    pub timeouts: Timeouts,
}

impl ClientConfig {
    /// A client of that cluster, with the usual patience and no replica preferred.
    pub fn new(addresses: Vec<String>, credentials: Credentials) -> ClientConfig {
        ClientConfig { addresses, credentials, local: None, own: None, timeouts: Timeouts::default() }
    }

    /// Reads go to this node where it can answer.
    #[must_use]
    pub fn local(mut self, node: NodeId) -> ClientConfig {
        self.local = Some(node);
        self
    }

    /// Beside that node, in one process.
    #[must_use]
    pub fn beside(mut self, own: Local) -> ClientConfig {
        self.own = Some(own);
        self
    }

    /// With this patience.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> ClientConfig {
        self.timeouts = timeouts;
        self
    }
}

impl std::fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientConfig")
            .field("addresses", &self.addresses)
            .field("credentials", &self.credentials)
            .field("local", &self.local)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

/// How patient a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the first map, when connecting.
    pub connect: Duration,
    /// For a whole request, with all its retries.
    pub request: Duration,
    /// For the last question, after that, what became of a write.
    pub settle: Duration,
    /// For one attempt of a read, at first; later ones wait longer.
    pub read_attempt: Duration,
    /// For one attempt of a write, at first; later ones wait longer.
    pub write_attempt: Duration,
    /// How long too few replicas are put up with: a failover may be under way.
    pub too_few_replicas: Duration,
    /// How long a write is offered again to who is too busy to take it.
    pub busy: Duration,
    /// How long a node that failed is avoided.
    pub avoid: Duration,
    /// How long the slower holders of a block are waited for, once enough have it.
    pub block_stragglers: Duration,
    /// When the next holder of a block is asked as well.
    pub block_hedge: Duration,
    /// How long a node may hold back the answer to "is there a newer map?".
    pub layout_poll: Duration,
    /// How long what an upload stored is kept from collection without a reference. The upload relies on
    /// a part of it only.
    pub pin: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(10),
            settle: Duration::from_secs(2),
            read_attempt: Duration::from_secs(1),
            write_attempt: Duration::from_secs(2),
            too_few_replicas: Duration::from_secs(3),
            busy: Duration::from_secs(10),
            avoid: Duration::from_secs(1),
            block_stragglers: Duration::from_millis(1500),
            block_hedge: Duration::from_millis(500),
            layout_poll: Duration::from_secs(5),
            pin: Duration::from_secs(24 * 60 * 60),
        }
    }
}
