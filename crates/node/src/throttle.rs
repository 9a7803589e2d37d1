//! How fast this node reads and sends what others lack, and takes what it lacks itself, so that those who are
//! served do not notice: at a rate that falls while the log's own syncs take longer than they usually do.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Bytes that catch-up may move in a second, through one node, when nobody is held up by it. A disk and a
/// network do several times as much; the rest is for clients.
const FASTEST: f64 = (16 << 20) as f64;
/// However busy the disk: a replica that is never whole helps nobody.
const SLOWEST: f64 = (2 << 20) as f64;
/// What may be sent at once after a rest.
const BURST: Duration = Duration::from_millis(25);
/// So often the rate is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Catch-up has held nobody up when nothing was moved for so long.
const CALM_AFTER: Duration = Duration::from_millis(500);
/// Reading rows to compare them costs less than moving them: one byte for so many.
const READ_PER_MOVED: usize = 4;

/// Deals out turns, and counts.
#[derive(Debug)]
pub(crate) struct Throttle {
    pace: Mutex<Pace>,
    /// Bytes of entries read back from the log for neighbours.
    entries: AtomicU64,
    /// Bytes of rows, for copies.
    rows: AtomicU64,
    /// Bytes of outlines, for copies.
    outlines: AtomicU64,
}

/// What is moved for somebody who is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// Entries of the log, sent.
    Entries(usize),
    /// Rows of a copy, sent.
    Rows(usize),
    /// An outline, sent; so many bytes of rows were read for it.
    Outline { read: usize, sent: usize },
    /// Rows of a copy, taken.
    Taken(usize),
    /// Rows read to compare an outline with them, about.
    Compared(usize),
}

/// Bytes sent so far, by what they were.
#[cfg(test)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub entries: u64,
    pub rows: u64,
    pub outlines: u64,
}

#[derive(Debug)]
struct Pace {
    /// When everything moved so far will have been paid for.
    paid: Instant,
    /// Bytes in a second, at present.
    rate: f64,
    /// What a sync of the log takes when there is no catch-up; none: not known yet.
    usual: Option<f64>,
    /// Since when syncs are being added up, how many there were, and what they took.
    since: Instant,
    syncs: u32,
    took: f64,
}

impl Default for Throttle {
    fn default() -> Self {
        let now = Instant::now();
        let pace = Pace { paid: now, rate: FASTEST / 2.0, usual: None, since: now, syncs: 0, took: 0.0 };
        Throttle {
            pace: Mutex::new(pace),
            entries: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            outlines: AtomicU64::new(0),
        }
    }
}

impl Throttle {
    /// Something was read or came in; it may go on once this has passed.
    pub fn spend(&self, moved: Moved) -> Duration {
        let (counter, bytes, cost) = match moved {
            Moved::Entries(bytes) => (Some(&self.entries), bytes, bytes),
            Moved::Rows(bytes) => (Some(&self.rows), bytes, bytes),
            Moved::Outline { read, sent } => (Some(&self.outlines), sent, sent + read / READ_PER_MOVED),
            Moved::Taken(bytes) => (None, bytes, bytes),
            Moved::Compared(bytes) => (None, bytes, bytes / READ_PER_MOVED),
        };
        if let Some(counter) = counter {
            counter.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        self.pace.lock().spend(Instant::now(), cost)
    }

    /// A sync of the log took so long.
    pub fn synced(&self, took: Duration) {
        self.pace.lock().synced(Instant::now(), took);
    }

    #[cfg(test)]
    pub fn sent(&self) -> Sent {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Sent { entries: of(&self.entries), rows: of(&self.rows), outlines: of(&self.outlines) }
    }
}

impl Pace {
    fn spend(&mut self, now: Instant, bytes: usize) -> Duration {
        let begin = self.paid.max(now.checked_sub(BURST).unwrap_or(now));
        self.paid = begin + Duration::from_secs_f64(bytes as f64 / self.rate);
        self.paid.saturating_duration_since(now)
    }

    fn synced(&mut self, now: Instant, took: Duration) {
        self.syncs += 1;
        self.took += took.as_secs_f64();
        if now.saturating_duration_since(self.since) < LOOK_EVERY {
            return;
        }
        let mean = self.took / f64::from(self.syncs);
        let calm = now.saturating_duration_since(self.paid) > CALM_AFTER;
        (self.since, self.syncs, self.took) = (now, 0, 0.0);
        match &mut self.usual {
            _ if !calm => {
                let held_up = self.usual.is_some_and(|usual| mean > 1.5 * usual);
                self.rate = (self.rate * if held_up { 0.7 } else { 1.1 }).clamp(SLOWEST, FASTEST);
            }
            Some(usual) => *usual += (mean - *usual) / 16.0,
            none => *none = Some(mean),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at_full_rate() -> (Pace, Instant) {
        let now = Instant::now() + Duration::from_secs(1);
        (Pace { paid: now, rate: FASTEST, usual: Some(0.002), since: now, syncs: 0, took: 0.0 }, now)
    }

    #[test]
    fn small_things_go_at_once_and_large_ones_at_the_rate() {
        let (mut pace, now) = at_full_rate();
        let now = now + 100 * MS;
        assert_eq!(pace.spend(now, 1000), Duration::ZERO);
        let mut wait = Duration::ZERO;
        for _ in 0..16 {
            wait = pace.spend(now, 1 << 20);
        }
        assert!(wait > 950 * MS && wait < 1001 * MS, "{wait:?}");
        // After a rest there is a burst again, and no more than that.
        let later = now + 60_000 * MS;
        assert_eq!(pace.spend(later, 1000), Duration::ZERO);
        assert!(pace.spend(later, 16 << 20) > 950 * MS);
    }

    #[test]
    fn it_slows_down_while_syncs_take_longer_than_usual_and_never_stops() {
        let (mut pace, mut now) = at_full_rate();
        let mut run = |pace: &mut Pace, took: Duration, seconds: u64| {
            for _ in 0..seconds * 100 {
                now += 10 * MS;
                pace.spend(now, 4 << 10);
                pace.synced(now, took);
            }
            pace.rate
        };
        assert_eq!(run(&mut pace, 2 * MS, 2), FASTEST);
        assert!(run(&mut pace, 4 * MS, 1) < FASTEST / 4.0);
        assert_eq!(run(&mut pace, 4 * MS, 20), SLOWEST);
        assert_eq!(pace.usual, Some(0.002), "what catch-up causes is not usual");
        assert_eq!(run(&mut pace, 2 * MS, 20), FASTEST);
        // Without catch-up what is usual is learned.
        for _ in 0..2000 {
            now += 10 * MS;
            pace.synced(now, 4 * MS);
        }
        assert!(pace.usual.is_some_and(|usual| usual > 0.0035), "{pace:?}");
    }
}
