//! Files as blocks: cut, pinned, stored on enough nodes, referenced; read back from
//! the nearest holder and checked.
//!
//! A block's rows are in the reserved strong table [`types::layout::BLOCKS_TABLE`], under the
//! partition key that is its hash: `p`‖upload id, an expiring *pin* that keeps collection
//! away while an upload is under way, and `r`‖owner, a *reference* that lasts until its
//! owner takes it back. The order is: pin, look for the block, store it, reference it, and only
//! then name it in a drive. Each step may be repeated without harm.

mod compose;
mod content;
mod copies;
mod get;
mod index;
mod listed;
mod pins;
mod put;
mod read;
mod references;
mod write;

pub use compose::composed_hash;
pub use content::{BlockRef, Body, Content, INLINE_BYTES_MAX, IndexRef};
pub use copies::{Copies, NodeCopies};
pub use listed::BlockAt;
pub(crate) use pins::Pins;

use crate::ClientError;
use bytes::Bytes;
use types::BlockHash;

/// Names one upload: its blocks are pinned under it for a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct UploadId(pub u128);

impl UploadId {
    /// A fresh one.
    pub fn random() -> UploadId {
        UploadId(rand::random())
    }
}

/// Bytes that are hashed at once without leaving the thread.
const HASHED_IN_PLACE: usize = 16 * 1024;

/// Runs what takes the processor for a while, away from the threads that serve connections.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ClientError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ClientError::Unreachable { tried: Vec::new(), why: format!("a worker stopped: {error}") })
}

async fn hash_of(raw: &Bytes) -> Result<BlockHash, ClientError> {
    if raw.len() <= HASHED_IN_PLACE {
        return Ok(BlockHash::of(raw));
    }
    let raw = raw.clone();
    off_thread(move || BlockHash::of(&raw)).await
}
