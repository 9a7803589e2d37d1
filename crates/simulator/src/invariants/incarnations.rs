//! Invariant 9: a restarted or wiped node is a new incarnation and never looks continuous.

use super::{Invariant, Ledger, Observed};
use std::collections::BTreeMap;
use types::{Incarnation, NodeId, ReplicaId};

/// The present life of each node.
#[derive(Default)]
pub(super) struct Incarnations {
    lives: BTreeMap<NodeId, (Incarnation, u64)>,
    boots: BTreeMap<NodeId, u64>,
}

impl Incarnations {
    fn present(&self, replica: ReplicaId) -> Result<(), String> {
        match (self.lives.get(&replica.node), self.boots.get(&replica.node)) {
            (Some((life, boot)), Some(present)) if *life == replica.incarnation && boot == present => Ok(()),
            // Traces of single replicas, in tests, may begin without a boot.
            (None, None) => Ok(()),
            (life, _) => Err(format!("{replica:?} acts, and the node's present life is {life:?}")),
        }
    }
}

impl Invariant for Incarnations {
    fn observe(&mut self, _at: u64, seen: &Observed<'_>, _ledger: &Ledger) -> Result<(), String> {
        match seen {
            Observed::Boot { node, boot } => {
                self.boots.insert(*node, *boot);
            }
            Observed::Life { replica, boot } => {
                let before = self.lives.insert(replica.node, (replica.incarnation, *boot));
                if before.is_some_and(|(before, _)| before >= replica.incarnation) {
                    return Err(format!("{} begins life {} again", replica.node, replica.incarnation));
                }
            }
            Observed::Acked { message, .. } => return self.present(message.from),
            Observed::Committed { replica, .. } | Observed::Read { replica, .. } => return self.present(*replica),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    #[test]
    fn fires_when_a_process_goes_on_as_the_one_before() {
        let mut all = Invariants::new();
        let node = NodeId(1);
        all.observe(0, &Observed::Boot { node, boot: 1 }).unwrap();
        all.observe(0, &Observed::Life { replica: replica(1), boot: 1 }).unwrap();
        leased(&mut all, 1);
        let read = Observed::Read { replica: replica(1), partition: P, versions: &[], now: Monotonic(0) };
        all.observe(0, &read).unwrap();
        all.observe(0, &Observed::Boot { node, boot: 2 }).unwrap();
        violates(all.observe(0, &read), "9");
        violates(all.observe(0, &Observed::Life { replica: replica(1), boot: 2 }), "9");
    }
}
