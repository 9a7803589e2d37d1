//! The cluster's date: the median of what its nodes' clocks say, so that no single clock that is wrong moves it. Pure.
//!
//! Dates decide when items expire, and for how long an operation id is good; and a partition never goes back in time. A
//! node that went by its own clock would, when that is hours ahead for a moment, take its partitions along, which
//! would then refuse every operation as too old until the others' clocks got there.

use std::collections::BTreeMap;
use std::time::Duration;
use types::{Monotonic, NodeId, WallMillis};

/// For how long a node's word counts: several leases.
const FRESH: Duration = Duration::from_secs(5);

/// What nodes say.
#[derive(Clone, Debug, Default)]
pub struct Dates {
    /// By how many milliseconds each date was ahead of our monotonic clock, and when we heard it.
    said: BTreeMap<NodeId, (i64, Monotonic)>,
}

impl Dates {
    /// A node says what date it is, just now; the answer is what it should go by.
    pub fn tell(&mut self, node: NodeId, date: WallMillis, now: Monotonic) -> WallMillis {
        self.said.retain(|_, (_, heard)| now - *heard <= FRESH);
        let since_start = millis(now);
        self.said.insert(node, (i64::try_from(date.0).unwrap_or(i64::MAX).saturating_sub(since_start), now));
        let mut ahead: Vec<i64> = self.said.values().map(|(ahead, _)| *ahead).collect();
        ahead.sort_unstable();
        // Of two, the earlier one: time that has passed too slowly can be made up for.
        let median = ahead[(ahead.len() - 1) / 2];
        WallMillis(u64::try_from(median.saturating_add(since_start)).unwrap_or(0))
    }
}

fn millis(time: Monotonic) -> i64 {
    i64::try_from(time.0 / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic(seconds * 1_000_000_000)
    }

    #[test]
    fn one_wrong_clock_of_three_moves_nothing() {
        for wrong in [0, 900_000, 1_100_000, u64::MAX] {
            let mut dates = Dates::default();
            dates.tell(NodeId(1), WallMillis(1_000_000), at(1));
            dates.tell(NodeId(2), WallMillis(1_000_005), at(1));
            let date = dates.tell(NodeId(3), WallMillis(wrong), at(1));
            assert!((1_000_000..=1_000_005).contains(&date.0), "{date:?}");
            // It passes with time, whoever asks.
            assert!((1_001_000..=1_001_005).contains(&dates.tell(NodeId(3), WallMillis(wrong), at(2)).0));
        }
    }

    #[test]
    fn of_two_the_earlier_and_alone_its_own() {
        let mut dates = Dates::default();
        assert_eq!(dates.tell(NodeId(1), WallMillis(9_000), at(1)), WallMillis(9_000));
        assert_eq!(dates.tell(NodeId(2), WallMillis(5_000), at(1)), WallMillis(5_000));
        assert_eq!(dates.tell(NodeId(1), WallMillis(10_000), at(2)), WallMillis(6_000));
    }

    #[test]
    fn who_is_silent_is_forgotten_and_a_clock_put_right_counts() {
        let mut dates = Dates::default();
        dates.tell(NodeId(1), WallMillis(1_000), at(1));
        assert_eq!(dates.tell(NodeId(2), WallMillis(90_000), at(10)), WallMillis(90_000));
        assert_eq!(dates.tell(NodeId(2), WallMillis(11_000), at(11)), WallMillis(11_000));
    }
}
