//! Who holds what, and changes of it; for administrators.

use super::GrpcState;
use super::guard::Caller;
use super::problems::{invalid, status};
use rpc::grpc::v1::{self, layout_edit};
use rpc::grpc::{Problem, kind};
use rpc::wire::{Beginning, ChangeLayout, Edit};
use tonic::{Response, Status};
use types::{LayoutVersion, MemberState, NodeId};

pub(super) fn get(state: &GrpcState) -> v1::GetLayoutReply {
    let layout = state.inner.backend.layout();
    let nodes = layout.nodes.values().map(|node| v1::LayoutNode {
        id: node.id.0,
        zone: node.zone.clone(),
        capacity: node.capacity,
        draining: node.draining,
        released: node.released,
        alive: node.alive,
    });
    let partitions = layout.chains.iter().zip(0..).map(|(chain, id)| v1::LayoutPartition {
        id,
        epoch: chain.epoch.0,
        members: chain.members.iter().map(|m| member(m.replica.node, m.state)).collect(),
        wanted: chain.wanted.iter().map(|node| node.0).collect(),
        complete: chain.complete.iter().map(|node| node.0).collect(),
    });
    v1::GetLayoutReply {
        layout: layout.version.0,
        replicas_wanted: layout.replicas_wanted.into(),
        replicas_min: layout.replicas_min.into(),
        nodes: nodes.collect(),
        partitions: partitions.collect(),
        removed: layout.removed.iter().map(|node| node.0).collect(),
    }
}

fn member(node: NodeId, state: MemberState) -> v1::LayoutMember {
    let state = match state {
        MemberState::Serving => "serving",
        MemberState::Departing => "departing",
        MemberState::Syncing => "syncing",
    };
    v1::LayoutMember { node: node.0, state: state.into() }
}

pub(super) async fn change(
    state: &GrpcState,
    caller: Caller,
    request: v1::ChangeLayoutRequest,
) -> Result<Response<v1::ChangeLayoutReply>, Status> {
    let edits: Option<Vec<Edit>> = request.edits.iter().map(edit).collect();
    let edits = edits.ok_or_else(|| invalid("an edit says nothing, or a number of copies above 255"))?;
    // For anything else, whoever asks must be known for sure.
    if caller.stale && !edits.iter().all(|edit| matches!(edit, Edit::GiveUp(_))) {
        let text = "nothing was changed: the sessions cannot be read now: see `atoll cluster status`";
        return Err(status(Problem::retry(kind::BUSY, text)));
    }
    let by = caller.user.name;
    refuse_who_answers(state, &edits).await?;
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

/// A machine that answers is not lost, whatever its lease.
async fn refuse_who_answers(state: &GrpcState, edits: &[Edit]) -> Result<(), Status> {
    let given_up = |node: &NodeId| edits.contains(&Edit::GiveUp(*node));
    if !edits.iter().any(|edit| matches!(edit, Edit::GiveUp(_))) {
        return Ok(());
    }
    let reports = state.inner.backend.node_status().await;
    match reports.iter().find(|(node, report)| given_up(node) && report.is_ok()) {
        Some((node, _)) => Err(invalid(format!("nothing was changed: node {node} answers, so that it is not lost"))),
        None => Ok(()),
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
