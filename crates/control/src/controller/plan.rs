//! What the controller decides, as a pure function: from the map and what is known of the nodes
//! to the chains of the next epochs.

use super::leases::{LeaseBook, Liveness};
use rpc::wire::Holding;
use std::collections::{BTreeMap, BTreeSet};
use types::{Chain, ChainMember, Drain, Epoch, Layout, MemberState, Monotonic, NodeId, PartitionId, ReplicaId};

/// What members have reported, under this leadership.
#[derive(Clone, Debug, Default)]
pub struct Reports {
    /// Syncing members that have everything.
    pub synced: BTreeSet<(PartitionId, Epoch, ReplicaId)>,
    /// Departing members that have adopted their epoch.
    pub departed: BTreeSet<(PartitionId, Epoch, ReplicaId)>,
    /// Serving members that hold every block that their tables refer to.
    pub whole: BTreeSet<(PartitionId, Epoch, ReplicaId)>,
    /// A node's drain, and a life of another that has read all of its blocks again since it began, and misses none.
    pub verified: BTreeSet<(Drain, ReplicaId)>,
    /// What lives hold of partitions that, in that epoch, nobody serves.
    pub held: BTreeMap<(PartitionId, Epoch, ReplicaId), Holding>,
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
    let previous: Vec<_> = layout.chains.iter().map(|chain| chain.wanted.clone()).collect();
    placement::place(&candidates(layout), layout.replicas_wanted as usize, &previous)
}

fn candidates(layout: &Layout) -> Vec<placement::Candidate> {
    let holding = layout.nodes.values().filter(|node| !node.draining);
    holding.map(|n| placement::Candidate { node: n.id, zone: n.zone.clone(), capacity: n.capacity }).collect()
}

/// [`wanted`], worked out only when what it rests on has changed: it is asked at every look at the map.
#[derive(Default)]
pub struct Placer {
    last: Option<(Vec<placement::Candidate>, u8, Vec<Vec<NodeId>>)>,
}

impl Placer {
    /// The placement.
    pub fn wanted(&mut self, layout: &Layout) -> Vec<Vec<NodeId>> {
        let candidates = candidates(layout);
        let replicas = layout.replicas_wanted;
        let same = self.last.as_ref().filter(|(nodes, copies, lists)| {
            *nodes == candidates
                && *copies == replicas
                && lists.len() == layout.chains.len()
                && layout.chains.iter().zip(lists).all(|(chain, list)| chain.wanted == *list)
        });
        if let Some((_, _, lists)) = same {
            return lists.clone();
        }
        let lists = wanted(layout);
        self.last = Some((candidates, replicas, lists.clone()));
        lists
    }
}

/// Durable replicas that a write should need: two once every chain has had two, in a cluster of
/// three nodes or more that have really begun a life: one that was admitted and never started
/// holds nothing. Never lowered here.
pub fn replicas_min(layout: &Layout) -> u8 {
    let born = layout.nodes.values().filter(|node| node.incarnation.0 > 0).count();
    let grown = born >= 3 && layout.chains.iter().all(|chain| chain.acking().count() >= 2);
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

    /// What that life holds: what it said since nobody serves the partition, or what it began with.
    fn held(&self, partition: PartitionId, epoch: Epoch, replica: ReplicaId) -> Option<&Holding> {
        let said = self.reports.held.get(&(partition, epoch, replica));
        said.or_else(|| self.holdings.get(&replica.node)?.get(&partition))
    }

    /// The node's present life, if its lease surely counts.
    fn alive(&self, node: NodeId) -> Option<ReplicaId> {
        let incarnation = self.layout.nodes.get(&node)?.incarnation;
        let replica = ReplicaId { node, incarnation };
        (self.liveness(replica) == Liveness::Alive).then_some(replica)
    }
}

/// The chain's next state; none when it stays as it is.
///
/// Members keep this order: those recorded as complete, those that serve since their promotion and
/// have yet to say that they hold everything, those that sync. So nobody is ever fed by one who may
/// hold less.
fn next(knowledge: &Knowledge<'_>, partition: PartitionId, chain: &Chain) -> Option<Chain> {
    let mut complete = chain.complete.clone();
    // A promoted member may lack what was acknowledged before its epoch. It counts as complete once it
    // says, under the epoch in which its word is needed, that it has caught up; and so do all before it.
    let reported = |member: &ChainMember| {
        complete.contains(&member.replica.node)
            || knowledge.reports.synced.contains(&(partition, chain.epoch, member.replica))
    };
    let caught_up: Vec<_> = chain.acking().take_while(|m| reported(m)).map(|member| member.replica.node).collect();
    complete.extend(caught_up);
    let mut members = without_void(knowledge, chain, &complete)?;
    if !members.iter().any(|member| is_complete(member, &complete)) {
        // The last that were complete have gone: whoever they were, only they may begin again.
        members.clear();
        let back = restart(knowledge, partition, chain.epoch, &complete);
        members.extend(back.into_iter().map(|replica| ChainMember { replica, state: MemberState::Serving }));
    }
    if !members.is_empty() {
        stay(chain, &mut members);
        members.retain(|member| member.state != MemberState::Syncing || chain.wanted.contains(&member.replica.node));
        promote(knowledge, partition, chain, &mut members);
        if settled(chain, &complete, &members) {
            depart(knowledge, partition, chain, &mut members);
            reorder(chain, &mut members);
        }
        admit(knowledge, chain, &mut members);
        let kept = |node: &NodeId| members.iter().any(|m| m.replica.node == *node && m.state != MemberState::Syncing);
        complete.retain(kept);
    }
    if members == chain.members && complete == chain.complete {
        return None;
    }
    let epoch = if members == chain.members { chain.epoch } else { chain.epoch.next() };
    Some(Chain { epoch, members, complete, wanted: chain.wanted.clone() })
}

