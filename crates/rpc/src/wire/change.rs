//! Changes of the layout by command: which machines hold data, and how much.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use types::{LayoutVersion, NodeId, PartitionId, Version};

/// Edits in one change at most.
pub const EDITS_MAX: usize = 64;

/// One thing to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Edit {
    /// Everything moves off the node.
    Drain(NodeId),
    /// It is to hold its share again.
    Keep(NodeId),
    /// It is no longer of the cluster; only once it holds nothing.
    Remove(NodeId),
    /// Its share relative to the others.
    Capacity(NodeId, u64),
    /// Replicas that a partition should have.
    Replicas(u8),
    /// Durable replicas that a strong write needs.
    ReplicasMin(u8),
    /// The machine is lost for good, and partitions that wait for it are to begin again without it.
    GiveUp(NodeId),
}

/// See [`super::method::CHANGE_LAYOUT`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeLayout {
    /// What to change, in order; at most [`EDITS_MAX`].
    pub edits: Vec<Edit>,
    /// Only if no node's part in the layout has changed since this version.
    pub at: Option<LayoutVersion>,
    /// False: only tell what it would do.
    pub apply: bool,
    /// Do it although acknowledged writes may be lost by it.
    pub accept_loss: bool,
    /// Who asks: for the record.
    pub by: String,
}

/// What a change does, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutPreview {
    /// The layout that it was worked out for; once applied, the one that contains it.
    pub layout: LayoutVersion,
    /// It was applied.
    pub applied: bool,
    /// Each node's part.
    pub nodes: BTreeMap<NodeId, NodeMovement>,
    /// Partition replicas that are copied somewhere.
    pub copies: u32,
    /// Why it must not be done; then it is not applied.
    pub unsafe_because: Vec<String>,
    /// What one should know before doing it.
    pub warnings: Vec<String>,
    /// Partitions that begin again without a machine that is given up.
    pub begins: Vec<Beginning>,
}

/// A partition that begins again although not all that were waited for have come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beginning {
    /// Which.
    pub partition: PartitionId,
    /// Whose copy it begins with.
    pub node: NodeId,
    /// Where that copy ends.
    pub last: Version,
    /// Acknowledged writes may be missing from it.
    pub may_lose: bool,
}

/// How many partitions a node is to hold before and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeMovement {
    /// Before.
    pub before: u32,
    /// After.
    pub after: u32,
    /// Of those after: new ones.
    pub gained: u32,
    /// Of those before: given away.
    pub lost: u32,
}
