//! The machines; for administrators.

use super::GrpcState;
use super::guard::administrator;
use super::layout;
use super::problems::{invalid, status};
use client::{ClusterStatus, NodeState, NodeStatus};
use rpc::grpc::v1::{self, cluster_server::Cluster};
use std::time::Duration;
use tonic::{Request, Response, Status};

const TOKEN_VALID: u32 = 60 * 60;
const TOKEN_VALID_MAX: u32 = 7 * 24 * 60 * 60;

#[tonic::async_trait]
impl Cluster for GrpcState {
    async fn cluster_status(
        &self,
        request: Request<v1::ClusterStatusRequest>,
    ) -> Result<Response<v1::ClusterStatusReply>, Status> {
        administrator(&request)?;
        let layout = self.inner.backend.layout();
        let reports = self.inner.backend.node_status().await;
        let status = ClusterStatus::new(&layout, reports, self.inner.node);
        let parts = status.partitions;
        let partitions = v1::PartitionsHealth {
            total: parts.total,
            full: parts.full,
            reduced: parts.reduced,
            read_only: parts.read_only,
            unavailable: parts.unavailable,
            waits_for: parts.waits_for.iter().map(|node| node.0).collect(),
            copies: parts.copies,
            whole_copies: parts.whole_copies,
            acking: parts.acking,
        };
        Ok(Response::new(v1::ClusterStatusReply {
            cluster: format!("{:032x}", status.cluster.0),
            layout: status.layout.0,
            replicas_min: status.replicas_min.into(),
            replicas_wanted: status.replicas_wanted.into(),
            partitions: Some(partitions),
            nodes: status.nodes.into_iter().map(node).collect(),
            answered_by: status.answered_by.map(|node| node.0),
        }))
    }

    async fn get_layout(&self, request: Request<v1::GetLayoutRequest>) -> Result<Response<v1::GetLayoutReply>, Status> {
        administrator(&request)?;
        Ok(Response::new(layout::get(self)))
    }

    async fn change_layout(
        &self,
        request: Request<v1::ChangeLayoutRequest>,
    ) -> Result<Response<v1::ChangeLayoutReply>, Status> {
        let caller = administrator(&request)?;
        layout::change(self, caller, request.into_inner()).await
    }

    async fn join_token(&self, request: Request<v1::JoinTokenRequest>) -> Result<Response<v1::JoinTokenReply>, Status> {
        administrator(&request)?;
        let seconds = match request.into_inner().valid_seconds {
            0 => TOKEN_VALID,
            seconds if seconds > TOKEN_VALID_MAX => return Err(invalid("a token is valid for a week at most")),
            seconds => seconds,
        };
        let expires = self.inner.backend.now().0 + u64::from(seconds) * 1000;
        let token = self.inner.backend.make_join_token(Duration::from_secs(seconds.into())).await.map_err(status)?;
        Ok(Response::new(v1::JoinTokenReply { token, expires_ms: expires }))
    }

    async fn verify_blocks(
        &self,
        request: Request<v1::VerifyBlocksRequest>,
    ) -> Result<Response<v1::VerifyBlocksReply>, Status> {
        administrator(&request)?;
        let reports = self.inner.backend.scrub(request.into_inner().start).await;
        let nodes = reports.into_iter().map(|(node, report)| match report {
            Ok(report) => v1::NodeVerification {
                node: node.0,
                unreachable: String::new(),
                running: report.running,
                passes: report.passes,
                total: report.total,
                checked: report.checked,
                bytes: report.bytes,
                bad: report.bad,
                repaired: report.repaired,
                lost: report.lost,
                problem: report.problem.unwrap_or_default(),
                no_room: report.no_room,
                lost_blocks: report.lost_blocks.iter().map(|hash| hash.0.to_vec().into()).collect(),
            },
            Err(error) => v1::NodeVerification { node: node.0, unreachable: error.to_string(), ..Default::default() },
        });
        Ok(Response::new(v1::VerifyBlocksReply { nodes: nodes.collect() }))
    }
}

fn node(node: NodeState) -> v1::ClusterNode {
    let (report, unreachable) = match node.report {
        Ok(status) => (Some(report(status)), String::new()),
        Err(why) => (None, why),
    };
    v1::ClusterNode {
        id: node.id.0,
        address: node.address,
        grpc: node.grpc,
        web: node.web,
        zone: node.zone,
        capacity: node.capacity,
        release: node.release,
        alive: node.alive,
        report,
        unreachable,
        draining: node.draining,
        released: node.released,
    }
}

fn report(status: NodeStatus) -> v1::NodeReport {
    v1::NodeReport {
        incarnation: status.incarnation.0,
        leader: status.leader,
        leader_id: status.leader_id.map(|node| node.0),
        voters: status.voters.iter().map(|node| node.0).collect(),
        lease_valid: status.lease_valid,
        layout: status.layout.0,
        serving: status.serving,
        syncing: status.syncing,
        waiting: status.waiting,
        blocks_missing: status.blocks_missing,
        blocks: status.blocks,
        bytes_used: status.bytes_used,
        bytes_free: status.bytes_free,
        stopped: status.stopped,
        blocks_unchecked: status.blocks_unchecked,
        coordination: status.coordination,
        full: status.full,
    }
}
