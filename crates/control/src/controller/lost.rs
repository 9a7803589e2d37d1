//! Machines that are lost for good while partitions wait for them: what begins again without them, with whose
//! copy, and whether anything acknowledged can be missing from it. Pure.
//!
//! A partition waits for a machine when its chain has no members and none of those known to hold every
//! acknowledged write is back with a whole log. Without the lost ones
//! - the complete ones that are back, though their logs' ends were cut, begin with the longest. What was cut was
//!   not durable, or it rotted; of two such logs, one at most is taken to have rotted, so that nothing
//!   acknowledged is missing from the longer. One alone may be the rotten one.
//! - otherwise the longest copy that is left anywhere begins, and what was acknowledged later is lost.
//!
//! A drained machine that is lost may have had the only good copy of some blocks: where others do not say that they
//! have every block of it, it is given up, too, at the same price.
//!
//! Nobody is passed over who may hold more: a machine that is down is to be started, or given up as well.

use super::plan::{HoldingsByNode, Reports};
use super::release;
use rpc::wire::{Beginning, Holding, LayoutPreview};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use types::{Chain, Layout, NodeId, NodeInfo, PartitionId, ReplicaId};

/// What nodes, in their present lives, hold of partitions that nobody serves.
#[derive(Clone, Debug, Default)]
pub struct Told(BTreeMap<(PartitionId, NodeId), Holding>);

impl Told {
    /// A life's first word counts for those that were complete: their earlier life ended with the chain. Any
    /// other's copy may have changed since, until it speaks again.
    pub fn new(layout: &Layout, reports: &Reports, holdings: &HoldingsByNode) -> Told {
        let mut told = BTreeMap::new();
        for (index, chain) in layout.chains.iter().enumerate().filter(|(_, chain)| chain.members.is_empty()) {
            let partition = PartitionId(index as u16);
            for info in layout.nodes.values().filter(|info| info.alive) {
                let replica = ReplicaId { node: info.id, incarnation: info.incarnation };
                let first = || holdings.get(&info.id)?.get(&partition).filter(|_| chain.complete.contains(&info.id));
                if let Some(held) = reports.held.get(&(partition, chain.epoch, replica)).or_else(first) {
                    told.insert((partition, info.id), *held);
                }
            }
        }
        Told(told)
    }

    fn of(&self, partition: PartitionId, node: NodeId) -> Option<&Holding> {
        self.0.get(&(partition, node))
    }
}

/// What becomes of a partition without the lost machines.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It does not need anybody to be given up.
    Begins,
    /// These count as complete from now on.
    BeginsWith { complete: BTreeSet<NodeId>, beginning: Beginning },
    /// These are down, and may hold more.
    Down(BTreeSet<NodeId>),
    /// These have not said yet what they hold.
    Silent,
    /// Nobody has a whole copy.
    Nobody,
}

/// Takes the lost machines, which `next` has no more, off what partitions wait for; says what comes of it, and which
/// of them may have had the only good copy of a block.
pub(super) fn give_up(
    next: &mut Layout,
    nodes: &BTreeMap<NodeId, NodeInfo>,
    told: &Told,
    preview: &mut LayoutPreview,
) -> Vec<NodeId> {
    let lost: &BTreeSet<NodeId> = &nodes.keys().copied().collect();
    let mut needed = BTreeSet::new();
    let mut down: BTreeMap<NodeId, Vec<PartitionId>> = BTreeMap::new();
    let (mut leaving, mut silent, mut nobody) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..next.chains.len() {
        let (partition, chain) = (PartitionId(index as u16), &next.chains[index]);
        if chain.members.iter().any(|member| lost.contains(&member.replica.node)) {
            leaving.push(partition);
        }
        if !chain.members.is_empty() || chain.complete.is_disjoint(lost) {
            continue;
        }
        let fate = fate(next, partition, chain, lost, told);
        match &fate {
            Fate::Begins => {}
            // Whoever is down may be what it comes to, complete or not.
            Fate::BeginsWith { beginning, .. } if beginning.may_lose => needed.extend(lost),
            _ => needed.extend(chain.complete.intersection(lost)),
        }
        let chain = &mut next.chains[index];
        match fate {
            Fate::Begins => chain.complete.retain(|node| !lost.contains(node)),
            Fate::BeginsWith { complete, beginning } => {
                chain.complete = complete;
                preview.begins.push(beginning);
            }
            Fate::Down(nodes) => nodes.into_iter().for_each(|node| down.entry(node).or_default().push(partition)),
            Fate::Silent => silent.push(partition),
            Fate::Nobody => nobody.push(partition),
        }
    }
    let mut refuse = |why: String| preview.unsafe_because.push(why);
    if !leaving.is_empty() {
        refuse(format!("{} are still being taken over by others: try again in a few seconds", ranges(&leaving)));
    }
    if !silent.is_empty() {
        refuse(format!("not all machines have said what they hold of {}: try again in a few seconds", ranges(&silent)));
    }
    for (node, partitions) in &down {
        refuse(format!(
            "node {node} is down and may hold what is needed of {}: start it; if it is lost, too, give up both in one \
             command",
            ranges(partitions)
        ));
    }
    if !nobody.is_empty() {
        refuse(format!("no machine that is left has a whole copy of {}", ranges(&nobody)));
    }
    let drained = |node: &NodeId| nodes[node].leaving() && next.chains.iter().all(|chain| release::whole(chain, *node));
    let (blocks, needless): (Vec<NodeId>, Vec<NodeId>) =
        lost.difference(&needed).filter(|_| leaving.is_empty()).partition(|node| drained(node));
    for node in needless {
        refuse(format!(
            "no partition waits for node {node}: `atoll cluster drain {node}`, then `atoll cluster remove {node}`, take \
             it out without losing anything"
        ));
    }
    blocks
}

