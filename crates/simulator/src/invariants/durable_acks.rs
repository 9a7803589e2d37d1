//! Invariant 11: fsync before acknowledgement; after a failed fsync the node stops taking writes.

use super::{Invariant, Ledger, Observed};
use replication::chain::Body;

/// Compares each acknowledgement with the disk of the one who gives it. Commits the ledger compares itself.
#[derive(Default)]
pub(super) struct DurableAcks;

impl Invariant for DurableAcks {
    fn observe(&mut self, _at: u64, seen: &Observed<'_>, ledger: &Ledger) -> Result<(), String> {
        let Observed::Acked { message, .. } = seen else { return Ok(()) };
        let Body::Ack { through } = message.body else { return Ok(()) };
        let disk = ledger.disk(message.from.node, message.partition);
        let durable = disk.filter(|disk| !disk.incomplete).map_or(types::Seq(0), super::ledger::Disk::last);
        if durable < through {
            let after_failure = if ledger.failed(message.from.node) { ", its disk having failed" } else { "" };
            return Err(format!(
                "{} acknowledges {through} of {}, and only {durable} is durable{after_failure}",
                message.from.node, message.partition
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    #[test]
    fn fires_on_an_acknowledgement_of_what_is_not_durable() {
        let mut all = Invariants::new();
        leased(&mut all, 2);
        logged(&mut all, 2, 1, 2, 2);
        all.observe(0, &Observed::Acked { message: &ack(2, 1, 1), now: Monotonic(0) }).unwrap();
        violates(all.observe(0, &Observed::Acked { message: &ack(2, 1, 2), now: Monotonic(0) }), "11");
    }

    #[test]
    fn fires_on_a_commit_of_what_is_not_durable() {
        let mut all = Invariants::new();
        logged(&mut all, 1, 1, 2, 2);
        let committed = Observed::Committed { replica: replica(1), partition: P, epoch: Epoch(1), seq: Seq(2) };
        violates(all.observe(0, &committed), "11");
    }
}
