//! What the controller decides, as a pure function: from the map and what is known of the nodes
//! to the chains of the next epochs.

use super::leases::{LeaseBook, Liveness};
use rpc::wire::Holding;
use std::collections::{BTreeMap, BTreeSet};
use types::{Chain, ChainMember, Epoch, Layout, MemberState, Monotonic, NodeId, PartitionId, ReplicaId};

/// What members have reported, under this leadership.
#[derive(Clone, Debug, Default)]
pub struct Reports {
    /// Syncing members that have everything.
    pub synced: BTreeSet<(PartitionId, Epoch, ReplicaId)>,
    /// Departing members that have adopted their epoch.
    pub departed: BTreeSet<(PartitionId, Epoch, ReplicaId)>,
}

/// What each node held when its present life began.
pub type HoldingsByNode = BTreeMap<NodeId, BTreeMap<PartitionId, Holding>>;

/// Everything that a decision rests on.
#[derive(Clone, Copy)]
pub struct Knowledge<'a> {
    /// The map.
    pub layout: &'a Layout,
    /// Leases.
    pub leases: &'a LeaseBook,
    /// Reports.
    pub reports: &'a Reports,
    /// Holdings.
    pub holdings: &'a HoldingsByNode,
    /// This moment.
    pub now: Monotonic,
}

/// What is to be written, all at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Lives that are over.
    pub voided: Vec<ReplicaId>,
    /// Chains that change, with their new epochs where members change.
    pub chains: Vec<(PartitionId, Chain)>,
}

/// Decides. An empty plan: all is well, or too little is known yet.
pub fn plan(knowledge: Knowledge<'_>) -> Plan {
    let voided = knowledge
        .layout
        .nodes
        .values()
        .filter(|node| node.alive)
        .map(|node| ReplicaId { node: node.id, incarnation: node.incarnation })
        .filter(|replica| knowledge.leases.liveness(*replica, knowledge.now) == Liveness::Void)
        .collect();
    let chains = knowledge
        .layout
        .chains
        .iter()
        .enumerate()
        .filter_map(|(index, chain)| {
            let partition = PartitionId(index as u16);
            next(&knowledge, partition, chain).map(|next| (partition, next))
        })
        .collect();
    Plan { voided, chains }
}

/// The placement for these nodes, as wanted lists by partition.
pub fn wanted(layout: &Layout) -> Vec<Vec<NodeId>> {
    let candidates: Vec<_> = layout
        .nodes
        .values()
        .map(|node| placement::Candidate { node: node.id, zone: node.zone.clone(), capacity: node.capacity })
        .collect();
    let previous: Vec<_> = layout.chains.iter().map(|chain| chain.wanted.clone()).collect();
    placement::place(&candidates, layout.replicas_wanted as usize, &previous)
}

/// Durable replicas that a write should need: two once every chain has had two, in a cluster of
/// three nodes or more. Never lowered here.
pub fn replicas_min(layout: &Layout) -> u8 {
    let grown = layout.nodes.len() >= 3 && layout.chains.iter().all(|chain| chain.acking().count() >= 2);
    if grown { layout.replicas_min.max(2) } else { layout.replicas_min }
}

impl Knowledge<'_> {
    fn liveness(&self, replica: ReplicaId) -> Liveness {
        match self.layout.nodes.get(&replica.node) {
            // A life that was followed by another has left all its chains.
            Some(node) if node.incarnation == replica.incarnation && node.alive => {
                self.leases.liveness(replica, self.now)
            }
            _ => Liveness::Void,
        }
    }

    /// The node's present life, if its lease surely counts.
    fn alive(&self, node: NodeId) -> Option<ReplicaId> {
        let incarnation = self.layout.nodes.get(&node)?.incarnation;
        let replica = ReplicaId { node, incarnation };
        (self.liveness(replica) == Liveness::Alive).then_some(replica)
    }
}

/// The chain's next state; none when it stays as it is.
fn next(knowledge: &Knowledge<'_>, partition: PartitionId, chain: &Chain) -> Option<Chain> {
    let mut members = without_void(knowledge, chain)?;
    let mut complete = chain.complete.clone();
    if members.iter().all(|member| member.state == MemberState::Syncing) {
        if members.len() < chain.members.len() && chain.acking().next().is_some() {
            // The last that were complete have gone: whoever they were, only they may begin again.
            complete = chain.acking().map(|member| member.replica.node).collect();
        }
        members.clear();
        if let Some(replica) = restart(knowledge, partition, &complete) {
            members.push(ChainMember { replica, state: MemberState::Serving });
        }
    }
    if !members.is_empty() {
        serve_departing_if_alone(&mut members);
        promote(knowledge, partition, chain, &mut members);
        depart(knowledge, partition, chain, &mut members);
        admit(knowledge, chain, &mut members);
        complete =
            members.iter().filter(|m| m.state != MemberState::Syncing).map(|member| member.replica.node).collect();
    }
    if members == chain.members {
        return None;
    }
    Some(Chain { epoch: chain.epoch.next(), members, complete, wanted: chain.wanted.clone() })
}

