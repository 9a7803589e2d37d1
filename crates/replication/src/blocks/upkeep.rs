//! What should be here and is not, when to try for it again, and from whom.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use types::{BlockHash, Drain, Epoch, Layout, MemberState, Monotonic, NodeId, NodeInfo, PartitionId};

const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// When so many tries in a row, over about a minute, found a block nowhere, that is believed: a node that restarts has
/// none for a moment.
const HOPELESS_TRIES: u32 = 6;
/// Blocks known to be absent; beyond it the partitions are looked through again later.
const ABSENT_MAX: usize = 500_000;

/// A block that should be here and is not.
#[derive(Clone, Copy, Debug)]
struct Absent {
    next: Monotonic,
    tries: u32,
    /// The last tries, so many in a row, found it nowhere.
    nowhere: u32,
}

impl Absent {
    /// No reason to wait for anybody.
    fn hopeless(&self) -> bool {
        self.nowhere >= HOPELESS_TRIES
    }
}

/// What is known of a node's blocks.
#[derive(Clone, Debug, Default)]
pub struct Upkeep {
    absent: BTreeMap<BlockHash, Absent>,
    /// Partitions whose references are to be compared with the disk.
    dirty: BTreeSet<PartitionId>,
    /// The epochs under which all references of a partition were last compared.
    looked: BTreeMap<PartitionId, Epoch>,
    /// Drains since which every block here was read again.
    verified: BTreeSet<Drain>,
}

impl Upkeep {
    /// Known to be absent from now on; false when there is no room to remember it.
    pub fn lacks(&mut self, hash: BlockHash, now: Monotonic) -> bool {
        let room = self.absent.len() < ABSENT_MAX;
        if room {
            self.absent.entry(hash).or_insert(Absent { next: now, tries: 0, nowhere: 0 });
        }
        room
    }

    /// It is here, or need not be.
    pub fn found(&mut self, hash: BlockHash) {
        self.absent.remove(&hash);
    }

    /// A try failed; `nowhere`: every node that counts said that it has no good copy. True when that is news.
    pub fn failed(&mut self, hash: BlockHash, nowhere: bool, now: Monotonic) -> bool {
        let Some(absent) = self.absent.get_mut(&hash) else { return false };
        let news = nowhere && absent.nowhere == 0;
        absent.next = now + (RETRY_MIN * (1 << absent.tries.min(6))).min(RETRY_MAX);
        absent.tries += 1;
        absent.nowhere = if nowhere { absent.nowhere.saturating_add(1) } else { 0 };
        news
    }

    /// What is to be tried for now, so many at most.
    pub fn due(&self, now: Monotonic, limit: usize) -> Vec<BlockHash> {
        self.absent.iter().filter(|(_, absent)| absent.next <= now).map(|(hash, _)| *hash).take(limit).collect()
    }

