//! A machine's clocks: each runs at its own rate and began at its own moment.

use crate::random::Random;
use crate::scenario::{MS, RATE_PPM_MAX};
use types::{Monotonic, WallMillis};

/// Skewed from true time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Rate, in millionths of true time.
    rate: u64,
    /// What the monotonic clock said at the beginning.
    origin: u64,
    /// What the calendar clock said at the beginning, in milliseconds.
    wall: u64,
}

impl Clock {
    /// Some clock.
    pub fn choose(random: &mut Random) -> Clock {
        let extreme = random.permille(300);
        let rate = if extreme {
            1_000_000 - RATE_PPM_MAX + 2 * RATE_PPM_MAX * random.below(2)
        } else {
            random.between(1_000_000 - RATE_PPM_MAX, 1_000_000 + RATE_PPM_MAX)
        };
        // Calendars differ by seconds; ids from clients stay within the accepted skew.
        Clock { rate, origin: random.between(1, 1 << 50), wall: 1_700_000_000_000 + random.below(8_000) }
    }

    /// As fast or as slow as clocks may be.
    pub fn at_the_edge(&self) -> bool {
        self.rate.abs_diff(1_000_000) == RATE_PPM_MAX
    }

    fn elapsed(&self, at: u64) -> u64 {
        (u128::from(at) * u128::from(self.rate) / 1_000_000) as u64
    }

    /// The monotonic clock at a true time.
    pub fn monotonic(&self, at: u64) -> Monotonic {
        Monotonic(self.origin + self.elapsed(at))
    }

    /// The calendar clock at a true time.
    pub fn wall(&self, at: u64) -> WallMillis {
        WallMillis(self.wall + self.elapsed(at) / MS)
    }

    /// The first true time at which the monotonic clock says at least that.
    pub fn true_time(&self, local: Monotonic) -> u64 {
        let elapsed = u128::from(local.0.saturating_sub(self.origin));
        (elapsed * 1_000_000).div_ceil(u128::from(self.rate)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn true_time_is_the_reverse_and_two_clocks_stay_within_the_bound() {
        let mut random = Random::new(7);
        for _ in 0..200 {
            let clock = Clock::choose(&mut random);
            let at = random.below(1 << 40);
            let back = clock.true_time(clock.monotonic(at));
            assert!(back <= at && at - back <= 1);
            assert!(clock.rate * 1_050_000 / 1_000_000 >= 1_024_000, "{}", clock.rate);
        }
    }
}
