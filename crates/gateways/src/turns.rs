//! What takes a gateway's room for long is done a few at a time for each person, however many they ask for: others have
//! their share.

use apps::UserId;
use client::ClientError;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Who is at it, by way of this gateway.
pub(crate) struct Turns {
    /// For one person, at a time.
    most: usize,
    lines: Mutex<BTreeMap<UserId, Arc<Semaphore>>>,
}

/// A person's turn: ends when it is dropped.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    who: UserId,
    room: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// So many at a time for each person.
    pub const fn of(most: usize) -> Turns {
        Turns { most, lines: Mutex::new(BTreeMap::new()) }
    }

    /// Waits for those of the same person before; busy, when that takes too long.
    pub async fn take(&self, who: UserId, within: Duration) -> Result<Turn<'_>, ClientError> {
        let line = self.lines.lock().entry(who).or_insert_with(|| Arc::new(Semaphore::new(self.most))).clone();
        let mut turn = Turn { turns: self, who, room: None };
        match tokio::time::timeout(within, line.acquire_owned()).await {
            Ok(Ok(room)) => turn.room = Some(room),
            _ => return Err(ClientError::Busy),
        }
        Ok(turn)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut lines = self.turns.lines.lock();
        self.room = None;
        if lines.get(&self.who).is_some_and(|line| Arc::strong_count(line) == 1) {
            lines.remove(&self.who);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    const WITHIN: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn who_has_a_file_read_waits_with_the_next_and_nobody_else_does() {
        let turns = Turns::of(1);
        let (ada, ben) = (UserId([1; 16]), UserId([2; 16]));
        let first = turns.take(ada, WITHIN).await.unwrap();
        let mut second = Box::pin(turns.take(ada, WITHIN));
        assert!(second.as_mut().now_or_never().is_none());
        // Somebody who waits no longer leaves nothing behind.
        drop(Box::pin(turns.take(ada, WITHIN)));
        drop(turns.take(ben, WITHIN).await.unwrap());
        assert_eq!(turns.lines.lock().len(), 1);
        drop(first);
        drop(second.await.unwrap());
        assert!(turns.lines.lock().is_empty());
    }
}
