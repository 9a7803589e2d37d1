//! Who holds what, and changes of it; for administrators.

use super::GrpcState;
use super::guard::Caller;
use super::problems::{invalid, status};
use client::ClusterLayout;
use rpc::grpc::v1::{self, layout_edit};
use rpc::wire::{Beginning, ChangeLayout, Edit};
use tonic::{Response, Status};
use types::{LayoutVersion, NodeId};

pub(super) fn get(state: &GrpcState) -> v1::GetLayoutReply {
    let layout = ClusterLayout::new(&state.inner.backend.layout());
    let nodes = layout.nodes.into_iter().map(|node| v1::LayoutNode {
        id: node.id,
        zone: node.zone,
        capacity: node.capacity,
        draining: node.draining,
        released: node.released,
        alive: node.alive,
    });
    let member = |(node, state)| v1::LayoutMember { node, state };
    let partitions = layout.partitions.into_iter().map(|partition| v1::LayoutPartition {
        id: partition.id,
        epoch: partition.epoch,
        members: partition.members.into_iter().map(member).collect(),
        wanted: partition.wanted,
        complete: partition.complete,
    });
    v1::GetLayoutReply {
        layout: layout.layout.0,
        replicas_wanted: layout.replicas_wanted,
        replicas_min: layout.replicas_min,
        nodes: nodes.collect(),
        partitions: partitions.collect(),
        removed: layout.removed,
    }
}

pub(super) async fn change(
    state: &GrpcState,
    caller: Caller,
    request: v1::ChangeLayoutRequest,
) -> Result<Response<v1::ChangeLayoutReply>, Status> {
    let edits: Option<Vec<Edit>> = request.edits.iter().map(edit).collect();
    let edits = edits.ok_or_else(|| invalid("an edit says nothing, or a number of copies above 255"))?;
    let by = caller.user.name;
    let (at, apply, accept_loss) = (request.at.map(LayoutVersion), request.apply, request.accept_data_loss);
    let change = ChangeLayout { edits, at, apply, accept_loss, by };
    let preview = state.inner.backend.change_layout(&change).await.map_err(status)?;
    let nodes = preview.nodes.iter().map(|(node, movement)| v1::LayoutMovement {
        node: node.0,
        before: movement.before,
        after: movement.after,
        gained: movement.gained,
        lost: movement.lost,
    });
    Ok(Response::new(v1::ChangeLayoutReply {
        layout: preview.layout.0,
        applied: preview.applied,
        nodes: nodes.collect(),
        copies: preview.copies,
        unsafe_because: preview.unsafe_because,
        warnings: preview.warnings,
        begins: preview.begins.iter().map(beginning).collect(),
    }))
}

fn beginning(one: &Beginning) -> v1::Beginning {
    v1::Beginning {
        partition: one.partition.0.into(),
        node: one.node.0,
        epoch: one.last.epoch.0,
        sequence: one.last.seq.0,
        may_lose: one.may_lose,
    }
}

fn edit(edit: &v1::LayoutEdit) -> Option<Edit> {
    Some(match edit.edit.as_ref()? {
        layout_edit::Edit::Drain(node) => Edit::Drain(NodeId(*node)),
        layout_edit::Edit::Keep(node) => Edit::Keep(NodeId(*node)),
        layout_edit::Edit::Remove(node) => Edit::Remove(NodeId(*node)),
        layout_edit::Edit::Capacity(share) => Edit::Capacity(NodeId(share.node), share.capacity),
        layout_edit::Edit::Replicas(count) => Edit::Replicas(u8::try_from(*count).ok()?),
        layout_edit::Edit::GiveUp(node) => Edit::GiveUp(NodeId(*node)),
        layout_edit::Edit::ReplicasMin(count) => Edit::ReplicasMin(u8::try_from(*count).ok()?),
    })
}
