//! Invariant 8: only a serving predecessor may delete on a syncing replica; nobody has any other drop what it has.

use super::{Invariant, Ledger, Observed};
use std::collections::BTreeMap;
use types::{MemberState, NodeId, PartitionId, Record};

/// The state of each replica in the epoch that it last adopted.
#[derive(Default)]
pub(super) struct SyncingOnly {
    states: BTreeMap<(NodeId, PartitionId), Option<MemberState>>,
}

impl Invariant for SyncingOnly {
    fn observe(&mut self, _at: u64, seen: &Observed<'_>, _ledger: &Ledger) -> Result<(), String> {
        match seen {
            Observed::Adopted { replica, partition, state, .. } => {
                self.states.insert((replica.node, *partition), *state);
            }
            Observed::Appended { node, partition, record: Record::Reset { .. }, .. } => {
                let state = self.states.get(&(*node, *partition)).copied().flatten();
                if state != Some(MemberState::Syncing) {
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
        logged(&mut all, 1, 1, 1, 2);
        let record = Record::Reset { partition: P };
        violates(
            all.observe(0, &Observed::Appended { node: NodeId(1), partition: P, number: 3, record: &record }),
            "8",
        );
    }
}