    /// Everything that is absent.
    pub fn absent(&self) -> impl Iterator<Item = BlockHash> + '_ {
        self.absent.keys().copied()
    }

    /// How much is absent.
    pub fn missing(&self) -> usize {
        self.absent.len()
    }

    /// The partition is to be looked through.
    pub fn scan(&mut self, partition: PartitionId) {
        self.dirty.insert(partition);
    }

    /// Partitions that are to be looked through.
    pub fn dirty(&self) -> &BTreeSet<PartitionId> {
        &self.dirty
    }

    /// The caller looks through them now.
    pub fn take_dirty(&mut self) -> BTreeSet<PartitionId> {
        std::mem::take(&mut self.dirty)
    }

    /// All references of the partition that were given before that epoch were compared with the disk.
    pub fn looked(&mut self, partition: PartitionId, epoch: Epoch) {
        let last = self.looked.entry(partition).or_default();
        *last = epoch.max(*last);
    }

    /// Drains for whose sake every block here is to be read again: of what is rotten here, and was not read
    /// lately, theirs may be the only good copy.
    pub fn unverified(&mut self, layout: &Layout) -> BTreeSet<Drain> {
        let leaving: BTreeSet<Drain> = layout.nodes.values().filter_map(NodeInfo::drain).collect();
        self.verified.retain(|drain| leaving.contains(drain));
        leaving.difference(&self.verified).copied().collect()
    }

    /// Every block that is here was read since these were seen to leave, and is good. Which are not here has yet to be
    /// looked for: readers, too, put bad ones aside.
    pub fn verified(&mut self, leaving: BTreeSet<Drain>, layout: &Layout) {
        self.verified.extend(leaving);
        self.dirty.extend((0..layout.partition_count()).map(PartitionId));
    }

    /// Drains of nodes that need not stay for this node's sake.
    pub fn spared(&self, layout: &Layout) -> Vec<Drain> {
        if !self.dirty.is_empty() || !self.absent.values().all(Absent::hopeless) {
            return Vec::new();
        }
        let leaving = layout.nodes.values().filter_map(NodeInfo::drain);
        leaving.filter(|drain| self.verified.contains(drain)).collect()
    }

    /// Partitions where a member waits to depart, or a node to be let go, and need not wait for this node's sake.
    pub fn whole(&self, layout: &Layout) -> Vec<(PartitionId, Epoch)> {
        let count = layout.partition_count().max(1);
        // What nobody has, nobody takes along.
        let missing = self.absent.iter().filter(|(_, absent)| !absent.hopeless());
        let waited_for: BTreeSet<PartitionId> = missing.map(|(hash, _)| hash.partition(count)).collect();
        let leaving = layout.nodes.values().any(NodeInfo::leaving);
        let departing = |id: PartitionId, epoch: Epoch| {
            layout.chain(id).is_some_and(|chain| {
                let departs = || chain.members.iter().any(|member| member.state == MemberState::Departing);
                chain.epoch == epoch && (leaving || departs())
            })
        };
        let looked = self.looked.iter().map(|(id, epoch)| (*id, *epoch));
        looked
            .filter(|(id, epoch)| departing(*id, *epoch) && !waited_for.contains(id) && !self.dirty.contains(id))
            .collect()
    }
}

