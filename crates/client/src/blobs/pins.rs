//! Pins: while an upload is under way, collection keeps away from what it pinned.

use super::UploadId;
use crate::{Client, ClientError};
use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;
use types::layout::BLOCKS_TABLE;
use types::{BlockHash, Transaction, Update, Version, WallMillis};

/// The part of its time that a pin made here is relied on without asking: a small one.
const RELIED_ON: u32 = 24;
/// Pins remembered here.
const REMEMBERED_MAX: usize = 16 * 1024;
/// Transactions on blocks that one request has under way.
pub(super) const AT_ONCE: usize = 32;

/// What is known of a pinned block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nobody was asked.
    NotAsked,
    /// Too few holders have it.
    Missing,
    /// Enough holders have it, and keep it while the pin holds.
    Stored,
}

/// A pin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pin {
    /// The write that made it.
    pub(super) version: Version,
    /// What is known of the block.
    pub(super) found: Found,
    made: Instant,
}

/// The pins that this process made lately, so that none is made twice for nothing.
#[derive(Default)]
pub(crate) struct Pins {
    remembered: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    pins: HashMap<(UploadId, BlockHash), Pin>,
    /// Oldest first; each key once.
    order: VecDeque<(UploadId, BlockHash)>,
}

impl Pins {
    fn get(&self, upload: UploadId, hash: BlockHash, lasts: Duration) -> Option<Pin> {
        let remembered = self.remembered.lock();
        remembered.pins.get(&(upload, hash)).filter(|pin| pin.made.elapsed() < lasts / RELIED_ON).copied()
    }

    fn insert(&self, upload: UploadId, hash: BlockHash, pin: Pin) {
        let mut remembered = self.remembered.lock();
        if remembered.pins.insert((upload, hash), pin).is_none() {
            remembered.order.push_back((upload, hash));
        }
        while remembered.order.len() > REMEMBERED_MAX {
            if let Some(oldest) = remembered.order.pop_front() {
                remembered.pins.remove(&oldest);
            }
        }
    }

    /// Remembers what was found out about a pinned block.
    pub(super) fn found(&self, upload: UploadId, hash: BlockHash, found: Found) {
        if let Some(pin) = self.remembered.lock().pins.get_mut(&(upload, hash)) {
            pin.found = found;
        }
    }
}

/// A block's row under one of its prefixes.
pub(super) fn sort_key(prefix: u8, name: &[u8]) -> Vec<u8> {
    [&[prefix], name].concat()
}

impl Client {
    /// Pins a block, unless that was done lately.
    pub(super) async fn pin(&self, upload: UploadId, hash: BlockHash) -> Result<Pin, ClientError> {
        let lasts = self.router.config.timeouts.pin;
        if let Some(pin) = self.pins.get(upload, hash, lasts) {
            return Ok(pin);
        }
        let until = WallMillis(self.now().0 + lasts.as_millis() as u64);
        let result = self
            .change_block(
                hash,
                Update::Put {
                    table: BLOCKS_TABLE,
                    sort_key: sort_key(b'p', &upload.0.to_be_bytes()).into(),
                    value: Vec::new().into(),
                    expires: Some(until),
                },
            )
            .await;
        let version = result.map_err(|error| match error {
            // Whether a pin is there or not harms nobody: nothing was stored under a name.
            ClientError::Unknown { why, .. } => ClientError::Unreachable { tried: Vec::new(), why },
            other => other,
        })?;
        let pin = Pin { version, found: Found::NotAsked, made: Instant::now() };
        self.pins.insert(upload, hash, pin);
        Ok(pin)
    }

    /// Pins many blocks.
    pub(super) async fn pin_all(
        &self,
        upload: UploadId,
        hashes: impl IntoIterator<Item = BlockHash>,
    ) -> Result<Vec<(BlockHash, Pin)>, ClientError> {
        stream::iter(hashes)
            .map(|hash| async move { Ok((hash, self.pin(upload, hash).await?)) })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Changes one row of a block.
    pub(super) async fn change_block(&self, hash: BlockHash, update: Update) -> Result<Version, ClientError> {
        let transaction = Transaction {
            operation: self.operation(&hash.0),
            partition_key: bytes::Bytes::copy_from_slice(&hash.0),
            conditions: Vec::new(),
            updates: vec![update],
        };
        self.transact(transaction).await.map(|result| result.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_remembered_for_a_while_and_not_without_bound() {
        let pins = Pins::default();
        let lasts = Duration::from_secs(24 * 3600);
        let pin = Pin { version: Version::new(1, 1), found: Found::NotAsked, made: Instant::now() };
        for n in 0..REMEMBERED_MAX as u32 + 1 {
            pins.insert(UploadId(1), BlockHash::of(&n.to_be_bytes()), pin);
        }
        let last = BlockHash::of(&(REMEMBERED_MAX as u32).to_be_bytes());
        assert!(pins.get(UploadId(1), BlockHash::of(&0u32.to_be_bytes()), lasts).is_none(), "the oldest made room");
        pins.found(UploadId(1), last, Found::Stored);
        assert_eq!(pins.get(UploadId(1), last, lasts).map(|pin| pin.found), Some(Found::Stored));
        assert!(pins.get(UploadId(2), last, lasts).is_none());
        assert_eq!(pins.remembered.lock().pins.len(), REMEMBERED_MAX);
        if let Some(long_ago) = Instant::now().checked_sub(lasts / RELIED_ON) {
            pins.insert(UploadId(1), last, Pin { made: long_ago, ..pin });
            assert!(pins.get(UploadId(1), last, lasts).is_none(), "too old to rely on");
        }
    }
}
