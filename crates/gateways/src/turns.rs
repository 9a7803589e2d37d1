//! What takes a gateway's room for long is done a few at a time for each person, however many they ask for: others have
//! their share.

use crate::network::Network;
use apps::UserId;
use client::ClientError;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Who is at it, by way of this gateway.
#[derive(Clone)]
pub(crate) struct Turns<W = UserId> {
    /// For each, at a time.
    most: usize,
    lines: Arc<Mutex<BTreeMap<W, Arc<Semaphore>>>>,
}

/// Somebody's turn: ends when it is dropped.
pub(crate) struct Turn<W: Ord = UserId> {
    lines: Arc<Mutex<BTreeMap<W, Arc<Semaphore>>>>,
    who: W,
    room: Option<OwnedSemaphorePermit>,
}

impl<W: Ord + Copy> Turns<W> {
    /// So many at a time for each.
    pub fn of(most: usize) -> Turns<W> {
        Turns { most, lines: Arc::default() }
    }

    /// Waits for those of the same before; busy, when that takes too long.
    pub async fn take(&self, who: W, within: Duration) -> Result<Turn<W>, ClientError> {
        let line = self.lines.lock().entry(who).or_insert_with(|| Arc::new(Semaphore::new(self.most))).clone();
        let mut turn = Turn { lines: self.lines.clone(), who, room: None };
        match tokio::time::timeout(within, line.acquire_owned()).await {
            Ok(Ok(room)) => turn.room = Some(room),
            _ => return Err(ClientError::Busy),
        }
        Ok(turn)
    }
}

impl<W: Ord> Drop for Turn<W> {
    fn drop(&mut self) {
        let mut lines = self.lines.lock();
        self.room = None;
        if lines.get(&self.who).is_some_and(|line| Arc::strong_count(line) == 1) {
            lines.remove(&self.who);
        }
    }
}

/// Who has a share: somebody who is known; of others, all who come from one network. None: those of whom nothing is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Person(UserId),
    Guests(Option<Network>),
}

/// Places of which nobody has more than half.
pub(crate) struct Places {
    all: Arc<Semaphore>,
    turns: Turns<Who>,
    within: Duration,
}

/// One of them, until it is dropped.
pub(crate) struct Place {
    _room: OwnedSemaphorePermit,
    _turn: Turn<Who>,
}

/// What somebody may have of them.
#[derive(Clone, Copy)]
pub(crate) struct Share<'a> {
    places: &'a Places,
    who: Who,
}

impl Places {
    /// So many in all; who waits for one for longer is told so.
    pub fn of(most: usize, within: Duration) -> Places {
        Places { all: Arc::new(Semaphore::new(most)), turns: Turns::of(most.div_ceil(2)), within }
    }

    pub fn share(&self, who: Who) -> Share<'_> {
        Share { places: self, who }
    }
}

impl Share<'_> {
    /// A place; busy, when it takes too long until there is one.
    pub async fn place(self) -> Result<Place, ClientError> {
        let Places { all, turns, within } = self.places;
        let taken = async {
            // Their own first: who waits for themselves keeps nobody waiting.
            let turn = turns.take(self.who, *within).await?;
            let room = all.clone().acquire_owned().await.map_err(|_| ClientError::Busy)?;
            Ok(Place { _room: room, _turn: turn })
        };
        tokio::time::timeout(*within, taken).await.map_err(|_| ClientError::Busy)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    const WITHIN: Duration = Duration::from_secs(5);
    const ADA: UserId = UserId([1; 16]);
    const BEN: UserId = UserId([2; 16]);

    #[tokio::test]
    async fn who_has_a_file_read_waits_with_the_next_and_nobody_else_does() {
        let turns = Turns::of(1);
        let first = turns.take(ADA, WITHIN).await.unwrap();
        let mut second = Box::pin(turns.take(ADA, WITHIN));
        assert!(second.as_mut().now_or_never().is_none());
        // Somebody who waits no longer leaves nothing behind.
        drop(Box::pin(turns.take(ADA, WITHIN)));
        drop(turns.take(BEN, WITHIN).await.unwrap());
        assert_eq!(turns.lines.lock().len(), 1);
        drop(first);
        drop(second.await.unwrap());
        assert!(turns.lines.lock().is_empty());
    }

    #[tokio::test]
    async fn nobody_has_more_than_half_of_the_places() {
        let places = Places::of(4, Duration::from_millis(50));
        let guests = |n: u8| Who::Guests(Some(Network::of([10, 0, 0, n].into())));
        let first = places.share(Who::Person(ADA)).place().await.unwrap();
        let _second = places.share(Who::Person(ADA)).place().await.unwrap();
        assert_eq!(places.share(Who::Person(ADA)).place().await.err(), Some(ClientError::Busy));
        let _third = places.share(Who::Person(BEN)).place().await.unwrap();
        let _fourth = places.share(guests(1)).place().await.unwrap();
        // There is no more, and who waited in vain leaves nothing behind.
        assert_eq!(places.share(guests(2)).place().await.err(), Some(ClientError::Busy));
        assert_eq!(places.turns.lines.lock().len(), 3);
        drop(first);
        let _other = places.share(guests(2)).place().await.unwrap();
    }
}
