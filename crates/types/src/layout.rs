//! The map that everybody routes by: nodes, tables, and a chain per partition.
//! Written by the controller alone; readers ignore any map older than theirs.

use crate::{ClusterId, Epoch, Incarnation, LayoutVersion, NodeId, PartitionId, TableId, key::KeyHash};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A node in one of its lives. Only the present life may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReplicaId {
    /// The node.
    pub node: NodeId,
    /// Its life.
    pub incarnation: Incarnation,
}

/// What a member of a chain does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// Holds every acknowledged write; acknowledges; answers strong reads.
    Serving,
    /// On its way out: acknowledges still, answers no reads, never the head.
    Departing,
    /// Being filled by the last serving member; its acknowledgement is not needed.
    Syncing,
}

/// A member of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainMember {
    /// Which node, in which life.
    pub replica: ReplicaId,
    /// What it does.
    pub state: MemberState,
}

/// A partition's chain in one epoch: head first; serving, then departing, then syncing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Rises at every change of `members`.
    pub epoch: Epoch,
    /// In order.
    pub members: Vec<ChainMember>,
    /// The nodes that hold every acknowledged write. While one of them is in the chain
    /// these are its serving and departing nodes, but for those that were just promoted and
    /// have yet to say that they caught up; when the last has gone it is the set that
    /// went, and only one of them may start the chain again.
    pub complete: BTreeSet<NodeId>,
    /// The nodes that the placement wants here, in order of preference.
    pub wanted: Vec<NodeId>,
}

impl Chain {
    /// Members whose acknowledgement a write needs, head first.
    pub fn acking(&self) -> impl Iterator<Item = &ChainMember> {
        self.members.iter().filter(|member| member.state != MemberState::Syncing)
    }

    /// The member that orders writes.
    pub fn head(&self) -> Option<ReplicaId> {
        self.members.first().filter(|member| member.state == MemberState::Serving).map(|member| member.replica)
    }

    /// Members that answer strong reads.
    pub fn serving(&self) -> impl Iterator<Item = ReplicaId> {
        self.members.iter().filter(|member| member.state == MemberState::Serving).map(|member| member.replica)
    }

    /// The node's membership, in whichever life.
    pub fn member(&self, node: NodeId) -> Option<&ChainMember> {
        self.members.iter().find(|member| member.replica.node == node)
    }
}

/// What is known of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its number.
    pub id: NodeId,
    /// Its present life.
    pub incarnation: Incarnation,
    /// False once that life has lost its lease: the node must begin another.
    pub alive: bool,
    /// Where nodes and gateways reach it: `host:port`.
    pub address: String,
    /// Where its gRPC gateway listens.
    pub grpc: String,
    /// Where its web gateway listens.
    pub web: String,
    /// Failure domain.
    pub zone: String,
    /// Share of the data that it should hold, relative to others.
    pub capacity: u64,
    /// Set by command; goes before what the node says of itself when it starts.
    #[serde(default)]
    pub capacity_set: Option<u64>,
    /// Everything is to move off it; until it has, it serves what it holds.
    #[serde(default)]
    pub draining: bool,
    /// How many times it was told to go.
    #[serde(default)]
    pub drains: u32,
    /// It has: every item and every block that it held is whole on others.
    #[serde(default)]
    pub released: bool,
    /// Release that it runs.
    pub release: String,
    /// Oldest and newest protocol between nodes that it speaks.
    pub protocols: (u16, u16),
}

/// One occasion on which a node is to go. Told to stay and to go again, it is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Drain {
    /// The node.
    pub node: NodeId,
    /// Which time.
    pub count: u32,
}

impl NodeInfo {
    /// The occasion on which it is to go, while it is needed still.
    pub fn drain(&self) -> Option<Drain> {
        self.leaving().then_some(Drain { node: self.id, count: self.drains })
    }

    /// It is to go, and is needed still.
    pub fn leaving(&self) -> bool {
        self.draining && !self.released
    }

    /// A member that has not begun a life yet.
    pub fn unborn(id: NodeId) -> NodeInfo {
        NodeInfo {
            id,
            incarnation: Incarnation(0),
            alive: false,
            address: String::new(),
            grpc: String::new(),
            web: String::new(),
            zone: String::new(),
            capacity: 0,
            capacity_set: None,
            draining: false,
            drains: 0,
            released: false,
            release: String::new(),
            protocols: (1, 1),
        }
    }
}

/// How a table is replicated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableKind {
    /// Linearizable, by chain.
    Strong,
    /// Always writable, by quorum.
    Available,
}

/// The reserved strong table of blocks: partition key is the block's hash; sort keys are
/// [`BLOCK_PIN`] ‖ upload id (an expiring pin) and [`BLOCK_REFERENCE`] ‖ owner (a durable reference).
/// Its items decide which blocks a node must hold.
pub const BLOCKS_TABLE: TableId = TableId(1);
/// First byte of a pin's sort key.
pub const BLOCK_PIN: u8 = b'p';
/// First byte of a reference's sort key.
pub const BLOCK_REFERENCE: u8 = b'r';

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSpec {
    /// Its number, never reused.
    pub id: TableId,
    /// `kv` for tables that people make; an app's name for its own, closed to others.
    pub namespace: String,
    /// Unique in its namespace.
    pub name: String,
    /// How it is replicated.
    pub kind: TableKind,
    /// Who made it.
    pub owner: String,
}

/// The whole map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Rises at every change of anything here.
    pub version: LayoutVersion,
    /// Which cluster this is.
    pub cluster: ClusterId,
    /// Durable replicas that a strong write needs.
    pub replicas_min: u8,
    /// Replicas that a partition should have.
    pub replicas_wanted: u8,
    /// By number.
    pub nodes: BTreeMap<NodeId, NodeInfo>,
    /// Nodes that were removed: they can't come back, and their numbers are not used again.
    pub removed: BTreeSet<NodeId>,
    /// By number.
    pub tables: BTreeMap<TableId, TableSpec>,
    /// By partition; as many as there are partitions.
    pub chains: Vec<Chain>,
}

impl Layout {
    /// The number of partitions, fixed for ever.
    pub fn partition_count(&self) -> u16 {
        self.chains.len() as u16
    }

    /// The partition of a partition key's hash.
    pub fn partition(&self, key: KeyHash) -> PartitionId {
        key.partition(self.partition_count().max(1))
    }

    /// A partition's chain.
    pub fn chain(&self, partition: PartitionId) -> Option<&Chain> {
        self.chains.get(partition.0 as usize)
    }

    /// Whether that node is to go, on that very occasion, and is needed still.
    pub fn drains(&self, drain: Drain) -> bool {
        self.nodes.get(&drain.node).is_some_and(|node| node.drain() == Some(drain))
    }

    /// The table of that namespace and name.
    pub fn table(&self, namespace: &str, name: &str) -> Option<&TableSpec> {
        self.tables.values().find(|table| table.namespace == namespace && table.name == name)
    }
}
