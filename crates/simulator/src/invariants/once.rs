//! Invariant 13: a retried write applies once, across failover; and what was said of it stays true.

use super::{Invariant, Ledger, Observed};
use std::collections::{BTreeMap, BTreeSet};
use types::{OperationId, PartitionId, Version};

/// What is committed of each operation.
#[derive(Default)]
pub(super) struct Once {
    seen: BTreeMap<PartitionId, usize>,
    applied: BTreeMap<OperationId, (PartitionId, Version)>,
    never: BTreeSet<OperationId>,
}

impl Once {
    fn look(&mut self, partition: PartitionId, ledger: &Ledger) -> Result<(), String> {
        let seen = self.seen.entry(partition).or_default();
        for version in &ledger.committed(partition)[*seen..] {
            *seen += 1;
            let Some((operation, true)) = ledger.operation(partition, *version) else { continue };
            if let Some((_, first)) = self.applied.insert(operation, (partition, *version)) {
                return Err(format!("operation {} is applied as {first} and as {version}", operation.nonce));
            }
            if self.never.contains(&operation) {
                return Err(format!("operation {} is applied, and was said never to be", operation.nonce));
            }
        }
        Ok(())
    }
}

impl Invariant for Once {
    fn observe(&mut self, _at: u64, seen: &Observed<'_>, ledger: &Ledger) -> Result<(), String> {
        match seen {
            Observed::Committed { partition, .. } => self.look(*partition, ledger),
            Observed::Told { operation, result } => match self.applied.get(operation) {
                None => Err(format!("operation {} is said to be applied, and is not", operation.nonce)),
                Some((_, version)) if result.is_some_and(|result| result.version != *version) => {
                    Err(format!("operation {} is said to be applied otherwise than as {version}", operation.nonce))
                }
                Some(_) => Ok(()),
            },
            Observed::NeverApplied { operation } => {
                self.never.insert(*operation);
                match self.applied.get(operation) {
                    Some((_, version)) => {
                        Err(format!("operation {} is {version}, and is said never to be applied", operation.nonce))
                    }
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    fn append(all: &mut Invariants, seq: u64, number: u64) -> Result<(), String> {
        let record = Record::Entry { partition: P, entry: entry(1, seq, Some(operation(7))) };
        let node = NodeId(1);
        all.observe(0, &Observed::Appended { node, partition: P, number, record: &record }).unwrap();
        all.observe(0, &Observed::Synced { node, upto: &[(P, number)] }).unwrap();
        all.observe(0, &Observed::Committed { replica: replica(1), partition: P, epoch: Epoch(1), seq: Seq(seq) })
    }

    #[test]
    fn fires_when_an_operation_is_applied_twice() {
        let mut all = Invariants::new();
        logged(&mut all, 1, 1, 0, 1);
        append(&mut all, 1, 2).unwrap();
        all.observe(0, &Observed::Told { operation: operation(7), result: None }).unwrap();
        violates(append(&mut all, 2, 3), "13");
    }

    #[test]
    fn fires_when_a_final_word_was_not_final() {
        let mut all = Invariants::new();
        logged(&mut all, 1, 1, 0, 1);
        all.observe(0, &Observed::NeverApplied { operation: operation(7) }).unwrap();
        violates(append(&mut all, 1, 2), "13");
        violates(Invariants::new().observe(0, &Observed::Told { operation: operation(7), result: None }), "13");
    }
}
