//! How the copies of blocks on this node are, for somebody who asks about a file.

use super::BlockKeeper;
use super::scrub::pace;
use crate::node::Inner;
use crate::reads::blocking;
use rpc::wire::{BlockCopies, BlockCopy, COPIES_MAX, COPIES_READ_MAX, Fault};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};
use storage::{BlockStore, StorageError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use types::{BlockHash, Monotonic, WallMillis};

/// Questions that have blocks read, at a time, and how many bytes a second: readers need the disk, too.
pub(super) const VERIFYING_MAX: usize = 1;
const RATE: u64 = 64 << 20;
/// How long one waits for others, and how long it reads then. What was read by then is not read again.
const READ_ROOM_WITHIN: Duration = Duration::from_secs(4);
const READ_WITHIN: Duration = Duration::from_secs(5);
/// Questions that look at files only, at a time; how long one waits for others, and how long it looks.
pub(super) const LOOKING_MAX: usize = 4;
const LOOK_ROOM_WITHIN: Duration = Duration::from_millis(300);
const LOOK_WITHIN: Duration = Duration::from_millis(500);
/// What was read this lately is not read again because somebody asks.
const LATELY: Duration = Duration::from_secs(600);
/// Blocks of which that is remembered: more than are read at that rate in that time.
const LATELY_MAX: usize = 65_536;

/// Blocks that were read lately, and were good.
#[derive(Default)]
pub(super) struct Lately(HashMap<BlockHash, Monotonic>);

impl Lately {
    pub fn read(&mut self, hash: BlockHash, now: Monotonic) {
        if self.0.len() >= LATELY_MAX {
            self.0.retain(|_, read| now - *read < LATELY);
        }
        if self.0.len() < LATELY_MAX {
            self.0.insert(hash, now);
        }
    }

    pub fn forget(&mut self, hash: &BlockHash) {
        self.0.remove(hash);
    }

    fn has(&self, hash: &BlockHash, now: Monotonic) -> bool {
        self.0.get(hash).is_some_and(|read| now - *read < LATELY)
    }
}

async fn room(rooms: &Arc<Semaphore>, within: Duration) -> Result<OwnedSemaphorePermit, Fault> {
    match tokio::time::timeout(within, rooms.clone().acquire_owned()).await {
        Ok(Ok(room)) => Ok(room),
        _ => Err(Fault::Busy),
    }
}

impl Inner {
    /// In the order asked for. What should be here and is not, or is damaged, is mended from now on. Busy: ask again,
    /// what was read meanwhile counts.
    pub(super) async fn block_copies(self: &Arc<Self>, request: BlockCopies) -> Result<Vec<BlockCopy>, Fault> {
        let BlockCopies { hashes, read } = request;
        if hashes.len() > if read { COPIES_READ_MAX } else { COPIES_MAX } {
            return Err(Fault::Invalid("too many blocks in one question".into()));
        }
        let blocks = &self.blocks;
        let mut damaged = vec![false; hashes.len()];
        if read {
            let _room = room(&blocks.verifying, READ_ROOM_WITHIN).await?;
            let late = Instant::now() + READ_WITHIN;
            for (hash, damaged) in hashes.iter().zip(&mut damaged) {
                if blocks.lately.lock().has(hash, blocks.clock.monotonic()) {
                    continue;
                }
                if Instant::now() >= late {
                    return Err(Fault::Busy);
                }
                let (good, size) = blocks.verify(self, *hash).await;
                *damaged = !good;
                pace(size, RATE).await;
            }
        }
        let copies = blocks.look_at(hashes.clone()).await?;
        let judged = copies.into_iter().zip(damaged).zip(hashes).map(|((copy, damaged), hash)| {
            if matches!(copy, BlockCopy::Absent | BlockCopy::Damaged) {
                blocks.suspect(hash);
            }
            if damaged { BlockCopy::Damaged } else { copy }
        });
        Ok(judged.collect())
    }
}

impl BlockKeeper {
    async fn look_at(&self, hashes: Vec<BlockHash>) -> Result<Vec<BlockCopy>, Fault> {
        // Held until the disk has answered, whoever has gone by then.
        let room = room(&self.looking_at, LOOK_ROOM_WITHIN).await?;
        let store = self.store.clone();
        let late = Instant::now() + LOOK_WITHIN;
        let looked = blocking(move || {
            let _room = room;
            let mut found = Vec::with_capacity(hashes.len());
            for hash in &hashes {
                if Instant::now() >= late {
                    return Ok(None);
                }
                found.push(copy(&store, hash)?);
            }
            Ok(Some(found))
        });
        looked.await?.ok_or(Fault::Busy)
    }
}

fn copy(store: &BlockStore, hash: &BlockHash) -> Result<BlockCopy, StorageError> {
    match store.verified(hash) {
        Ok(Some(at)) => {
            let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
            let verified = WallMillis(since.as_millis().try_into().unwrap_or(u64::MAX));
            Ok(BlockCopy::Intact { verified })
        }
        Ok(None) => Ok(BlockCopy::Absent),
        Err(StorageError::Damaged(_)) => Ok(BlockCopy::Damaged),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_lately_is_remembered_within_bounds() {
        let mut lately = Lately::default();
        let at = |seconds| Monotonic::default() + Duration::from_secs(seconds);
        let hash = |n: usize| BlockHash::of(&n.to_be_bytes());
        (0..LATELY_MAX).for_each(|n| lately.read(hash(n), at(1)));
        lately.read(hash(LATELY_MAX), at(2));
        assert!(lately.has(&hash(0), at(600)) && !lately.has(&hash(LATELY_MAX), at(3)));
        assert!(!lately.has(&hash(0), at(601)), "it is to be read again");
        lately.read(hash(LATELY_MAX), at(601));
        assert!(lately.has(&hash(LATELY_MAX), at(602)) && lately.0.len() == 1);
        lately.forget(&hash(LATELY_MAX));
        assert!(lately.0.is_empty());
    }
}
