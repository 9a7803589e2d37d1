//! Invariant 7: versions are ⟨epoch, sequence⟩, and the same one never names two different entries.

use super::{Invariant, Ledger, Observed};
use std::collections::BTreeMap;
use std::sync::Arc;
use types::{LogEntry, PartitionId, Record, Version};

/// What each version names.
#[derive(Default)]
pub(super) struct Versions {
    named: BTreeMap<(PartitionId, Version), Arc<LogEntry>>,
}

impl Invariant for Versions {
    fn observe(&mut self, _at: u64, seen: &Observed<'_>, _ledger: &Ledger) -> Result<(), String> {
        let Observed::Appended { partition, record: Record::Entry { entry, .. }, .. } = seen else { return Ok(()) };
        let first = self.named.entry((*partition, entry.version)).or_insert_with(|| entry.clone());
        if first != entry {
            return Err(format!("{} of {partition} names two entries: {first:?} and {entry:?}", entry.version));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    #[test]
    fn fires_on_two_entries_of_one_version() {
        let mut all = Invariants::new();
        logged(&mut all, 1, 1, 1, 2);
        logged(&mut all, 2, 1, 0, 1);
        let other = Record::Entry { partition: P, entry: entry(1, 1, Some(operation(9))) };
        violates(all.observe(0, &Observed::Appended { node: NodeId(2), partition: P, number: 2, record: &other }), "7");
    }
}
