//! Requests and replies between gateways and nodes, and between nodes.
//!
//! Each request is one [`method`]; bodies are postcard. A reply is
//! `Result<T, Fault>`: the fault says what happened and, by [`Classify`], what
//! may be done. The chain's own messages are opaque here (`replication`).

mod change;
mod copies;
mod status;

pub use change::{Beginning, ChangeLayout, EDITS_MAX, Edit, LayoutPreview, NodeMovement};
pub use copies::{BlockCopies, BlockCopy, COPIES_MAX, COPIES_READ_MAX};
pub use status::{LOST_NAMED_MAX, NodeStatus, Reach, ScrubReport};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use types::{
    Action, BlockHash, Change, Classify, Consistency, Drain, Incarnation, Item, ItemKey, Layout, LayoutVersion, NodeId,
    OperationId, PartitionId, QueryPage, Read, Refusal, Seq, TableId, TableKind, TableSpec, Transaction,
    TransactionResult, Verdict, Version,
};

/// Numbers of the calls. Never reused.
pub mod method {
    /// [`super::TransactRequest`] → [`super::TransactReply`]; to the head.
    pub const TRANSACT: u16 = 1;
    /// [`super::ReadRequest`] → [`super::ReadReply`]; to any serving replica.
    pub const READ: u16 = 2;
    /// [`types::OperationId`] → [`types::Verdict`]; to the head.
    pub const VERIFY: u16 = 3;
    /// [`super::WatchRequest`] → [`super::WatchReply`]; to any serving replica. Waits for a change.
    pub const WATCH: u16 = 4;
    /// [`super::ScanRequest`] → [`super::ScanReply`].
    pub const SCAN: u16 = 5;
    /// [`super::CountRequest`] → `u64`.
    pub const COUNT: u16 = 6;
    /// [`super::LayoutRequest`] → [`super::LayoutReply`]; to any node. Waits for a newer one.
    pub const LAYOUT: u16 = 10;
    /// [`super::CreateTable`] → [`types::TableSpec`]; to any node.
    pub const CREATE_TABLE: u16 = 11;
    /// [`types::TableId`] → `()`; to any node.
    pub const DELETE_TABLE: u16 = 12;
    /// [`super::PutBlock`] with the block as payload → `()`; to every holder.
    pub const PUT_BLOCK: u16 = 20;
    /// [`types::BlockHash`] → `Option<Bytes>` (reply payload); to a holder.
    pub const GET_BLOCK: u16 = 21;
    /// [`super::HaveBlocks`] → `Vec<bool>`; to a holder.
    pub const HAVE_BLOCKS: u16 = 22;
    /// [`types::BlockHash`]: a reader found this node's copy missing or bad; it checks and repairs.
    pub const REPAIR_BLOCK: u16 = 23;
    /// `Vec<BlockHash>` of one partition → `Vec<bool>`; to a serving replica: which are kept by a
    /// reference or a pin and not there, so that a stray copy elsewhere must stay.
    pub const NEED_BLOCKS: u16 = 24;
    /// `bool` → [`super::ScrubReport`]: how scrubbing stands; true begins one of everything.
    pub const SCRUB: u16 = 25;
    /// [`super::BlockCopies`] → `Vec<`[`super::BlockCopy`]`>`; to a holder.
    pub const BLOCK_COPIES: u16 = 26;
    /// `()` → [`super::NodeStatus`].
    pub const STATUS: u16 = 30;
    /// `()` → [`super::Reach`]; by a node, to any other: whether that one reaches it at the address that it gives.
    pub const REACH: u16 = 39;
    /// [`super::MakeToken`] → `String`, a join token; to any node.
    pub const MAKE_TOKEN: u16 = 31;
    /// [`super::JoinRequest`] → [`super::JoinReply`]; to any node.
    pub const JOIN: u16 = 32;
    /// [`super::RegisterRequest`] → [`super::RegisterReply`]; to the leader.
    pub const REGISTER: u16 = 33;
    /// [`super::LeaseRequest`] → [`super::LeaseReply`]; to the leader.
    pub const LEASE: u16 = 34;
    /// [`super::SyncedReport`] → `()`; to the leader.
    pub const REPORT: u16 = 35;
    /// [`super::ChangeLayout`] → [`super::LayoutPreview`]; to any node.
    pub const CHANGE_LAYOUT: u16 = 36;
    /// [`super::LeaseRequest`] → `()`; to the leader: that life serves nothing any more.
    pub const SURRENDER: u16 = 37;
    /// [`types::ReplicaId`] → `()`; to any node, by the witness of a process that has ended: that life serves
    /// nothing any more.
    pub const DIED: u16 = 38;
    /// Raft's own message: kind in the first byte.
    pub const RAFT: u16 = 40;
    /// One-way: a chain message, to a neighbour.
    pub const CHAIN: u16 = 50;
}

