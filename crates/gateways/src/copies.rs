//! How many intact copies there are of a file, for who may look at it.

use crate::grpc::Backend;
use apps::drive::{Drives, OpenFile};
use apps::{DriveError, DriveId, UserId, VersionId};
use client::{ClientError, Copies};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Files that are read for this at a time, by way of one gateway: every holder reads. Others wait.
static VERIFYING: Semaphore = Semaphore::const_new(4);
/// Files that are looked at without being read.
static LOOKING: Semaphore = Semaphore::const_new(16);
static TURNS: Turns = Turns(Mutex::new(BTreeMap::new()));
const READ_ROOM_WITHIN: Duration = Duration::from_secs(5);
const LOOK_ROOM_WITHIN: Duration = Duration::from_secs(1);

/// What is asked of a file.
pub(crate) struct Asked<'a> {
    pub who: UserId,
    pub path: &'a str,
    /// Where the part begins.
    pub from: u64,
    /// The version that it must be: that of the part before.
    pub expect: Option<VersionId>,
    /// Its holders read it first.
    pub read: bool,
}

/// Of one part of a file. The whole is all parts, one after the other.
pub(crate) async fn look(
    backend: &dyn Backend,
    drives: &Drives,
    drive: DriveId,
    asked: Asked<'_>,
) -> Result<(OpenFile, Copies), DriveError> {
    let open = drives.open(drive, asked.path).await?;
    if asked.expect.is_some_and(|expected| expected != open.file.version) {
        return Err(DriveError::Changed { path: asked.path.to_string() });
    }
    if asked.from > open.content.size {
        return Err(DriveError::Invalid(format!("{} has {} bytes", asked.path, open.content.size)));
    }
    let row = drives.row_of_content(drive, open.file.version);
    let (rooms, within) = if asked.read { (&VERIFYING, READ_ROOM_WITHIN) } else { (&LOOKING, LOOK_ROOM_WITHIN) };
    let _turn = match asked.read {
        true => Some(TURNS.take(asked.who).await?),
        false => None,
    };
    let Ok(Ok(_room)) = tokio::time::timeout(within, rooms.acquire()).await else {
        return Err(ClientError::Busy.into());
    };
    let copies = backend.copies(&row, &open.content, asked.from, asked.read).await?;
    Ok((open, copies))
}

/// By way of one gateway, each person has one file read at a time, however many they ask for.
struct Turns(Mutex<BTreeMap<UserId, Arc<Semaphore>>>);

struct Turn<'a> {
    turns: &'a Turns,
    who: UserId,
    room: Option<OwnedSemaphorePermit>,
}

impl Turns {
    async fn take(&self, who: UserId) -> Result<Turn<'_>, ClientError> {
        let line = self.0.lock().entry(who).or_insert_with(|| Arc::new(Semaphore::new(1))).clone();
        let mut turn = Turn { turns: self, who, room: None };
        match tokio::time::timeout(READ_ROOM_WITHIN, line.acquire_owned()).await {
            Ok(Ok(room)) => turn.room = Some(room),
            _ => return Err(ClientError::Busy),
        }
        Ok(turn)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut turns = self.turns.0.lock();
        self.room = None;
        if turns.get(&self.who).is_some_and(|line| Arc::strong_count(line) == 1) {
            turns.remove(&self.who);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn who_has_a_file_read_waits_with_the_next_and_nobody_else_does() {
        let turns = Turns(Mutex::default());
        let (ada, ben) = (UserId([1; 16]), UserId([2; 16]));
        let first = turns.take(ada).await.unwrap();
        let mut second = Box::pin(turns.take(ada));
        assert!(second.as_mut().now_or_never().is_none());
        // Somebody who waits no longer leaves nothing behind.
        drop(Box::pin(turns.take(ada)));
        drop(turns.take(ben).await.unwrap());
        assert_eq!(turns.0.lock().len(), 1);
        drop(first);
        drop(second.await.unwrap());
        assert!(turns.0.lock().is_empty());
    }
}
