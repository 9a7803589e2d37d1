//! Time and randomness as arguments: the pure crates take them, `node` and
//! `simulator` supply them.

use serde::{Deserialize, Serialize};
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on a node's own monotonic clock, in nanoseconds. The clock counts
/// the time that the machine was suspended (CLOCK_BOOTTIME), or a lease could
/// outlive its grant. Points of different nodes cannot be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Monotonic(pub u64);

impl Add<Duration> for Monotonic {
    type Output = Monotonic;
    fn add(self, span: Duration) -> Monotonic {
        Monotonic(self.0.saturating_add(span.as_nanos().min(u128::from(u64::MAX)) as u64))
    }
}

impl Sub for Monotonic {
    type Output = Duration;
    /// Zero when `earlier` is later.
    fn sub(self, earlier: Monotonic) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Milliseconds since the Unix epoch. For people and expiry, never for safety.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallMillis(pub u64);

/// Commit time of a strong write: 48 bits of wall milliseconds, 16 of a
/// counter. Rises strictly within a partition, whatever the clocks do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HybridTime(pub u64);

impl HybridTime {
    /// The wall part.
    pub fn wall(self) -> WallMillis {
        WallMillis(self.0 >> 16)
    }

    /// The time of the next write after `self`, on a machine whose clock says `now`.
    #[must_use]
    pub fn next(self, now: WallMillis) -> HybridTime {
        HybridTime((now.0 << 16).max(self.0 + 1))
    }
}

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// This node's monotonic clock.
    fn monotonic(&self) -> Monotonic;
    /// This node's idea of the date.
    fn wall(&self) -> WallMillis;
    /// Both, of one moment.
    fn both(&self) -> (Monotonic, WallMillis) {
        (self.monotonic(), self.wall())
    }
}

/// Where randomness comes from.
pub trait Rng: Send {
    /// 64 random bits.
    fn next_u64(&mut self) -> u64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_time_rises_when_the_clock_goes_back() {
        let first = HybridTime::default().next(WallMillis(1_000));
        let second = first.next(WallMillis(10));
        assert!(second > first);
        assert_eq!(second.wall(), WallMillis(1_000));
        assert_eq!(second.next(WallMillis(2_000)).wall(), WallMillis(2_000));
    }
}
