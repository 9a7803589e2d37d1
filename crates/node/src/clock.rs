//! The machine's clocks, and the cluster's date.

use nix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use types::{Clock, Monotonic, WallMillis};

/// CLOCK_BOOTTIME, which counts suspension, and the date.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn monotonic(&self) -> Monotonic {
        // Only a kernel without the clock refuses; then no lease ever counts, which is safe.
        let time = clock_gettime(ClockId::CLOCK_BOOTTIME).map(std::time::Duration::from);
        Monotonic(time.map_or(u64::MAX, |time| time.as_nanos() as u64))
    }

    fn wall(&self) -> WallMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        WallMillis(since.as_millis() as u64)
    }
}

/// What a node goes by: its own monotonic clock, and the cluster's date from the first grant of a lease on. The machine's
/// own date may jump as it likes.
#[derive(Debug)]
pub(crate) struct ClusterClock {
    /// By how many milliseconds the cluster's date is ahead of our monotonic clock; [`UNKNOWN`] at first.
    ahead: AtomicI64,
}

const UNKNOWN: i64 = i64::MIN;

impl Default for ClusterClock {
    fn default() -> ClusterClock {
        ClusterClock { ahead: AtomicI64::new(UNKNOWN) }
    }
}

impl ClusterClock {
    /// The answer to a question sent at `sent` said what date it is.
    pub fn heard(&self, date: WallMillis, sent: Monotonic) {
        let half = (self.monotonic() - sent) / 2;
        let ahead = i64::try_from(date.0).unwrap_or(i64::MAX).saturating_sub(millis(sent + half));
        self.ahead.store(ahead, Ordering::Release);
    }
}

impl Clock for ClusterClock {
    fn monotonic(&self) -> Monotonic {
        SystemClock.monotonic()
    }

    fn wall(&self) -> WallMillis {
        self.both().1
    }

    fn both(&self) -> (Monotonic, WallMillis) {
        let now = self.monotonic();
        let wall = match self.ahead.load(Ordering::Acquire) {
            UNKNOWN => SystemClock.wall(),
            ahead => WallMillis(u64::try_from(ahead.saturating_add(millis(now))).unwrap_or(0)),
        };
        (now, wall)
    }
}

fn millis(time: Monotonic) -> i64 {
    i64::try_from(time.0 / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_date_is_the_machines_until_the_cluster_tells() {
        let clock = ClusterClock::default();
        let differs = |date: u64| clock.wall().0.abs_diff(date);
        assert!(differs(SystemClock.wall().0) < 10_000);
        clock.heard(WallMillis(5_000_000), clock.monotonic());
        assert!(differs(5_000_000) < 10_000);
        std::thread::sleep(Duration::from_millis(20));
        assert!(clock.wall().0 >= 5_000_020, "it passes");
    }
}
