//! How a node's copies of blocks are.

use serde::{Deserialize, Serialize};
use types::{BlockHash, WallMillis};

/// Blocks in one question.
pub const COPIES_MAX: usize = 1024;
/// Blocks in one question that has them read.
pub const COPIES_READ_MAX: usize = 32;

/// See [`super::method::BLOCK_COPIES`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockCopies {
    /// The blocks asked about, of any partitions; at most [`COPIES_MAX`].
    pub hashes: Vec<BlockHash>,
    /// Each is read and compared with its name first; then at most [`COPIES_READ_MAX`].
    pub read: bool,
}

/// A node's copy of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlockCopy {
    /// It is here.
    Intact {
        /// When it was last found to be what its name says, by the node's own clock.
        verified: WallMillis,
    },
    /// It is not here.
    Absent,
    /// It could not be read, or is not what its name says. The node mends it.
    Damaged,
}
