//! Operation ids: chosen by the client, they make a retry harmless.

use crate::{HybridTime, KeyHash, Version, WallMillis};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Names one write for ever. Carries the hash of the partition key, so that
/// `verify` finds the partition, and the creation time, so that ids older
/// than [`crate::limits::OPERATION_WINDOW`] can be refused rather than forgotten.
/// Text form: 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OperationId {
    /// When the client made it, by the client's clock.
    pub created: WallMillis,
    /// Of the transaction's partition key.
    pub key_hash: KeyHash,
    /// Random.
    pub nonce: u128,
}

impl OperationId {
    /// Length of [`Self::to_bytes`].
    pub const BYTES: usize = 32;

    /// Creation time first, so that ids sort by age.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out[..8].copy_from_slice(&self.created.0.to_be_bytes());
        out[8..16].copy_from_slice(&self.key_hash.0.to_be_bytes());
        out[16..].copy_from_slice(&self.nonce.to_be_bytes());
        out
    }

    /// The reverse of [`Self::to_bytes`].
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> OperationId {
        let word = |at: usize| {
            let mut w = [0u8; 8];
            w.copy_from_slice(&bytes[at..at + 8]);
            u64::from_be_bytes(w)
        };
        OperationId {
            created: WallMillis(word(0)),
            key_hash: KeyHash(word(8)),
            nonce: (u128::from(word(16)) << 64) | u128::from(word(24)),
        }
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for OperationId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<OperationId, Self::Err> {
        text.parse::<crate::BlockHash>()
            .map(|same_shape| OperationId::from_bytes(&same_shape.0))
            .map_err(|_| "an operation id is 64 hexadecimal digits")
    }
}

/// What `verify` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Committed, as this version.
    Applied {
        /// The write's version.
        version: Version,
        /// The write's commit time.
        time: HybridTime,
    },
    /// Ordered, not yet durable on every replica.
    Pending,
    /// Not applied, and never will be: a fence went down the chain.
    NotApplied,
    /// Older than the window in which ids are remembered.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_read_back_and_sort_by_age(created: u64, key_hash: u64, nonce: u128, later in 1u64..1000) {
            let id = OperationId { created: WallMillis(created), key_hash: KeyHash(key_hash), nonce };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            if let Some(created) = created.checked_add(later) {
                let younger = OperationId { created: WallMillis(created), key_hash: KeyHash(0), nonce: 0 };
                prop_assert!(younger.to_bytes() > id.to_bytes());
            }
        }
    }
}