/// The members that are left; none when that cannot be told yet: while it is open who of a dying
/// chain still lives, nobody is cut out, so that all who went together stay known as complete.
fn without_void(knowledge: &Knowledge<'_>, chain: &Chain) -> Option<Vec<ChainMember>> {
    let (mut gone, mut unsettled, mut alive) = (0, 0, 0);
    for member in chain.acking() {
        match knowledge.liveness(member.replica) {
            Liveness::Void => gone += 1,
            Liveness::Unsettled => unsettled += 1,
            Liveness::Alive => alive += 1,
        }
    }
    if gone > 0 && alive == 0 && unsettled > 0 {
        return None;
    }
    let left = |member: &&ChainMember| knowledge.liveness(member.replica) != Liveness::Void;
    Some(chain.members.iter().filter(left).copied().collect())
}

/// Who begins a chain again whose members all went: one of those known to be complete, with the
/// longest log. One whose log's end was torn must not, unless it was the only one (ruling 9).
fn restart(knowledge: &Knowledge<'_>, partition: PartitionId, complete: &BTreeSet<NodeId>) -> Option<ReplicaId> {
    let holding = |node: &NodeId| knowledge.holdings.get(node).and_then(|held| held.get(&partition));
    complete
        .iter()
        .filter_map(|node| {
            let replica = knowledge.alive(*node)?;
            match holding(node) {
                Some(held) if held.incomplete => None,
                Some(held) if held.torn && complete.len() > 1 => None,
                Some(held) => Some((held.last, replica)),
                // A node that held nothing when it began: right only for a chain that never held anything.
                None => Some((types::Version::ZERO, replica)),
            }
        })
        .max()
        .map(|(_, replica)| replica)
        .or_else(|| torn_alike(knowledge, partition, complete))
}

/// When every complete replica is back and each has a torn end, the longest is all there is.
fn torn_alike(knowledge: &Knowledge<'_>, partition: PartitionId, complete: &BTreeSet<NodeId>) -> Option<ReplicaId> {
    let candidates: Option<Vec<_>> = complete
        .iter()
        .map(|node| {
            let replica = knowledge.alive(*node)?;
            let held = knowledge.holdings.get(node)?.get(&partition)?;
            (!held.incomplete).then_some((held.last, replica))
        })
        .collect();
    candidates?.into_iter().max().map(|(_, replica)| replica)
}

/// When only departing members are left, they stay.
fn serve_departing_if_alone(members: &mut [ChainMember]) {
    if !members.iter().any(|member| member.state == MemberState::Serving) {
        for member in members.iter_mut().filter(|member| member.state == MemberState::Departing) {
            member.state = MemberState::Serving;
        }
    }
}

/// Syncing members that have everything become serving ones; and when all that are wanted serve,
/// they take the order that spreads heads and tails.
fn promote(knowledge: &Knowledge<'_>, partition: PartitionId, chain: &Chain, members: &mut Vec<ChainMember>) {
    let mut promoted = false;
    for member in members.iter_mut().skip_while(|member| member.state != MemberState::Syncing) {
        if !knowledge.reports.synced.contains(&(partition, chain.epoch, member.replica)) {
            break;
        }
        member.state = MemberState::Serving;
        promoted = true;
    }
    if !promoted {
        return;
    }
    let all_serve = chain
        .wanted
        .iter()
        .all(|node| members.iter().any(|member| member.replica.node == *node && member.state == MemberState::Serving));
    let preference =
        |member: &ChainMember| chain.wanted.iter().position(|node| *node == member.replica.node).unwrap_or(usize::MAX);
    if all_serve {
        members.sort_by_key(|member| (rank(member.state), preference(member)));
    } else {
        members.sort_by_key(|member| rank(member.state));
    }
}

fn rank(state: MemberState) -> u8 {
    match state {
        MemberState::Serving => 0,
        MemberState::Departing => 1,
        MemberState::Syncing => 2,
    }
}

/// Members that are not wanted depart once all that are wanted serve, and go once they said so.
fn depart(knowledge: &Knowledge<'_>, partition: PartitionId, chain: &Chain, members: &mut Vec<ChainMember>) {
    let serving = |members: &[ChainMember], node: &NodeId| {
        members.iter().any(|member| member.replica.node == *node && member.state == MemberState::Serving)
    };
    members.retain(|member| {
        member.state != MemberState::Departing
            || !knowledge.reports.departed.contains(&(partition, chain.epoch, member.replica))
    });
    let all_serve = !chain.wanted.is_empty() && chain.wanted.iter().all(|node| serving(members, node));
    members.retain(|member| member.state != MemberState::Syncing || chain.wanted.contains(&member.replica.node));
    if all_serve {
        for member in members.iter_mut().filter(|member| !chain.wanted.contains(&member.replica.node)) {
            member.state = MemberState::Departing;
        }
        members.sort_by_key(|member| rank(member.state));
    }
}

/// Wanted nodes that live and are not in the chain begin to sync.
fn admit(knowledge: &Knowledge<'_>, chain: &Chain, members: &mut Vec<ChainMember>) {
    for node in &chain.wanted {
        let absent = !members.iter().any(|member| member.replica.node == *node);
        if let Some(replica) = knowledge.alive(*node).filter(|_| absent) {
            members.push(ChainMember { replica, state: MemberState::Syncing });
        }
    }
}