fn fate(next: &Layout, partition: PartitionId, chain: &Chain, lost: &BTreeSet<NodeId>, told: &Told) -> Fate {
    let alive = |node: &NodeId| next.nodes.get(node).is_some_and(|info| info.alive);
    let complete: BTreeSet<NodeId> = chain.complete.difference(lost).copied().collect();
    let (back, away): (Vec<NodeId>, Vec<NodeId>) = complete.iter().partition(|node| alive(node));
    let held = |node: &NodeId| told.of(partition, *node);
    if back.iter().filter_map(held).any(|held| !held.incomplete && !held.torn) {
        return Fate::Begins;
    }
    if !away.is_empty() {
        return Fate::Down(away.into_iter().collect());
    }
    if back.iter().any(|node| held(node).is_none()) {
        return Fate::Silent;
    }
    let longest = |nodes: &[NodeId]| {
        let whole = nodes.iter().filter_map(|node| Some((held(node).filter(|held| !held.incomplete)?.last, *node)));
        let mut whole: Vec<_> = whole.collect();
        whole.sort_unstable_by_key(|(last, node)| (Reverse(*last), *node));
        whole
    };
    let torn = longest(&back);
    if let Some((last, node)) = torn.first().copied() {
        let beginning = Beginning { partition, node, last, may_lose: torn.len() < 2 };
        return Fate::BeginsWith { complete: torn.into_iter().map(|(_, node)| node).collect(), beginning };
    }
    let born = next.nodes.values().filter(|info| info.incarnation.0 > 0).map(|info| info.id);
    let (back, away): (Vec<NodeId>, Vec<NodeId>) = born.partition(alive);
    if !away.is_empty() {
        return Fate::Down(away.into_iter().collect());
    }
    if back.iter().any(|node| held(node).is_none()) {
        return Fate::Silent;
    }
    match longest(&back).first().copied() {
        None => Fate::Nobody,
        Some((last, node)) => Fate::BeginsWith {
            complete: BTreeSet::from([node]),
            beginning: Beginning { partition, node, last, may_lose: true },
        },
    }
}

/// `partitions 0–3 and 7`, or `partition 5`.
pub(super) fn ranges(partitions: &[PartitionId]) -> String {
    let mut spans: Vec<(u16, u16)> = Vec::new();
    for partition in partitions {
        match spans.last_mut() {
            Some((_, end)) if *end + 1 == partition.0 => *end = partition.0,
            _ => spans.push((partition.0, partition.0)),
        }
    }
    let span = |(from, to): &(u16, u16)| if from == to { from.to_string() } else { format!("{from}–{to}") };
    let mut texts: Vec<String> = spans.iter().map(span).collect();
    let last = texts.pop().unwrap_or_default();
    let word = if partitions.len() == 1 { "partition" } else { "partitions" };
    match texts.is_empty() {
        true => format!("{word} {last}"),
        false => format!("{word} {} and {last}", texts.join(", ")),
    }
}

#[cfg(test)]
#[path = "lost_tests.rs"]
mod tests;