fn is_complete(member: &ChainMember, complete: &BTreeSet<NodeId>) -> bool {
    member.state != MemberState::Syncing && complete.contains(&member.replica.node)
}

/// The members that are left; none when that cannot be told yet: while it is open who of a dying
/// chain still lives, nobody is cut out, so that all who went together stay known as complete.
fn without_void(knowledge: &Knowledge<'_>, chain: &Chain, complete: &BTreeSet<NodeId>) -> Option<Vec<ChainMember>> {
    let (mut gone, mut unsettled, mut alive) = (0, 0, 0);
    for member in chain.members.iter().filter(|member| is_complete(member, complete)) {
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

/// Who begins a chain again whose members all went: those of the known complete ones that are back, the
/// longest log first. After a loss of power they come back one by one: the others are waited for, about as
/// long as a lease lasts, because who is left out is no longer known as complete. One whose log's end was torn
/// must not, unless it was the only one (ruling 9).
fn restart(
    knowledge: &Knowledge<'_>,
    partition: PartitionId,
    epoch: Epoch,
    complete: &BTreeSet<NodeId>,
) -> Vec<ReplicaId> {
    let mut back: Vec<(types::Version, ReplicaId)> = complete
        .iter()
        .filter_map(|node| {
            let replica = knowledge.alive(*node)?;
            match knowledge.held(partition, epoch, replica) {
                Some(held) if held.incomplete => None,
                Some(held) if held.torn && complete.len() > 1 => None,
                Some(held) => Some((held.last, replica)),
                // It says nothing of what it holds: right only for a chain that never was.
                None => (epoch == Epoch(0)).then_some((types::Version::ZERO, replica)),
            }
        })
        .collect();
    if back.is_empty() {
        return torn_alike(knowledge, partition, epoch, complete).into_iter().collect();
    }
    let waited = back.iter().any(|(_, replica)| knowledge.leases.held_for_long(*replica, knowledge.now));
    if back.len() < complete.len() && !waited {
        return Vec::new();
    }
    back.sort_unstable_by_key(|(last, replica)| (std::cmp::Reverse(*last), *replica));
    back.into_iter().map(|(_, replica)| replica).collect()
}

/// When every complete replica is back and each has a torn end, the longest is all there is.
fn torn_alike(
    knowledge: &Knowledge<'_>,
    partition: PartitionId,
    epoch: Epoch,
    complete: &BTreeSet<NodeId>,
) -> Option<ReplicaId> {
    let candidates: Option<Vec<_>> = complete
        .iter()
        .map(|node| {
            let replica = knowledge.alive(*node)?;
            let held = knowledge.held(partition, epoch, replica)?;
            (!held.incomplete).then_some((held.last, replica))
        })
        .collect();
    candidates?.into_iter().max().map(|(_, replica)| replica)
}

/// Departing members that are wanted again stay; and all of them, when one would be the head.
fn stay(chain: &Chain, members: &mut [ChainMember]) {
    let headless = members.first().is_some_and(|member| member.state == MemberState::Departing);
    for member in members.iter_mut().filter(|member| member.state == MemberState::Departing) {
        if headless || chain.wanted.contains(&member.replica.node) {
            member.state = MemberState::Serving;
        }
    }
}

/// Syncing members that have everything become serving ones, where they are.
fn promote(knowledge: &Knowledge<'_>, partition: PartitionId, chain: &Chain, members: &mut [ChainMember]) {
    let reported = |member: &ChainMember| knowledge.reports.synced.contains(&(partition, chain.epoch, member.replica));
    let syncing = members.iter_mut().skip_while(|member| member.state != MemberState::Syncing);
    syncing.take_while(|member| reported(member)).for_each(|member| member.state = MemberState::Serving);
}

/// Whether all that are wanted serve, and everybody whose word counts holds everything: only then may
/// members go, or change places.
fn settled(chain: &Chain, complete: &BTreeSet<NodeId>, members: &[ChainMember]) -> bool {
    let serves = |node: &NodeId| {
        members.iter().any(|member| member.replica.node == *node && member.state == MemberState::Serving)
    };
    let equal = members.iter().all(|member| member.state == MemberState::Syncing || is_complete(member, complete));
    equal && !chain.wanted.is_empty() && chain.wanted.iter().all(serves)
}

/// Members that are not wanted depart. They go once they said so, and all that stay hold every block.
fn depart(knowledge: &Knowledge<'_>, partition: PartitionId, chain: &Chain, members: &mut Vec<ChainMember>) {
    let mut staying = members.iter().filter(|member| member.state == MemberState::Serving);
    let whole = staying.all(|member| knowledge.reports.whole.contains(&(partition, chain.epoch, member.replica)));
    members.retain(|member| {
        member.state != MemberState::Departing
            || !whole
            || !knowledge.reports.departed.contains(&(partition, chain.epoch, member.replica))
    });
    for member in members.iter_mut().filter(|member| !chain.wanted.contains(&member.replica.node)) {
        member.state = MemberState::Departing;
    }
}

/// Members take the order that spreads heads and tails.
fn reorder(chain: &Chain, members: &mut [ChainMember]) {
    let preference =
        |member: &ChainMember| chain.wanted.iter().position(|node| *node == member.replica.node).unwrap_or(usize::MAX);
    members.sort_by_key(|member| (rank(member.state), preference(member)));
}

fn rank(state: MemberState) -> u8 {
    match state {
        MemberState::Serving => 0,
        MemberState::Departing => 1,
        MemberState::Syncing => 2,
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

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
