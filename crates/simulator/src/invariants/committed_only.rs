//! Invariant 5: a pending value is never returned as committed.

use super::{Invariant, Ledger, Observed};

/// Looks at the version of everything that a strong read returns.
#[derive(Default)]
pub(super) struct CommittedOnly;

impl Invariant for CommittedOnly {
    fn observe(&mut self, _at: u64, seen: &Observed<'_>, ledger: &Ledger) -> Result<(), String> {
        let Observed::Read { replica, partition, versions, .. } = seen else { return Ok(()) };
        match versions.iter().find(|version| !ledger.is_committed(*partition, **version)) {
            Some(version) => Err(format!("{} returns {version} of {partition}, which is pending", replica.node)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    #[test]
    fn fires_on_a_pending_value() {
        let mut all = Invariants::new();
        leased(&mut all, 1);
        logged(&mut all, 1, 1, 2, 3);
        let replica = replica(1);
        all.observe(0, &Observed::Committed { replica, partition: P, epoch: Epoch(1), seq: Seq(1) }).unwrap();
        let (good, bad) = ([Version::new(1, 1)], [Version::new(1, 2)]);
        let read = |versions| Observed::Read { replica, partition: P, versions, now: Monotonic(0) };
        all.observe(0, &read(&good)).unwrap();
        violates(all.observe(0, &read(&bad)), "5");
    }
}