/// Why a node did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Fault {
    /// Not the head, not serving, or not this partition's replica: the sender's map is old, or this node's is.
    #[error("this node does not serve partition {partition} (its map is version {layout})")]
    NotServing {
        /// The partition.
        partition: PartitionId,
        /// The map that this node goes by.
        layout: LayoutVersion,
    },
    /// The node has no valid lease, or the chain is changing: soon over.
    #[error("the replica is not ready yet: {0}")]
    NotReady(String),
    /// Too few replicas for the table's promise. Nothing was written.
    #[error("only {have} of the {need} replicas that a write needs are in service; nothing was written, reads go on")]
    TooFewReplicas {
        /// Replicas in the chain.
        have: u8,
        /// Replicas that a write needs.
        need: u8,
    },
    /// Too much is waiting. Nothing was written.
    #[error("busy: try again shortly")]
    Busy,
    /// Surely not applied, by rule.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A malformed or oversized request.
    #[error("{0}")]
    Invalid(String),
    /// No table of that number.
    #[error("there is no table number {0}")]
    NoSuchTable(TableId),
    /// The disk is full. Nothing was written; deletes still work.
    #[error("no space left on node {node}; nothing was written, deletes still work")]
    NoSpace {
        /// Whose disk.
        node: NodeId,
    },
    /// The write was ordered, and whether it will last is not known.
    #[error("the outcome is not known: {0}")]
    Unknown(String),
    /// The control plane has no leader that can be reached.
    #[error("the cluster's control plane has no leader now: {0}")]
    NoLeader(String),
    /// This node's copy failed its checksum; repair has begun.
    #[error("this replica's copy is damaged and is being repaired")]
    Damaged,
    /// This node has stopped taking writes.
    #[error("node stopped: {0}")]
    Stopped(String),
    /// Not allowed: a bad or expired token, or a removed node.
    #[error("{0}")]
    Denied(String),
}

impl Classify for Fault {
    fn action(&self) -> Action {
        match self {
            Fault::NotServing { .. } => Action::RefreshLayout,
            Fault::NotReady(_) | Fault::Busy | Fault::NoLeader(_) | Fault::Damaged | Fault::Stopped(_) => Action::Retry,
            Fault::TooFewReplicas { .. }
            | Fault::Refused(_)
            | Fault::Invalid(_)
            | Fault::NoSuchTable(_)
            | Fault::NoSpace { .. }
            | Fault::Denied(_) => Action::Rejected,
            Fault::Unknown(_) => Action::Unknown,
        }
    }
}

/// See [`method::TRANSACT`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactRequest {
    /// What to do.
    pub transaction: Transaction,
    /// Answer once ordered, not once durable: `verify` tells the rest.
    pub asynchronous: bool,
}

/// See [`method::TRANSACT`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransactReply {
    /// Durable on every replica of the chain.
    Committed(TransactionResult),
    /// Ordered; the outcome is for `verify` to tell.
    Accepted,
}

/// See [`method::READ`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadRequest {
    /// The partition that the keys fall into.
    pub partition: PartitionId,
    /// What to read.
    pub read: Read,
    /// What it must promise.
    pub consistency: Consistency,
}

/// See [`method::READ`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadReply {
    /// As many as keys asked for.
    Items {
        /// In the order asked for.
        items: Vec<Option<Item>>,
        /// Snapshot.
        at: Seq,
    },
    /// A range.
    Page(QueryPage),
}

/// What is watched: one partition key of one table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WatchKey {
    /// The table.
    pub table: TableId,
    /// The partition key.
    pub partition_key: Bytes,
}

/// See [`method::WATCH`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchRequest {
    /// The partition that all keys fall into.
    pub partition: PartitionId,
    /// What is watched.
    pub keys: Vec<WatchKey>,
    /// Changes after this sequence; none: from now on.
    pub after: Option<Seq>,
    /// How long to wait when there is nothing yet; 30 s at most.
    pub wait: Duration,
}

/// See [`method::WATCH`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WatchReply {
    /// Committed changes, in order; perhaps none.
    Changes {
        /// In order.
        changes: Vec<Change>,
        /// Ask again after this.
        upto: Seq,
    },
    /// History no longer reaches back that far: read again, then watch from `now`.
    Compacted {
        /// Committed sequence now.
        now: Seq,
    },
}

/// See [`method::SCAN`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanRequest {
    /// Partition walked.
    pub partition: PartitionId,
    /// Table walked.
    pub table: TableId,
    /// The last item of the page before.
    pub after: Option<ItemKey>,
    /// Items at most.
    pub limit: u32,
}

/// See [`method::SCAN`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanReply {
    /// In the replica's fixed order.
    pub items: Vec<(ItemKey, Item)>,
    /// False when there may be more.
    pub end: bool,
}

/// See [`method::COUNT`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountRequest {
    /// Partition counted.
    pub partition: PartitionId,
    /// Table counted.
    pub table: TableId,
}

/// See [`method::LAYOUT`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutRequest {
    /// Version that the asker has.
    pub have: LayoutVersion,
    /// How long to wait for a newer one; 30 s at most.
    pub wait: Duration,
}

/// See [`method::LAYOUT`]: none when there is none newer.
pub type LayoutReply = Option<Layout>;

