//! Invariant 3: a strong read checks its lease after reading, before replying.

use super::{Invariant, Ledger, Observed};

/// Looks at the moment of each answer to a strong read.
#[derive(Default)]
pub(super) struct CleanReads;

impl Invariant for CleanReads {
    fn observe(&mut self, _at: u64, seen: &Observed<'_>, ledger: &Ledger) -> Result<(), String> {
        match seen {
            Observed::Read { replica, partition, now, .. } if !ledger.leased(*replica, *now) => {
                Err(format!("{} answers a strong read of {partition} without a lease", replica.node))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    #[test]
    fn fires_on_a_read_answered_after_the_lease() {
        let mut all = Invariants::new();
        leased(&mut all, 1);
        let read = |now| Observed::Read { replica: replica(1), partition: P, versions: &[], now: Monotonic(now) };
        all.observe(0, &read(5)).unwrap();
        violates(all.observe(0, &read(2_000_000_000)), "3");
    }
}
