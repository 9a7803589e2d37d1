//! Invariant 10: after all replicas fail, only one known to hold every acknowledged write restarts the chain. So
//! whoever the metadata calls complete does hold all of them, durably, at every moment; and whoever begins a chain
//! that had nobody left was called complete.

use super::{Invariant, Ledger, Observed};
use std::collections::{BTreeMap, BTreeSet};
use types::{Chain, NodeId, PartitionId};

/// Who is called complete now.
#[derive(Default)]
pub(super) struct CompleteRestart {
    complete: BTreeMap<PartitionId, BTreeSet<NodeId>>,
}

impl CompleteRestart {
    fn check(&self, partition: PartitionId, ledger: &Ledger) -> Result<(), String> {
        let history = ledger.committed(partition);
        for node in self.complete.get(&partition).into_iter().flatten() {
            if ledger.is_spoilt(*node, partition) {
                continue;
            }
            let entries = ledger.disk(*node, partition).map_or(&[][..], |disk| &disk.entries);
            if !entries.starts_with(history) {
                return Err(format!(
                    "{node} is called complete in {partition}, where {} is committed, and has {} entries durably",
                    history.len(),
                    entries.len()
                ));
            }
        }
        Ok(())
    }

    fn restarted(before: &Chain, now: &Chain, partition: PartitionId) -> Result<(), String> {
        // Whoever acknowledged may have said that it caught up, and be recorded and begin again in one step.
        let known = |node: &NodeId| before.complete.contains(node) || before.acking().any(|m| m.replica.node == *node);
        let went_on = now.acking().any(|member| before.acking().any(|old| old.replica == member.replica));
        match now.acking().find(|member| !known(&member.replica.node)) {
            Some(member) if !went_on => {
                Err(format!("{} restarts {partition}, not being complete", member.replica.node))
            }
            _ => Ok(()),
        }
    }
}

impl Invariant for CompleteRestart {
    fn observe(&mut self, _at: u64, seen: &Observed<'_>, ledger: &Ledger) -> Result<(), String> {
        match seen {
            Observed::Layout { before, now } => {
                for (index, chain) in now.chains.iter().enumerate() {
                    let partition = PartitionId(index as u16);
                    if let Some(before) = before.chains.get(index).filter(|before| *before != chain) {
                        Self::restarted(before, chain, partition)?;
                    }
                    if self.complete.get(&partition) != Some(&chain.complete) {
                        self.complete.insert(partition, chain.complete.clone());
                        self.check(partition, ledger)?;
                    }
                }
                Ok(())
            }
            Observed::Committed { partition, .. } => self.check(*partition, ledger),
            Observed::Synced { upto, .. } => upto.iter().try_for_each(|(partition, _)| self.check(*partition, ledger)),
            Observed::Recovered { partition, .. } => self.check(*partition, ledger),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    #[test]
    fn fires_when_one_is_called_complete_and_lacks_a_committed_write() {
        let mut all = Invariants::new();
        logged(&mut all, 1, 1, 2, 3);
        logged(&mut all, 2, 1, 1, 2);
        let committed = Observed::Committed { replica: replica(1), partition: P, epoch: Epoch(1), seq: Seq(2) };
        all.observe(0, &committed).unwrap();
        let (before, now) = (layout(1, &[1], &[1]), layout(2, &[1, 2], &[1, 2]));
        violates(all.observe(0, &Observed::Layout { before: &before, now: &now }), "10");
    }

    #[test]
    fn fires_when_an_incomplete_one_restarts_a_chain() {
        let mut all = Invariants::new();
        let (before, now) = (layout(3, &[], &[1, 2]), layout(4, &[3], &[3]));
        violates(all.observe(0, &Observed::Layout { before: &before, now: &now }), "10");
        let now = layout(4, &[2], &[2]);
        Invariants::new().observe(0, &Observed::Layout { before: &before, now: &now }).unwrap();
    }
}
