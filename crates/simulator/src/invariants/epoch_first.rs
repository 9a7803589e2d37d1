//! Invariant 1: a replica persists a new epoch before any write under it.

use super::{Invariant, Ledger, Observed};
use std::collections::BTreeMap;
use types::{Epoch, NodeId, PartitionId, Record};

/// What each log was told of epochs, in its order.
#[derive(Default)]
pub(super) struct EpochFirst {
    logged: BTreeMap<(NodeId, PartitionId), Epoch>,
}

impl Invariant for EpochFirst {
    fn observe(&mut self, _at: u64, seen: &Observed<'_>, ledger: &Ledger) -> Result<(), String> {
        let durable = |node, partition| ledger.disk(node, partition).map_or(Epoch(0), |disk| disk.epoch);
        match seen {
            Observed::Boot { node, .. } => self.logged.retain(|(at, _), _| at != node),
            Observed::Appended { node, partition, record, .. } => {
                let logged = self.logged.entry((*node, *partition)).or_insert(durable(*node, *partition));
                match record {
                    Record::Epoch { epoch, .. } => *logged = (*logged).max(*epoch),
                    Record::Entry { entry, .. } if entry.version.epoch > *logged => {
                        return Err(format!("{node} logs {} before the epoch: the log knows {logged}", entry.version));
                    }
                    _ => {}
                }
            }
            Observed::Acked { message, .. } => {
                let (node, known) = (message.from.node, durable(message.from.node, message.partition));
                if known < message.epoch {
                    return Err(format!("{node} acknowledges under {}, and {known} is durable", message.epoch));
                }
            }
            Observed::Committed { replica, partition, epoch, .. } => {
                let known = durable(replica.node, *partition);
                if known < *epoch {
                    return Err(format!("{} commits under {epoch}, and {known} is durable", replica.node));
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
    fn fires_on_an_entry_before_its_epoch() {
        let mut all = Invariants::new();
        let record = Record::Entry { partition: P, entry: entry(2, 1, None) };
        violates(
            all.observe(0, &Observed::Appended { node: NodeId(1), partition: P, number: 1, record: &record }),
            "1",
        );
    }

    #[test]
    fn fires_on_an_acknowledgement_under_an_epoch_that_is_not_durable() {
        let mut all = Invariants::new();
        leased(&mut all, 2);
        logged(&mut all, 2, 1, 1, 2);
        all.observe(0, &Observed::Acked { message: &ack(2, 1, 1), now: Monotonic(0) }).unwrap();
        violates(all.observe(0, &Observed::Acked { message: &ack(2, 2, 1), now: Monotonic(0) }), "1");
    }
}
