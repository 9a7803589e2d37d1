//! Who holds what, and changes of it; for administrators.

use super::cluster::service;
use super::{Remote, RemoteError};
use crate::ChangeLayout;
use rpc::grpc::v1::{self, layout_edit};
use rpc::wire::{Beginning, Edit, LayoutPreview, NodeMovement};
use serde::Serialize;
use types::{Epoch, LayoutVersion, NodeId, PartitionId, Seq, Version};

/// Who holds what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClusterLayout {
    /// Version of the map.
    pub layout: LayoutVersion,
    /// Replicas that a partition should have.
    pub replicas_wanted: u32,
    /// Durable replicas that a write needs.
    pub replicas_min: u32,
    /// By number.
    pub nodes: Vec<LayoutNode>,
    /// By number.
    pub partitions: Vec<LayoutPartition>,
    /// Nodes that were removed.
    pub removed: Vec<u64>,
}

/// A node's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayoutNode {
    /// Its number.
    pub id: u64,
    /// Failure domain.
    pub zone: String,
    /// Share of the data that it should hold, relative to others.
    pub capacity: u64,
    /// Everything is to move off it.
    pub draining: bool,
    /// Drained, and everything that it held is whole on others: it may be removed.
    pub released: bool,
    /// The control plane counts it as alive.
    pub alive: bool,
}

/// A partition's chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayoutPartition {
    /// Its number.
    pub id: u32,
    /// Rises whenever its members change.
    pub epoch: u64,
    /// In order, the head first: a node, and serving, departing or syncing.
    pub members: Vec<(u64, String)>,
    /// The nodes that it should be on.
    pub wanted: Vec<u64>,
    /// The nodes known to hold every acknowledged write.
    pub complete: Vec<u64>,
}

impl ClusterLayout {
    /// Partitions that are on that node now, in whatever state.
    pub fn held(&self, node: u64) -> usize {
        let holds = |partition: &&LayoutPartition| partition.members.iter().any(|(member, _)| *member == node);
        self.partitions.iter().filter(holds).count()
    }

    /// Partitions that are on all nodes that they should be on, and on no other.
    pub fn settled(&self) -> usize {
        self.partitions.iter().filter(|partition| partition.is_settled()).count()
    }

    /// Partitions that a drained node still has, or that are not yet complete on those that take its place.
    pub fn to_be_moved(&self, node: u64) -> usize {
        let held = |partition: &LayoutPartition| partition.members.iter().any(|(member, _)| *member == node);
        self.partitions.iter().filter(|partition| held(partition) || !partition.is_settled()).count()
    }
}

impl LayoutPartition {
    /// It serves, with everything, on all nodes that it should be on, and on no other.
    fn is_settled(&self) -> bool {
        let in_place = |(node, state): &(u64, String)| {
            state == "serving" && self.wanted.contains(node) && self.complete.contains(node)
        };
        self.members.len() == self.wanted.len() && self.members.iter().all(in_place)
    }
}

impl Remote {
    /// Who holds what.
    pub async fn cluster_layout(&self) -> Result<ClusterLayout, RemoteError> {
        let send = |channel, request| async move { service(channel).get_layout(request).await };
        let reply = self.look(v1::GetLayoutRequest {}, send).await?;
        let nodes = reply.nodes.into_iter().map(|node| LayoutNode {
            id: node.id,
            zone: node.zone,
            capacity: node.capacity,
            draining: node.draining,
            released: node.released,
            alive: node.alive,
        });
        let partitions = reply.partitions.into_iter().map(|partition| LayoutPartition {
            id: partition.id,
            epoch: partition.epoch,
            members: partition.members.into_iter().map(|member| (member.node, member.state)).collect(),
            wanted: partition.wanted,
            complete: partition.complete,
        });
        Ok(ClusterLayout {
            layout: LayoutVersion(reply.layout),
            replicas_wanted: reply.replicas_wanted,
            replicas_min: reply.replicas_min,
            nodes: nodes.collect(),
            partitions: partitions.collect(),
            removed: reply.removed,
        })
    }

    /// Changes who holds data, or tells what that would do.
    pub async fn change_layout(&self, change: &ChangeLayout) -> Result<LayoutPreview, RemoteError> {
        let message = v1::ChangeLayoutRequest {
            edits: change.edits.iter().map(|edit| v1::LayoutEdit { edit: Some(to_wire(*edit)) }).collect(),
            at: change.at.map(|version| version.0),
            apply: change.apply,
            accept_data_loss: change.accept_loss,
        };
        // Made a second time a change changes nothing more: it may be tried again like a reading.
        let send = |channel, request| async move { service(channel).change_layout(request).await };
        let reply = self.read(message, send).await?;
        let nodes = reply.nodes.into_iter().map(|node| {
            let v1::LayoutMovement { node, before, after, gained, lost } = node;
            (NodeId(node), NodeMovement { before, after, gained, lost })
        });
        let begins = reply.begins.into_iter().map(|one| Beginning {
            partition: PartitionId(one.partition as u16),
            node: NodeId(one.node),
            last: Version { epoch: Epoch(one.epoch), seq: Seq(one.sequence) },
            may_lose: one.may_lose,
        });
        Ok(LayoutPreview {
            begins: begins.collect(),
            layout: LayoutVersion(reply.layout),
            applied: reply.applied,
            nodes: nodes.collect(),
            copies: reply.copies,
            unsafe_because: reply.unsafe_because,
            warnings: reply.warnings,
        })
    }
}

fn to_wire(edit: Edit) -> layout_edit::Edit {
    match edit {
        Edit::Drain(node) => layout_edit::Edit::Drain(node.0),
        Edit::Keep(node) => layout_edit::Edit::Keep(node.0),
        Edit::Remove(node) => layout_edit::Edit::Remove(node.0),
        Edit::Capacity(node, capacity) => layout_edit::Edit::Capacity(v1::LayoutCapacity { node: node.0, capacity }),
        Edit::Replicas(count) => layout_edit::Edit::Replicas(count.into()),
        Edit::GiveUp(node) => layout_edit::Edit::GiveUp(node.0),
        Edit::ReplicasMin(count) => layout_edit::Edit::ReplicasMin(count.into()),
    }
}
