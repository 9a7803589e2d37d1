//! Invariant 6: a new tail commits what it holds only under the new epoch, so nothing enters the tables that is
//! not committed; and a client whose write may last hears *unknown*, never *failed*.

use super::{Invariant, Ledger, Observed};
use std::collections::{BTreeMap, BTreeSet};
use types::{OperationId, Record};

/// Attempts whose fate their clients do not know, and operations that were ordered.
#[derive(Default)]
pub(super) struct UnknownNotFailed {
    open: BTreeMap<OperationId, BTreeSet<(usize, u64)>>,
    ordered: BTreeSet<OperationId>,
}

impl UnknownNotFailed {
    fn check(&self, operation: &OperationId) -> Result<(), String> {
        let failed = self.open.get(operation).is_some_and(BTreeSet::is_empty);
        if failed && self.ordered.contains(operation) {
            return Err(format!("operation {} was called failed, and is in a log", operation.nonce));
        }
        Ok(())
    }
}

impl Invariant for UnknownNotFailed {
    fn observe(&mut self, _at: u64, seen: &Observed<'_>, ledger: &Ledger) -> Result<(), String> {
        match seen {
            Observed::Applied { replica, partition, entries } => {
                match entries.iter().find(|entry| !ledger.is_committed(*partition, entry.version)) {
                    Some(entry) => {
                        Err(format!("{} applies {} of {partition}, not committed", replica.node, entry.version))
                    }
                    None => Ok(()),
                }
            }
            Observed::Asked { client, attempt, operation } => {
                self.open.entry(*operation).or_default().insert((*client, *attempt));
                Ok(())
            }
            Observed::Refused { client, attempt, operation } => {
                self.open.entry(*operation).or_default().remove(&(*client, *attempt));
                self.check(operation)
            }
            Observed::Appended { record: Record::Entry { entry, .. }, .. } => match &entry.operation {
                Some((operation, _, Some(_))) => {
                    self.ordered.insert(*operation);
                    self.check(operation)
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    #[test]
    fn fires_when_a_write_that_was_called_failed_is_ordered_all_the_same() {
        let mut all = Invariants::new();
        logged(&mut all, 1, 1, 0, 1);
        let operation = operation(7);
        all.observe(0, &Observed::Asked { client: 1, attempt: 1, operation }).unwrap();
        all.observe(0, &Observed::Asked { client: 1, attempt: 2, operation }).unwrap();
        all.observe(0, &Observed::Refused { client: 1, attempt: 2, operation }).unwrap();
        let record = Record::Entry { partition: P, entry: entry(1, 1, Some(operation)) };
        all.observe(0, &Observed::Appended { node: NodeId(1), partition: P, number: 2, record: &record }).unwrap();
        violates(all.observe(0, &Observed::Refused { client: 1, attempt: 1, operation }), "6");
    }

    #[test]
    fn fires_when_what_is_not_committed_enters_the_tables() {
        let mut all = Invariants::new();
        logged(&mut all, 1, 1, 1, 2);
        let entries = [entry(1, 1, None)];
        violates(all.observe(0, &Observed::Applied { replica: replica(1), partition: P, entries: &entries }), "6");
    }
}
