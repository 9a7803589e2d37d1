//! The machines; for administrators.

use super::{Remote, RemoteError};
use crate::{ClusterStatus, NodeState, NodeStatus, PartitionsHealth, ScrubReport, Verification};
use rpc::grpc::limits::MESSAGE_BYTES_MAX;
use rpc::grpc::v1::{self, cluster_client::ClusterClient};
use std::time::Duration;
use tonic::transport::Channel;
use types::{BlockHash, ClusterId, Incarnation, LayoutVersion, NodeId, WallMillis};

/// With this one more machine can join.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// For `atoll up --join`. A secret.
    pub token: String,
    /// Until when.
    pub expires: WallMillis,
}

impl std::fmt::Debug for JoinToken {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinToken").field("expires", &self.expires).finish_non_exhaustive()
    }
}

pub(super) fn service(channel: Channel) -> ClusterClient<Channel> {
    ClusterClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

impl Remote {
    /// How the cluster and each of its nodes are.
    pub async fn cluster_status(&self) -> Result<ClusterStatus, RemoteError> {
        let message = v1::ClusterStatusRequest {};
        let send = |channel, request| async move { service(channel).cluster_status(request).await };
        let reply = self.look(message, send).await?;
        let cluster = u128::from_str_radix(&reply.cluster, 16)
            .map_err(|_| RemoteError::Protocol(format!("{:?} is not a cluster's id", reply.cluster)))?;
        let health = reply.partitions.unwrap_or_default();
        Ok(ClusterStatus {
            cluster: ClusterId(cluster),
            layout: LayoutVersion(reply.layout),
            replicas_min: reply.replicas_min.min(255) as u8,
            replicas_wanted: reply.replicas_wanted.min(255) as u8,
            partitions: PartitionsHealth {
                total: health.total,
                full: health.full,
                reduced: health.reduced,
                read_only: health.read_only,
                unavailable: health.unavailable,
                waits_for: health.waits_for.into_iter().map(NodeId).collect(),
                copies: health.copies,
                whole_copies: health.whole_copies,
                acking: health.acking,
            },
            nodes: reply.nodes.into_iter().map(node).collect(),
            answered_by: reply.answered_by.map(NodeId),
        })
    }

    /// How the verification of every node's blocks stands; with `start`, begins one.
    pub async fn verify_blocks(&self, start: bool) -> Result<Vec<Verification>, RemoteError> {
        let message = v1::VerifyBlocksRequest { start };
        // Where one is under way another does not begin.
        let send = |channel, request| async move { service(channel).verify_blocks(request).await };
        let reply = self.read(message, send).await?;
        let verification = |node: v1::NodeVerification| Verification {
            node: NodeId(node.node),
            report: match node.unreachable.is_empty() {
                false => Err(node.unreachable),
                true => Ok(ScrubReport {
                    running: node.running,
                    passes: node.passes,
                    total: node.total,
                    checked: node.checked,
                    bytes: node.bytes,
                    bad: node.bad,
                    repaired: node.repaired,
                    lost: node.lost,
                    lost_blocks: node.lost_blocks.iter().filter_map(|hash| block(hash)).collect(),
                    no_room: node.no_room,
                    problem: Some(node.problem).filter(|problem| !problem.is_empty()),
                }),
            },
        };
        Ok(reply.nodes.into_iter().map(verification).collect())
    }

    /// Makes a token with which one more machine can join.
    pub async fn join_token(&self, valid: Duration) -> Result<JoinToken, RemoteError> {
        let valid_seconds = u32::try_from(valid.as_secs()).unwrap_or(u32::MAX).max(1);
        let message = v1::JoinTokenRequest { valid_seconds };
        // A second token harms nobody, and runs out as the first one does.
        let reply = self.read(message, |channel, request| async move { service(channel).join_token(request).await });
        let reply = reply.await?;
        Ok(JoinToken { token: reply.token, expires: WallMillis(reply.expires_ms) })
    }
}

fn block(hash: &[u8]) -> Option<BlockHash> {
    hash.try_into().ok().map(BlockHash)
}

fn node(node: v1::ClusterNode) -> NodeState {
    let id = NodeId(node.id);
    let report = node.report.map(|report| NodeStatus {
        node: id,
        incarnation: Incarnation(report.incarnation),
        leader: report.leader,
        leader_id: report.leader_id.map(NodeId),
        voters: report.voters.into_iter().map(NodeId).collect(),
        lease_valid: report.lease_valid,
        layout: LayoutVersion(report.layout),
        serving: report.serving,
        syncing: report.syncing,
        waiting: report.waiting,
        blocks_missing: report.blocks_missing,
        blocks: report.blocks,
        bytes_used: report.bytes_used,
        bytes_free: report.bytes_free,
        stopped: report.stopped,
        blocks_unchecked: report.blocks_unchecked,
        coordination: report.coordination,
        full: report.full,
    });
    NodeState {
        id,
        address: node.address,
        grpc: node.grpc,
        web: node.web,
        zone: node.zone,
        capacity: node.capacity,
        release: node.release,
        alive: node.alive,
        draining: node.draining,
        released: node.released,
        report: report.ok_or(node.unreachable),
    }
}
