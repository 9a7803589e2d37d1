//! What the wire shares with the public API.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use types::{Incarnation, LayoutVersion, NodeId, TableId};

/// What is watched: one partition key of one table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WatchKey {
    /// The table.
    pub table: TableId,
    /// The partition key.
    pub partition_key: Bytes,
}

/// A node's own account of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Which node.
    pub node: NodeId,
    /// Its present life.
    pub incarnation: Incarnation,
    /// It leads the control plane.
    pub leader: bool,
    /// Who, by its knowledge, leads.
    pub leader_id: Option<NodeId>,
    /// The voters.
    pub voters: Vec<NodeId>,
    /// Its lease is valid.
    pub lease_valid: bool,
    /// Version of its map.
    pub layout: LayoutVersion,
    /// Partitions that it serves.
    pub serving: u32,
    /// Partitions that it is being filled with.
    pub syncing: u32,
    /// Partitions that wait for a replica known to be complete.
    pub waiting: u32,
    /// Blocks that it should hold and does not yet.
    pub blocks_missing: u64,
    /// Blocks held.
    pub blocks: u64,
    /// Bytes on disk.
    pub bytes_used: u64,
    /// Bytes free.
    pub bytes_free: u64,
    /// What stopped it, if anything did.
    pub stopped: Option<String>,
}
