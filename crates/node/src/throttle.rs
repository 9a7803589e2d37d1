//! How fast this node sends what others lack, so that those who are served do not notice.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Bytes that catch-up may read and send in a second, from one node. A disk and a network do several
/// times as much; the rest is for clients.
const BYTES_PER_SECOND: u64 = 32 << 20;
/// What may be sent at once after a rest.
const BURST: Duration = Duration::from_millis(100);

/// Deals out turns, and counts.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// When everything sent so far will have been paid for.
    paid: Mutex<Instant>,
    /// Bytes of entries read back from the log for neighbours.
    entries: AtomicU64,
    /// Bytes of full copies.
    copies: AtomicU64,
}

/// What was read for somebody who is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Entries,
    Copy,
}

impl Default for Throttle {
    fn default() -> Self {
        Throttle { paid: Mutex::new(Instant::now()), entries: AtomicU64::new(0), copies: AtomicU64::new(0) }
    }
}

impl Throttle {
    /// So many bytes were read; they may go once this has passed.
    pub fn spend(&self, what: Sent, bytes: usize) -> Duration {
        self.count(what).fetch_add(bytes as u64, Ordering::Relaxed);
        self.spend_at(Instant::now(), bytes as u64)
    }

    fn spend_at(&self, now: Instant, bytes: u64) -> Duration {
        let mut paid = self.paid.lock();
        let begin = (*paid).max(now.checked_sub(BURST).unwrap_or(now));
        *paid = begin + Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / BYTES_PER_SECOND);
        paid.saturating_duration_since(now)
    }

    fn count(&self, what: Sent) -> &AtomicU64 {
        match what {
            Sent::Entries => &self.entries,
            Sent::Copy => &self.copies,
        }
    }

    /// Bytes so far.
    #[cfg(test)]
    pub fn sent(&self, what: Sent) -> u64 {
        self.count(what).load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_things_go_at_once_and_large_ones_at_the_rate() {
        let (throttle, now) = (Throttle::default(), Instant::now() + Duration::from_secs(1));
        assert_eq!(throttle.spend_at(now, 1000), Duration::ZERO);
        let mut wait = Duration::ZERO;
        for _ in 0..32 {
            wait = throttle.spend_at(now, 1 << 20);
        }
        assert!(wait > Duration::from_millis(850) && wait < Duration::from_millis(1001), "{wait:?}");
        // After a rest there is a burst again, and no more than that.
        let later = now + Duration::from_secs(60);
        assert_eq!(throttle.spend_at(later, 1000), Duration::ZERO);
        assert!(throttle.spend_at(later, 32 << 20) > Duration::from_millis(850));
    }
}
