//! What the controller should be told of this node's chains: said again until the map shows that it was
//! heard, because a leader forgets reports when it goes.

use std::collections::BTreeMap;
use types::{Chain, Drain, Epoch, Layout, MemberState, NodeId, NodeInfo, PartitionId, ReplicaId, Version};

/// A report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// This member holds everything that its predecessor had.
    Synced(PartitionId, Epoch),
    /// This departing member has adopted that epoch, and so answers no reads.
    Departed(PartitionId, Epoch),
    /// Every block that the partition's references name is here.
    Whole(PartitionId, Epoch),
    /// Since that drain began every block here was read again, and none is missing.
    Verified(Drain),
    /// What is here of a partition whose chain has no members in that epoch.
    Held {
        /// The partition.
        partition: PartitionId,
        /// The epoch.
        epoch: Epoch,
        /// Last entry.
        last: Version,
        /// The log's end was torn and cut.
        torn: bool,
        /// An unfinished full copy.
        incomplete: bool,
    },
}

/// A newer report of the same takes an older one's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Chain(PartitionId),
    Blocks(PartitionId),
    Leaving(NodeId),
}

impl Report {
    fn subject(&self) -> Subject {
        match *self {
            Report::Synced(partition, _) | Report::Departed(partition, _) | Report::Held { partition, .. } => {
                Subject::Chain(partition)
            }
            Report::Whole(partition, _) => Subject::Blocks(partition),
            Report::Verified(drain) => Subject::Leaving(drain.node),
        }
    }

    /// Whether the controller, going by this map, still has to act upon it.
    fn is_news(&self, me: ReplicaId, layout: &Layout) -> bool {
        let stands = |partition: PartitionId, epoch: Epoch, here: &dyn Fn(&Chain, Option<MemberState>) -> bool| {
            let Some(chain) = layout.chain(partition) else { return false };
            let state = chain.members.iter().find(|member| member.replica == me).map(|member| member.state);
            if chain.epoch == epoch { here(chain, state) } else { chain.epoch < epoch }
        };
        match *self {
            Report::Synced(partition, epoch) => stands(partition, epoch, &|chain, state| {
                state == Some(MemberState::Syncing) || (state.is_some() && !chain.complete.contains(&me.node))
            }),
            Report::Departed(partition, epoch) => {
                stands(partition, epoch, &|_, state| state == Some(MemberState::Departing))
            }
            Report::Held { partition, epoch, .. } => stands(partition, epoch, &|chain, _| chain.members.is_empty()),
            Report::Whole(partition, epoch) => stands(partition, epoch, &|chain, state| {
                let departs = chain.members.iter().any(|member| member.state == MemberState::Departing);
                state.is_some() && (departs || layout.nodes.values().any(NodeInfo::leaving))
            }),
            Report::Verified(drain) => layout.drains(drain),
        }
    }
}

/// Reports that the map does not show to be heard yet.
#[derive(Clone, Debug, Default)]
pub struct Unheard(BTreeMap<Subject, Report>);

impl Unheard {
    /// One more.
    pub fn add(&mut self, report: Report) {
        self.0.insert(report.subject(), report);
    }

    /// What is still to be said, going by this map.
    pub fn news(&mut self, me: ReplicaId, layout: &Layout) -> Vec<Report> {
        self.0.retain(|_, report| report.is_news(me, layout));
        self.0.values().copied().collect()
    }

    /// Nothing is to be said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{ChainMember, Incarnation};

    #[test]
    fn a_report_is_said_until_the_map_shows_that_it_was_heard() {
        let me = ReplicaId { node: NodeId(2), incarnation: Incarnation(1) };
        let chain = |epoch, state, complete: &[u64]| Chain {
            epoch: Epoch(epoch),
            members: vec![ChainMember { replica: me, state }],
            complete: complete.iter().map(|node| NodeId(*node)).collect(),
            wanted: vec![],
        };
        let mut layout = Layout { chains: vec![chain(4, MemberState::Syncing, &[])], ..Layout::default() };
        let (partition, mut unheard) = (PartitionId(0), Unheard::default());
        unheard.add(Report::Synced(partition, Epoch(5)));
        // The map here is older than the report.
        assert_eq!(unheard.news(me, &layout).len(), 1);
        layout.chains[0] = chain(5, MemberState::Serving, &[]);
        assert_eq!(unheard.news(me, &layout).len(), 1, "promoted, and not counted as complete yet");
        layout.chains[0] = chain(5, MemberState::Serving, &[2]);
        assert_eq!(unheard.news(me, &layout), vec![]);
        assert!(unheard.is_empty());
        unheard.add(Report::Departed(partition, Epoch(5)));
        unheard.add(Report::Whole(partition, Epoch(5)));
        layout.chains[0] = chain(5, MemberState::Departing, &[2]);
        assert_eq!(unheard.news(me, &layout).len(), 2);
        layout.chains[0] = chain(6, MemberState::Departing, &[2]);
        assert_eq!(unheard.news(me, &layout), vec![]);
        let drain = Drain { node: NodeId(3), count: 2 };
        unheard.add(Report::Verified(drain));
        let info = NodeInfo { draining: true, drains: 2, ..NodeInfo::unborn(NodeId(3)) };
        layout.nodes.insert(NodeId(3), info.clone());
        assert_eq!(unheard.news(me, &layout), vec![Report::Verified(drain)]);
        layout.nodes.insert(NodeId(3), NodeInfo { drains: 3, ..info.clone() });
        assert_eq!(unheard.news(me, &layout), vec![], "it stayed, and leaves another time");
        unheard.add(Report::Verified(Drain { count: 3, ..drain }));
        layout.nodes.insert(NodeId(3), NodeInfo { drains: 3, released: true, ..info });
        assert_eq!(unheard.news(me, &layout), vec![]);
    }
}
