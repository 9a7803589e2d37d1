//! What a key holds.

use crate::{HybridTime, Version, WallMillis};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A committed item. Opaque bytes to the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The value.
    pub value: Bytes,
    /// The write that put it.
    pub version: Version,
    /// Commit time of that write.
    pub time: HybridTime,
    /// From then on the head may delete it; until it has, the item exists.
    pub expires: Option<WallMillis>,
}
