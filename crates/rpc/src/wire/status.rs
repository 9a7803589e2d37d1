//! What nodes say of themselves and of each other.

use serde::{Deserialize, Serialize};
use types::{BlockHash, Incarnation, LayoutVersion, NodeId};

/// Lost blocks that a report names.
pub const LOST_NAMED_MAX: usize = 1000;

/// See [`super::method::SCRUB`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubReport {
    /// One is under way; the numbers are those so far.
    pub running: bool,
    /// How many were begun on request and ended, since the node started.
    pub passes: u64,
    /// Blocks on the disk when it began.
    pub total: u64,
    /// Blocks read and compared with their names.
    pub checked: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Blocks that failed.
    pub bad: u64,
    /// Blocks fetched from other nodes, bad and missing ones.
    pub repaired: u64,
    /// Blocks that a file needs and that no node which answers has intact.
    pub lost: u64,
    /// Some of them, by name, so that one which several nodes lack can be told from several: [`LOST_NAMED_MAX`] at most.
    pub lost_blocks: Vec<BlockHash>,
    /// Blocks that others have intact and for which there is no room on this node's disk.
    pub no_room: u64,
    /// What kept it from looking at everything.
    pub problem: Option<String>,
}

/// See [`super::method::STATUS`].
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
    /// It is one of the voters.
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
    /// Blocks that it should hold and does not, as far as is known.
    pub blocks_missing: u64,
    /// Partitions whose references it has yet to compare with its disk.
    pub blocks_unchecked: u64,
    /// Blocks held.
    pub blocks: u64,
    /// Bytes on disk.
    pub bytes_used: u64,
    /// Bytes free.
    pub bytes_free: u64,
    /// Its disk has no room: it takes nothing that grows.
    pub full: bool,
    /// What stopped it, if anything did.
    pub stopped: Option<String>,
    /// What keeps the metadata: `raft`, or where in which ZooKeeper.
    pub coordination: String,
}

/// See [`super::method::REACH`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reach {
    /// The asker was called, and answered.
    Reached,
    /// It was not, and why.
    Unreached(String),
}