/// See [`method::CREATE_TABLE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateTable {
    /// `kv` or an app's.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// How to replicate it.
    pub kind: TableKind,
    /// Who makes it.
    pub owner: String,
    /// An existing table of the same kind is fine.
    pub or_existing: bool,
}

/// See [`method::PUT_BLOCK`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutBlock {
    /// BLAKE3 of the payload.
    pub hash: BlockHash,
}

/// See [`method::HAVE_BLOCKS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaveBlocks {
    /// The blocks asked about, all of one partition.
    pub hashes: Vec<BlockHash>,
    /// Answer only once the partition's tables contain this write (the pin):
    /// what is found afterwards cannot be collected under it.
    pub after: Version,
}

/// See [`method::MAKE_TOKEN`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MakeToken {
    /// How long the token may be used.
    pub valid: Duration,
}

/// What a node says of itself when it joins or starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Where it listens for nodes.
    pub address: String,
    /// Where its gRPC gateway listens.
    pub grpc: String,
    /// Where its web gateway listens.
    pub web: String,
    /// Failure domain.
    pub zone: String,
    /// Relative share of data.
    pub capacity: u64,
    /// Release that it runs.
    pub release: String,
    /// Protocol range.
    pub protocols: (u16, u16),
}

impl Presence {
    /// Of a node of this release at that address, with the smallest share and nothing else to tell.
    pub fn at(address: impl Into<String>) -> Presence {
        Presence {
            address: address.into(),
            grpc: String::new(),
            web: String::new(),
            zone: String::new(),
            capacity: 1,
            release: String::new(),
            protocols: crate::PROTOCOLS,
        }
    }
}

/// See [`method::JOIN`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The token's secret part.
    pub secret: String,
    /// Random, and kept by the joiner before it asks: a retry gets the same answer.
    pub nonce: u128,
    /// For the joiner's certificate, DER.
    pub request: Bytes,
    /// The joiner.
    pub presence: Presence,
    /// Where it thinks that the metadata is kept; none: wherever it is.
    pub coordination: Option<String>,
}

/// See [`method::JOIN`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinReply {
    /// The joiner's number from now on.
    pub node: NodeId,
    /// Partitions of the cluster.
    pub partitions: u16,
    /// Where the metadata is kept: `raft`, or an address.
    pub coordination: String,
    /// Certificate of the cluster's authority, PEM.
    pub authority: String,
    /// The joiner's own, PEM.
    pub certificate: String,
    /// What the cluster's gateways share.
    pub gateways: crate::ClusterKey,
}

/// See [`method::REGISTER`]: a node begins a life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterRequest {
    /// Who.
    pub node: NodeId,
    /// The new life: higher than any before.
    pub incarnation: Incarnation,
    /// Where it is now.
    pub presence: Presence,
    /// What it holds of each partition: last version in its log, whether its log's end was
    /// torn, whether it is incomplete.
    pub holdings: Vec<Holding>,
}

/// What a starting node holds of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// The partition.
    pub partition: PartitionId,
    /// Last entry.
    pub last: Version,
    /// The log's end was torn and cut.
    pub torn: bool,
    /// An unfinished copy: does not count.
    pub incomplete: bool,
}

/// See [`method::REGISTER`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterReply {
    /// The map that contains the registration.
    pub layout: LayoutVersion,
}

/// See [`method::LEASE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRequest {
    /// Who.
    pub node: NodeId,
    /// In which life.
    pub incarnation: Incarnation,
    /// What its own clock says the date is.
    pub date: types::WallMillis,
}

/// See [`method::LEASE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseReply {
    /// Valid for this long from the moment that the request was *sent*.
    Granted {
        /// How long.
        lease: Duration,
        /// Version of the newest map.
        layout: LayoutVersion,
        /// What date it is, as the cluster's clocks have it: to be gone by rather than one's own.
        date: types::WallMillis,
    },
    /// That life is over: begin a new one.
    Void,
}

/// See [`method::REPORT`]: what a member tells the controller of its chains.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncedReport {
    /// Who.
    pub node: NodeId,
    /// In which life.
    pub incarnation: Incarnation,
    /// Syncing members that hold everything their predecessor had, under that epoch.
    pub synced: Vec<(PartitionId, types::Epoch)>,
    /// Departing members that have adopted that epoch, and so answer no reads.
    pub departed: Vec<(PartitionId, types::Epoch)>,
    /// Serving members that hold every block that their tables refer to, compared under that epoch
    /// (but for those that no node has).
    pub whole: Vec<(PartitionId, types::Epoch)>,
    /// Drains since which the member read all of its blocks again, and misses none (but for those that no
    /// node has).
    pub verified: Vec<Drain>,
    /// What the node holds of partitions whose chains, in that epoch, have no members: nobody changes it.
    pub held: Vec<(types::Epoch, Holding)>,
}

/// See [`method::CREATE_TABLE`].
pub type CreateTableReply = TableSpec;
/// See [`method::VERIFY`].
pub type VerifyRequest = OperationId;
/// See [`method::VERIFY`].
pub type VerifyReply = Verdict;
