//! How a cluster is, and who holds what: what a map, and what its nodes say of themselves, come to. Pure.
//!
//! Gateways tell it to programs outside, whose client takes it in the same form; the command line shows it.

use crate::{ClientError, NodeStatus, ScrubReport};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use types::{Chain, ClusterId, Layout, LayoutVersion, MemberState, NodeId, ReplicaId};

/// How the cluster is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterStatus {
    /// Which cluster.
    pub cluster: ClusterId,
    /// The map that this goes by.
    pub layout: LayoutVersion,
    /// Durable replicas that a write needs.
    pub replicas_min: u8,
    /// Replicas that a partition should have.
    pub replicas_wanted: u8,
    /// How the partitions are.
    pub partitions: PartitionsHealth,
    /// By number.
    pub nodes: Vec<NodeState>,
    /// The node whose gateway answered, when it knows.
    pub answered_by: Option<NodeId>,
}

/// How many partitions are in which condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionsHealth {
    /// All of them.
    pub total: u32,
    /// With as many serving replicas as they should have.
    pub full: u32,
    /// With fewer, and enough to write.
    pub reduced: u32,
    /// With too few to write; reads go on.
    pub read_only: u32,
    /// Without a serving replica.
    pub unavailable: u32,
    /// Nodes that are down, and known to hold what was acknowledged last in one of those.
    pub waits_for: Vec<NodeId>,
    /// Replicas that serve and have everything: of the partition that has the fewest.
    pub copies: u32,
    /// The same, of nodes that say that they miss no block.
    pub whole_copies: u32,
    /// Replicas that acknowledge writes: of the partition that has the fewest.
    pub acking: u32,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeState {
    /// Its number.
    pub id: NodeId,
    /// Where nodes reach it.
    pub address: String,
    /// Where its gRPC gateway listens.
    pub grpc: String,
    /// Where its web gateway listens.
    pub web: String,
    /// Failure domain.
    pub zone: String,
    /// Share of the data that it should hold, relative to others.
    pub capacity: u64,
    /// Release that it runs.
    pub release: String,
    /// The control plane counts it as alive.
    pub alive: bool,
    /// Everything is to move off it.
    pub draining: bool,
    /// It has: it may be removed.
    pub released: bool,
    /// What it says of itself, or why it does not.
    pub report: Result<NodeStatus, String>,
}

/// How the verification of a node's blocks stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// The node.
    pub node: NodeId,
    /// What it says, or why it does not.
    pub report: Result<ScrubReport, String>,
}

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

impl ClusterStatus {
    /// By that map, and what the nodes say.
    pub fn new(
        layout: &Layout,
        reports: Vec<(NodeId, Result<NodeStatus, ClientError>)>,
        answered_by: Option<NodeId>,
    ) -> ClusterStatus {
        let mut reports: BTreeMap<_, _> = reports.into_iter().collect();
        let misses_none = |report: &NodeStatus| report.blocks_missing + report.blocks_unchecked == 0;
        let whole: BTreeSet<NodeId> = reports
            .iter()
            .filter(|(_, report)| report.as_ref().is_ok_and(misses_none))
            .map(|(node, _)| *node)
            .collect();
        let nodes = layout.nodes.values().map(|node| NodeState {
            id: node.id,
            address: node.address.clone(),
            grpc: node.grpc.clone(),
            web: node.web.clone(),
            zone: node.zone.clone(),
            capacity: node.capacity,
            release: node.release.clone(),
            alive: node.alive,
            draining: node.draining,
            released: node.released,
            report: match reports.remove(&node.id) {
                Some(report) => report.map_err(|error| error.to_string()),
                None => Err("it was not asked".into()),
            },
        });
        ClusterStatus {
            cluster: layout.cluster,
            layout: layout.version,
            replicas_min: layout.replicas_min,
            replicas_wanted: layout.replicas_wanted,
            partitions: PartitionsHealth::of(layout, &whole),
            nodes: nodes.collect(),
            answered_by,
        }
    }
}

