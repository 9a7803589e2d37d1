//! The machine's clocks.

use nix::time::{ClockId, clock_gettime};
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
