//! How long writes lately took: who waits for another's silence waits longer where they are slow.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// What a write takes is remembered for this long, up to twice.
const REMEMBERED: Duration = Duration::from_secs(10);

/// How long it lately took to make something durable.
#[derive(Default)]
pub(crate) struct Pace(Mutex<Option<(Instant, Duration, Duration)>>);

impl Pace {
    /// It took so long this time.
    pub(crate) fn took(&self, time: Duration) {
        self.took_at(time, Instant::now());
    }

    fn took_at(&self, time: Duration, now: Instant) {
        let mut pace = self.0.lock();
        let (since, before, lately) = pace.unwrap_or((now, Duration::ZERO, Duration::ZERO));
        *pace = Some(match now - since < REMEMBERED {
            true => (since, before, lately.max(time)),
            false => (now, lately, time),
        });
    }

    /// The worst of late.
    pub(crate) fn worst(&self) -> Duration {
        self.0.lock().map_or(Duration::ZERO, |(_, before, lately)| before.max(lately))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_forgotten_in_time() {
        let (pace, start) = (Pace::default(), Instant::now());
        assert_eq!(pace.worst(), Duration::ZERO);
        let second = Duration::from_secs(1);
        pace.took_at(second, start);
        pace.took_at(second / 10, start + second);
        assert_eq!(pace.worst(), second);
        pace.took_at(second / 10, start + REMEMBERED);
        assert_eq!(pace.worst(), second);
        pace.took_at(second / 10, start + REMEMBERED * 2);
        assert_eq!(pace.worst(), second / 10);
    }
}
