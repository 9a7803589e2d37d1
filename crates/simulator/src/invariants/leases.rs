//! Invariant 2: no acknowledgement from a replica without a valid lease, in a chain of one too.

use super::{Invariant, Ledger, Observed};
use replication::chain::Answer;

/// Looks at each acknowledgement, up the chain or to a client.
#[derive(Default)]
pub(super) struct Leases;

impl Invariant for Leases {
    fn observe(&mut self, _at: u64, seen: &Observed<'_>, ledger: &Ledger) -> Result<(), String> {
        match seen {
            Observed::Acked { message, now } if !ledger.leased(message.from, *now) => {
                Err(format!("{} acknowledges in {} without a lease", message.from.node, message.partition))
            }
            Observed::Answered { replica, partition, answer: Answer::Committed(_), now }
                if !ledger.leased(*replica, *now) =>
            {
                Err(format!("{} answers a writer in {partition} without a lease", replica.node))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    #[test]
    fn fires_when_the_lease_has_run_out() {
        let mut all = Invariants::new();
        logged(&mut all, 2, 1, 1, 2);
        violates(all.observe(0, &Observed::Acked { message: &ack(2, 1, 1), now: Monotonic(0) }), "2");
        leased(&mut all, 2);
        all.observe(0, &Observed::Acked { message: &ack(2, 1, 1), now: Monotonic(999_999_999) }).unwrap();
        violates(all.observe(0, &Observed::Acked { message: &ack(2, 1, 1), now: Monotonic(1_000_000_000) }), "2");
    }

    #[test]
    fn fires_on_a_head_that_answers_without_one() {
        let mut all = Invariants::new();
        let result = TransactionResult { version: Version::new(1, 1), time: HybridTime(1), counters: vec![] };
        let answer = Answer::Committed(result);
        let seen = Observed::Answered { replica: replica(1), partition: P, answer: &answer, now: Monotonic(5) };
        violates(all.observe(0, &seen), "2");
    }
}
