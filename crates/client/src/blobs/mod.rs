//! Files as blocks.

mod content;

pub use content::{BlockRef, Body, Content, INLINE_BYTES_MAX, IndexRef};

/// Names one upload: its blocks are pinned under it until it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct UploadId(pub u128);

impl UploadId {
    /// A fresh one.
    pub fn random() -> UploadId {
        UploadId(rand::random())
    }
}
