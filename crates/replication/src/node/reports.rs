//! What the controller should be told of this node's chains: said again until the map shows that it was
//! heard, because a leader forgets reports when it goes.

use std::collections::BTreeMap;
use types::{Epoch, Layout, MemberState, PartitionId, ReplicaId, Version};

/// A report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// This member holds everything that its predecessor had.
    Synced(PartitionId, Epoch),
    /// This departing member has adopted that epoch, and so answers no reads.
    Departed(PartitionId, Epoch),
    /// Every block that the partition's references name is here.
    Whole(PartitionId, Epoch),
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

impl Report {
    fn about(&self) -> (PartitionId, Epoch) {
        match *self {
            Report::Synced(partition, epoch)
            | Report::Departed(partition, epoch)
            | Report::Whole(partition, epoch)
            | Report::Held { partition, epoch, .. } => (partition, epoch),
        }
    }

    /// A newer report of the same takes its place.
    fn subject(&self) -> (PartitionId, bool) {
        (self.about().0, matches!(self, Report::Whole(..)))
    }

    /// Whether the controller, going by this map, still has to act upon it.
    fn is_news(&self, me: ReplicaId, layout: &Layout) -> bool {
        let (partition, epoch) = self.about();
        let Some(chain) = layout.chain(partition) else { return false };
        if chain.epoch != epoch {
            return chain.epoch < epoch;
        }
        let state = chain.members.iter().find(|member| member.replica == me).map(|member| member.state);
        match self {
            Report::Synced(..) => {
                state == Some(MemberState::Syncing) || (state.is_some() && !chain.complete.contains(&me.node))
            }
            Report::Departed(..) => state == Some(MemberState::Departing),
            Report::Held { .. } => chain.members.is_empty(),
            Report::Whole(..) => {
                state.is_some()
                    && (chain.members.iter().any(|member| member.state == MemberState::Departing)
                        || layout.nodes.values().any(|node| node.draining && !node.released))
            }
        }
    }
}

/// Reports that the map does not show to be heard yet.
#[derive(Clone, Debug, Default)]
pub struct Unheard(BTreeMap<(PartitionId, bool), Report>);

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
    use types::{Chain, ChainMember, Incarnation, NodeId};

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
    }
}
