//! Invariant 4: leases count monotonic time from the sending of the request; clocks may cost availability,
//! never safety. In true time, a lease has ended at its holder, or its holder's process, before its life is
//! written down as over.

use super::{Invariant, Ledger, Observed};
use std::collections::BTreeMap;
use types::ReplicaId;

/// True ends of leases, and of lives.
#[derive(Default)]
pub(super) struct LeaseTime {
    until: BTreeMap<ReplicaId, u64>,
    voided: BTreeMap<ReplicaId, u64>,
}

impl Invariant for LeaseTime {
    fn observe(&mut self, at: u64, seen: &Observed<'_>, _ledger: &Ledger) -> Result<(), String> {
        match seen {
            Observed::Leased { replica, true_until, .. } => {
                let until = self.until.entry(*replica).or_default();
                *until = (*until).max(*true_until);
                if self.voided.get(replica).is_some_and(|voided| voided < true_until) {
                    return Err(format!("{} takes a lease for a life that is over", replica.node));
                }
            }
            Observed::Ended { replica } => {
                if let Some(until) = self.until.get_mut(replica) {
                    *until = (*until).min(at);
                }
            }
            Observed::Voided { replica } => {
                self.voided.insert(*replica, at);
                if self.until.get(replica).is_some_and(|until| *until > at) {
                    return Err(format!("the lease of {} still counts when its life is declared over", replica.node));
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
    fn fires_when_a_life_ends_before_its_lease_or_gets_one_after() {
        let mut all = Invariants::new();
        leased(&mut all, 1);
        violates(all.observe(999_999_999, &Observed::Voided { replica: replica(1) }), "4");
        let mut all = Invariants::new();
        leased(&mut all, 1);
        all.observe(1_000_000_000, &Observed::Voided { replica: replica(1) }).unwrap();
        let mut all = Invariants::new();
        leased(&mut all, 1);
        all.observe(500_000_000, &Observed::Ended { replica: replica(1) }).unwrap();
        all.observe(500_000_001, &Observed::Voided { replica: replica(1) }).unwrap();
        let mut all = Invariants::new();
        leased(&mut all, 1);
        all.observe(1_000_000_000, &Observed::Voided { replica: replica(1) }).unwrap();
        let (length, sent) = (Duration::from_secs(1), Monotonic(0));
        let late = Observed::Leased { replica: replica(1), sent, length, true_until: 1_500_000_000 };
        violates(all.observe(1_000_000_001, &late), "4");
    }
}
