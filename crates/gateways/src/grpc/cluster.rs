//! The machines; for administrators.

use super::GrpcState;
use super::guard::administrator;
use super::layout;
use super::problems::{invalid, status};
use client::NodeStatus;
use rpc::grpc::v1::{self, cluster_server::Cluster};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tonic::{Request, Response, Status};
use types::{Chain, Layout, NodeId};

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
        let mut reports: BTreeMap<_, _> = self.inner.backend.node_status().await.into_iter().collect();
        let nodes = layout.nodes.values().map(|node| {
            let (report, unreachable) = match reports.remove(&node.id) {
                Some(Ok(status)) => (Some(report(status)), String::new()),
                Some(Err(error)) => (None, error.to_string()),
                None => (None, "it was not asked".to_string()),
            };
            v1::ClusterNode {
                id: node.id.0,
                address: node.address.clone(),
                grpc: node.grpc.clone(),
                web: node.web.clone(),
                zone: node.zone.clone(),
                capacity: node.capacity,
                release: node.release.clone(),
                alive: node.alive,
                report,
                unreachable,
            }
        });
        Ok(Response::new(v1::ClusterStatusReply {
            cluster: format!("{:032x}", layout.cluster.0),
            layout: layout.version.0,
            replicas_min: layout.replicas_min.into(),
            replicas_wanted: layout.replicas_wanted.into(),
            partitions: Some(health(&layout)),
            nodes: nodes.collect(),
            answered_by: self.inner.node.map(|node| node.0),
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
            },
            Err(error) => v1::NodeVerification { node: node.0, unreachable: error.to_string(), ..Default::default() },
        });
        Ok(Response::new(v1::VerifyBlocksReply { nodes: nodes.collect() }))
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
    }
}

/// Counts partitions by what they can do now.
fn health(layout: &Layout) -> v1::PartitionsHealth {
    let mut health = v1::PartitionsHealth { total: layout.chains.len() as u32, ..Default::default() };
    for chain in &layout.chains {
        *match condition(layout, chain) {
            Condition::Full => &mut health.full,
            Condition::Reduced => &mut health.reduced,
            Condition::ReadOnly => &mut health.read_only,
            Condition::Unavailable => &mut health.unavailable,
        } += 1;
    }
    let nobody = layout.chains.iter().filter(|chain| chain.serving().count() == 0);
    let down = |node: &&NodeId| layout.nodes.get(node).is_some_and(|info| !info.alive);
    let waits_for: BTreeSet<u64> = nobody.flat_map(|chain| chain.complete.iter().filter(down)).map(|n| n.0).collect();
    health.waits_for = waits_for.into_iter().collect();
    health
}

#[derive(Debug, PartialEq, Eq)]
enum Condition {
    Full,
    Reduced,
    ReadOnly,
    Unavailable,
}

fn condition(layout: &Layout, chain: &Chain) -> Condition {
    let serving = chain.serving().count();
    if serving == 0 {
        Condition::Unavailable
    } else if chain.acking().count() < usize::from(layout.replicas_min) {
        Condition::ReadOnly
    } else if serving < usize::from(layout.replicas_wanted) {
        Condition::Reduced
    } else {
        Condition::Full
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{ChainMember, Incarnation, MemberState, ReplicaId};

    #[test]
    fn a_partition_is_what_its_chain_can_do() {
        let layout = Layout { replicas_min: 2, replicas_wanted: 3, ..Layout::default() };
        let of = |states: &[MemberState]| {
            let members = states.iter().zip(1..).map(|(state, node)| ChainMember {
                replica: ReplicaId { node: NodeId(node), incarnation: Incarnation(1) },
                state: *state,
            });
            condition(&layout, &Chain { members: members.collect(), ..Chain::default() })
        };
        use MemberState::{Departing, Serving, Syncing};
        assert_eq!(of(&[Serving, Serving, Serving]), Condition::Full);
        assert_eq!(of(&[Serving, Serving, Syncing]), Condition::Reduced);
        assert_eq!(of(&[Serving, Departing]), Condition::Reduced);
        assert_eq!(of(&[Serving, Syncing, Syncing]), Condition::ReadOnly);
        assert_eq!(of(&[Syncing]), Condition::Unavailable);
        assert_eq!(of(&[]), Condition::Unavailable);
    }
}