impl PartitionsHealth {
    /// Counts partitions by what they can do now, and what they could lose. These nodes say that they miss no block.
    fn of(layout: &Layout, whole: &BTreeSet<NodeId>) -> PartitionsHealth {
        let mut health = PartitionsHealth { total: layout.chains.len() as u32, ..PartitionsHealth::default() };
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
        let waits_for: BTreeSet<NodeId> =
            nobody.flat_map(|chain| chain.complete.iter().filter(down)).copied().collect();
        health.waits_for = waits_for.into_iter().collect();
        let fewest = |count: &dyn Fn(&Chain) -> usize| layout.chains.iter().map(count).min().unwrap_or(0) as u32;
        let complete = |chain: &Chain, node: NodeId| chain.complete.contains(&node);
        health.copies = fewest(&|chain| chain.serving().filter(|replica| complete(chain, replica.node)).count());
        health.whole_copies = fewest(&|chain| {
            let good = |replica: &ReplicaId| complete(chain, replica.node) && whole.contains(&replica.node);
            chain.serving().filter(good).count()
        });
        health.acking = fewest(&|chain| chain.acking().count());
        health
    }
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

impl ClusterLayout {
    /// As that map has it.
    pub fn new(layout: &Layout) -> ClusterLayout {
        let nodes = layout.nodes.values().map(|node| LayoutNode {
            id: node.id.0,
            zone: node.zone.clone(),
            capacity: node.capacity,
            draining: node.draining,
            released: node.released,
            alive: node.alive,
        });
        let state = |state| match state {
            MemberState::Serving => "serving",
            MemberState::Departing => "departing",
            MemberState::Syncing => "syncing",
        };
        let partitions = layout.chains.iter().zip(0..).map(|(chain, id)| LayoutPartition {
            id,
            epoch: chain.epoch.0,
            members: chain.members.iter().map(|m| (m.replica.node.0, state(m.state).to_string())).collect(),
            wanted: chain.wanted.iter().map(|node| node.0).collect(),
            complete: chain.complete.iter().map(|node| node.0).collect(),
        });
        ClusterLayout {
            layout: layout.version,
            replicas_wanted: layout.replicas_wanted.into(),
            replicas_min: layout.replicas_min.into(),
            nodes: nodes.collect(),
            partitions: partitions.collect(),
            removed: layout.removed.iter().map(|node| node.0).collect(),
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use types::{ChainMember, Incarnation};

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

    #[test]
    fn what_could_be_lost_is_what_the_weakest_partition_could_lose() {
        let member = |node| ChainMember {
            replica: ReplicaId { node: NodeId(node), incarnation: Incarnation(1) },
            state: MemberState::Serving,
        };
        let chain = |members: &[u64], complete: &[u64]| Chain {
            members: members.iter().map(|node| member(*node)).collect(),
            complete: complete.iter().map(|node| NodeId(*node)).collect(),
            ..Chain::default()
        };
        let margins = |chains: Vec<Chain>, whole: &[u64]| {
            let layout = Layout { chains, replicas_min: 1, ..Layout::default() };
            let health = PartitionsHealth::of(&layout, &whole.iter().map(|node| NodeId(*node)).collect());
            (health.copies, health.whole_copies, health.acking)
        };
        let full = chain(&[1, 2, 3], &[1, 2, 3]);
        assert_eq!(margins(vec![full.clone()], &[1, 2, 3]), (3, 3, 3));
        assert_eq!(margins(vec![full.clone(), chain(&[2], &[2])], &[1, 2, 3]), (1, 1, 1), "one has a single copy");
        assert_eq!(margins(vec![full.clone(), chain(&[1, 2, 3], &[1])], &[1, 2, 3]), (1, 1, 3), "just promoted");
        assert_eq!(margins(vec![full], &[2]), (3, 1, 3), "blocks are missing on two");
        assert_eq!(margins(vec![], &[1]), (0, 0, 0));
    }
}
