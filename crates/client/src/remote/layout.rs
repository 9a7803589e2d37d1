//! Who holds what, and changes of it; for administrators.

use super::cluster::service;
use super::{Remote, RemoteError};
use crate::{ChangeLayout, ClusterLayout, LayoutNode, LayoutPartition};
use rpc::grpc::v1::{self, layout_edit};
use rpc::wire::{Beginning, Edit, LayoutPreview, NodeMovement};
use types::{Epoch, LayoutVersion, NodeId, PartitionId, Seq, Version};

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
