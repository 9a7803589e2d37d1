//! How the copies of blocks on this node are, for somebody who asks about a file.

use super::BlockKeeper;
use crate::node::Inner;
use crate::reads::blocking;
use rpc::wire::{BlockCopies, BlockCopy, COPIES_MAX, COPIES_READ_MAX, Fault};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use storage::StorageError;
use types::{BlockHash, WallMillis};

/// Questions that have blocks read, at a time: readers need the disk, too.
pub(super) const VERIFYING_MAX: usize = 2;
/// How long one waits for others.
const ROOM_WITHIN: Duration = Duration::from_secs(5);

impl Inner {
    /// In the order asked for. What should be here and is not, or is damaged, is mended from now on.
    pub(super) async fn block_copies(self: &Arc<Self>, request: BlockCopies) -> Result<Vec<BlockCopy>, Fault> {
        let BlockCopies { hashes, read } = request;
        if hashes.len() > if read { COPIES_READ_MAX } else { COPIES_MAX } {
            return Err(Fault::Invalid("too many blocks in one question".into()));
        }
        let blocks = &self.blocks;
        let mut damaged = vec![false; hashes.len()];
        if read {
            let room = tokio::time::timeout(ROOM_WITHIN, blocks.verifying.acquire()).await;
            let Ok(Ok(_room)) = room else { return Err(Fault::Busy) };
            for (hash, damaged) in hashes.iter().zip(&mut damaged) {
                *damaged = !blocks.verify(self, *hash).await.0;
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
        let store = self.store.clone();
        let look = move |hash: &BlockHash| match store.verified(hash) {
            Ok(Some(at)) => {
                let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
                let verified = WallMillis(since.as_millis().try_into().unwrap_or(u64::MAX));
                Ok(BlockCopy::Intact { verified })
            }
            Ok(None) => Ok(BlockCopy::Absent),
            Err(StorageError::Damaged(_)) => Ok(BlockCopy::Damaged),
            Err(error) => Err(error),
        };
        blocking(move || hashes.iter().map(look).collect()).await
    }
}