/// Who may have a block: those of its chain first, then whoever was there before, then everybody else;
/// those without a lease last.
pub fn holders(layout: &Layout, partition: PartitionId, me: NodeId) -> Vec<NodeInfo> {
    let chain = layout.chain(partition);
    let members = chain.into_iter().flat_map(|chain| chain.members.iter().map(|member| member.replica.node));
    let complete = chain.into_iter().flat_map(|chain| chain.complete.iter().copied());
    let mut seen = BTreeSet::from([me]);
    let mut holders: Vec<NodeInfo> = members
        .chain(complete)
        .chain(layout.nodes.keys().copied())
        .filter(|node| seen.insert(*node))
        .filter_map(|node| layout.nodes.get(&node))
        .filter(|node| node.incarnation.0 > 0 && !node.address.is_empty())
        .cloned()
        .collect();
    holders.sort_by_key(|node| !node.alive);
    holders
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Chain, ChainMember, Incarnation, ReplicaId};

    #[test]
    fn what_is_absent_is_tried_for_ever_less_and_less_often() {
        let (mut upkeep, hash) = (Upkeep::default(), BlockHash([7; 32]));
        assert!(upkeep.lacks(hash, Monotonic(5)));
        let (mut now, mut before) = (Monotonic(5), Duration::ZERO);
        for round in 0..100 {
            assert_eq!(upkeep.due(now, 10), vec![hash]);
            assert_eq!(upkeep.failed(hash, true, now), round == 0);
            let wait = upkeep.absent[&hash].next - now;
            assert!(wait <= RETRY_MAX && wait >= before, "{wait:?}");
            assert_eq!(upkeep.due(now, 10), vec![]);
            (now, before) = (now + wait, wait);
        }
        assert_eq!(before, RETRY_MAX);
        upkeep.found(hash);
        assert_eq!(upkeep.absent().count(), 0);
    }

    fn replica(n: u64) -> ReplicaId {
        ReplicaId { node: NodeId(n), incarnation: Incarnation(1) }
    }

    fn node(n: u64) -> NodeInfo {
        NodeInfo {
            incarnation: Incarnation(1),
            alive: n != 3,
            address: format!("node-{n}"),
            capacity: 1,
            ..NodeInfo::unborn(NodeId(n))
        }
    }

    #[test]
    fn nobody_departs_for_this_nodes_sake_before_it_has_everything() {
        let mut chain = Chain {
            epoch: Epoch(4),
            members: vec![
                ChainMember { replica: replica(1), state: MemberState::Serving },
                ChainMember { replica: replica(2), state: MemberState::Departing },
            ],
            ..Chain::default()
        };
        let layout = |chain: &Chain| Layout { chains: vec![chain.clone()], ..Layout::default() };
        let (mut upkeep, id, hash) = (Upkeep::default(), PartitionId(0), BlockHash([7; 32]));
        assert_eq!(upkeep.whole(&layout(&chain)), vec![], "nobody has looked");
        upkeep.looked(id, Epoch(4));
        assert_eq!(upkeep.whole(&layout(&chain)), vec![(id, Epoch(4))]);
        upkeep.lacks(hash, Monotonic(0));
        assert_eq!(upkeep.whole(&layout(&chain)), vec![], "something is missing");
        for nowhere in [true, true, true, true, true, false, true, true, true, true, true] {
            upkeep.failed(hash, nowhere, Monotonic(0));
            assert_eq!(upkeep.whole(&layout(&chain)), vec![], "it may turn up");
        }
        upkeep.failed(hash, true, Monotonic(0));
        assert_eq!(upkeep.whole(&layout(&chain)), vec![(id, Epoch(4))], "nobody has it");
        upkeep.scan(id);
        assert_eq!(upkeep.whole(&layout(&chain)), vec![], "to be looked through again");
        upkeep.take_dirty();
        chain.epoch = Epoch(5);
        assert_eq!(upkeep.whole(&layout(&chain)), vec![], "looked under another epoch");
    }

    #[test]
    fn nobody_is_let_go_for_this_nodes_sake_before_every_block_was_read_since() {
        let drain = |count| Drain { node: NodeId(2), count };
        let layout = |draining, drains| Layout {
            nodes: [(NodeId(2), NodeInfo { draining, drains, ..node(2) })].into(),
            chains: vec![Chain::default()],
            ..Layout::default()
        };
        let (stays, leaves, again) = (layout(false, 0), layout(true, 1), layout(true, 2));
        let (mut upkeep, hash) = (Upkeep::default(), BlockHash([7; 32]));
        assert!(upkeep.unverified(&stays).is_empty());
        let leaving = upkeep.unverified(&leaves);
        assert_eq!((leaving.len(), upkeep.spared(&leaves)), (1, vec![]));
        // One was rotten.
        upkeep.lacks(hash, Monotonic(0));
        upkeep.verified(leaving, &leaves);
        assert_eq!(upkeep.spared(&leaves), vec![], "what is here has yet to be compared");
        upkeep.take_dirty();
        assert_eq!(upkeep.spared(&leaves), vec![], "one is missing");
        for _ in 0..HOPELESS_TRIES {
            assert_eq!(upkeep.spared(&leaves), vec![], "who leaves may have it, and be down for a moment");
            upkeep.failed(hash, true, Monotonic(0));
        }
        assert_eq!(upkeep.spared(&leaves), vec![drain(1)], "nobody has it");
        upkeep.found(hash);
        assert!(upkeep.unverified(&leaves).is_empty());
        assert_eq!(upkeep.spared(&leaves), vec![drain(1)]);
        // It stays after all, which is not noticed here, and another time it leaves.
        assert_eq!(upkeep.spared(&again), vec![], "that was before");
        assert_eq!(upkeep.unverified(&again), [drain(2)].into());
    }

    #[test]
    fn the_chain_is_asked_first_then_everybody() {
        let chain = Chain {
            members: [4, 2].map(|n| ChainMember { replica: replica(n), state: MemberState::Serving }).to_vec(),
            complete: [2, 3].map(NodeId).into(),
            ..Chain::default()
        };
        let nodes = (1..=5).map(|n| (NodeId(n), node(n))).collect();
        let layout = Layout { nodes, chains: vec![chain], ..Layout::default() };
        let order: Vec<u64> = holders(&layout, PartitionId(0), NodeId(2)).iter().map(|node| node.id.0).collect();
        assert_eq!(order, [4, 1, 5, 3]);
    }
}
