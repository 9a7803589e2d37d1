//! Which drive is read next. Each gets a turn of some seconds, and then the others theirs: whoever puts a thousand documents
//! keeps nobody else's from being found.

use crate::drive::Drives;
use crate::drive::tidy::DRIVES_AT_ONCE;
use crate::{DriveId, FileId};
use parking_lot::Mutex;
use rand::Rng;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;
use tokio::sync::Notify;

/// How long a turn goes on; the file under way is read to its end.
pub(super) const TURN: Duration = Duration::from_secs(10);
/// Drives that are read at a time.
const READERS: usize = 2;
/// Drives that wait; those beyond wait for the next round.
const WAITING_MAX: usize = 10_000;

/// What is read in a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Turn {
    /// The last file of the turn before.
    pub after: Option<FileId>,
    /// Only what has been unread for so long: whoever put the rest reads it at once, if all is well.
    pub left_for: Duration,
}

/// Drives in which something is to be read.
#[derive(Default)]
pub(in crate::drive) struct Waiting {
    line: Mutex<Line>,
    woken: Notify,
}

#[derive(Default)]
struct Line {
    order: VecDeque<DriveId>,
    turns: HashMap<DriveId, Turn>,
    under_way: BTreeSet<DriveId>,
}

impl Waiting {
    /// This process has put something there to be read.
    pub(in crate::drive) fn add(&self, drive: DriveId) {
        let mut line = self.line.lock();
        line.turns.insert(drive, Turn::default());
        line.queue(drive);
        drop(line);
        self.woken.notify_one();
    }

    /// What is left somewhere.
    fn add_left(&self, drives: BTreeSet<DriveId>, left_for: Duration) {
        let mut line = self.line.lock();
        for drive in drives {
            line.turns.entry(drive).or_insert(Turn { after: None, left_for });
            line.queue(drive);
        }
        drop(line);
        self.woken.notify_one();
    }

    /// Whose turn it is, once it is somebody's.
    async fn next(&self) -> (DriveId, Turn) {
        loop {
            let next = self.line.lock().take();
            match next {
                Some(next) => {
                    // There may be one for another reader.
                    self.woken.notify_one();
                    return next;
                }
                None => self.woken.notified().await,
            }
        }
    }

    /// The drive's turn is over; `rest`: it has another.
    fn over(&self, drive: DriveId, rest: Option<Turn>) {
        let mut line = self.line.lock();
        line.under_way.remove(&drive);
        // What was put meanwhile may be before that.
        if let Some(rest) = rest {
            line.turns.entry(drive).or_insert(rest);
            line.queue(drive);
        }
        drop(line);
        self.woken.notify_one();
    }
}

impl Line {
    fn queue(&mut self, drive: DriveId) {
        if self.order.contains(&drive) {
            return;
        }
        if self.order.len() < WAITING_MAX {
            self.order.push_back(drive);
        } else {
            self.turns.remove(&drive);
        }
    }

    fn take(&mut self) -> Option<(DriveId, Turn)> {
        let at = self.order.iter().position(|drive| !self.under_way.contains(drive))?;
        let drive = self.order.remove(at)?;
        self.under_way.insert(drive);
        Some((drive, self.turns.remove(&drive).unwrap_or_default()))
    }
}

impl Drives {
    /// Reads again and again, until the handle is aborted: at once what this process put, and from time to time what is
    /// left. One per node is fine.
    pub fn spawn_reader(&self, every: Duration) -> tokio::task::JoinHandle<()> {
        let (drives, every) = (self.clone(), every.max(Duration::from_secs(1)));
        tokio::spawn(async move {
            let readers = futures::future::join_all((0..READERS).map(|_| drives.read_turns()));
            tokio::join!(drives.look_for_unread(every), readers);
        })
    }

    async fn look_for_unread(&self, every: Duration) {
        let mut from = None;
        loop {
            let factor = rand::rng().random_range(0.5..1.5);
            tokio::time::sleep(every.mul_f64(factor)).await;
            match self.drives_from(self.inner.tables.unread, from.clone(), DRIVES_AT_ONCE).await {
                Ok((drives, next)) => {
                    self.inner.waiting.add_left(drives, every);
                    from = next;
                }
                Err(error) => tracing::warn!(%error, "it is not known what is unread"),
            }
        }
    }

    async fn read_turns(&self) {
        let waiting = &self.inner.waiting;
        loop {
            let (drive, turn) = waiting.next().await;
            let rest = self.read_turn(drive, turn, Some(TURN)).await.unwrap_or_else(|error| {
                tracing::warn!(%drive, %error, "a text could not be read");
                None
            });
            waiting.over(drive, rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn drives_take_turns() {
        let (waiting, of) = (Waiting::default(), |n| DriveId([n; 16]));
        let next = || waiting.next().now_or_never();
        let (large, small) = (of(1), of(2));
        waiting.add(large);
        waiting.add(large);
        assert_eq!(next(), Some((large, Turn::default())));
        assert_eq!(next(), None);
        // What comes meanwhile goes before the rest; nobody reads a drive twice at a time.
        waiting.add(small);
        waiting.add(large);
        assert_eq!(next().map(|(drive, _)| drive), Some(small));
        assert_eq!(next(), None);
        let rest = Turn { after: Some(FileId([7; 16])), ..Turn::default() };
        waiting.over(large, Some(rest));
        assert_eq!(next(), Some((large, Turn::default())), "something was put since it began");
        waiting.over(large, Some(rest));
        waiting.over(small, None);
        waiting.add_left([large, small].into(), TURN);
        assert_eq!(next(), Some((large, rest)), "and goes on where it was");
        assert_eq!(next(), Some((small, Turn { after: None, left_for: TURN })));
        assert_eq!(next(), None);
    }

    #[test]
    fn so_many_wait_and_no_more() {
        let waiting = Waiting::default();
        for n in 0..WAITING_MAX as u128 + 5 {
            waiting.add(DriveId(n.to_be_bytes()));
        }
        let line = waiting.line.lock();
        assert_eq!((line.order.len(), line.turns.len()), (WAITING_MAX, WAITING_MAX));
    }
}
