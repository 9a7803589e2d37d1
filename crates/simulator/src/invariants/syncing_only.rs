//! Invariant 8: only a serving predecessor may delete on a syncing replica; nobody who is counted on to hold every
//! acknowledged write drops what it has.

use super::{Invariant, Ledger, Observed};
use std::collections::{BTreeMap, BTreeSet};
use types::{MemberState, NodeId, PartitionId, Record};

/// The state of each replica in the epoch that it last adopted, and who is counted on.
#[derive(Default)]
pub(super) struct SyncingOnly {
    states: BTreeMap<(NodeId, PartitionId), Option<MemberState>>,
    complete: BTreeMap<PartitionId, BTreeSet<NodeId>>,
}

impl Invariant for SyncingOnly {
    fn observe(&mut self, _at: u64, seen: &Observed<'_>, _ledger: &Ledger) -> Result<(), String> {
        match seen {
            Observed::Adopted { replica, partition, state, .. } => {
                self.states.insert((replica.node, *partition), *state);
            }
            Observed::Layout { now, .. } => {
                for (index, chain) in now.chains.iter().enumerate() {
                    self.complete.insert(PartitionId(index as u16), chain.complete.clone());
                }
            }
            Observed::Appended { node, partition, record: Record::Reset { .. }, .. } => {
                let state = self.states.get(&(*node, *partition)).copied().flatten();
                let counted_on = self.complete.get(partition).is_some_and(|complete| complete.contains(node));
                if counted_on || matches!(state, None | Some(MemberState::Departing)) {
                    return Err(format!("{node} drops all it has of {partition}, being {state:?}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    #[test]
    fn fires_when_a_serving_replica_is_emptied() {
        let mut all = Invariants::new();
        let (before, now) = (layout(0, &[], &[1]), layout(1, &[1], &[1]));
        all.observe(0, &Observed::Layout { before: &before, now: &now }).unwrap();
        logged(&mut all, 1, 1, 1, 2);
        let record = Record::Reset { partition: P };
        violates(
            all.observe(0, &Observed::Appended { node: NodeId(1), partition: P, number: 3, record: &record }),
            "8",
        );
    }
}
