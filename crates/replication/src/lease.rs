//! A lease as its holder sees it.
//!
//! The granter waits `lease × (1 + DRIFT)` after the last grant before it treats
//! the lease as void; the holder counts from the moment it *sent* the request. So
//! the holder's end comes first, as long as clock rates differ by less than
//! [`DRIFT_PERCENT`].

use std::time::Duration;
use types::Monotonic;

/// Assumed bound on the difference of two machines' clock rates.
pub const DRIFT_PERCENT: u32 = 5;

/// How long the granter waits before a lease is surely void.
pub fn void_after(lease: Duration) -> Duration {
    lease + lease * DRIFT_PERCENT / 100
}

/// The holder's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    until: Monotonic,
}

impl Lease {
    /// A grant of `length` arrived, in answer to a request sent at `sent`.
    /// An answer that arrives late, or out of order, can only do less.
    pub fn granted(&mut self, sent: Monotonic, length: Duration) {
        self.until = self.until.max(sent + length);
    }

    /// The lease was given up, or declared void.
    pub fn surrender(&mut self) {
        self.until = Monotonic(0);
    }

    /// First moment at which it no longer counts.
    pub fn until(&self) -> Monotonic {
        self.until
    }

    /// True while it counts.
    pub fn valid(&self, now: Monotonic) -> bool {
        now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_sending_and_never_shrinks_by_a_late_answer() {
        let second = Duration::from_secs(1);
        let mut lease = Lease::default();
        assert!(!lease.valid(Monotonic(0)));
        lease.granted(Monotonic(5_000_000_000), second);
        lease.granted(Monotonic(4_000_000_000), second);
        assert!(lease.valid(Monotonic(5_999_999_999)));
        assert!(!lease.valid(Monotonic(6_000_000_000)));
        lease.surrender();
        assert!(!lease.valid(Monotonic(1)));
    }

    #[test]
    fn the_granter_outwaits_the_holder() {
        let lease = Duration::from_millis(1200);
        assert!(void_after(lease) > lease);
    }
}
