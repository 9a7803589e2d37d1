//! Keys of items and blocks, and the partition that they fall into.

use crate::{PartitionId, TableId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An item's full address. Ordered by table, partition key, sort key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemKey {
    /// The table.
    pub table: TableId,
    /// Decides the partition; transactions stay within one.
    pub partition_key: Bytes,
    /// Orders items within the partition key; may be empty.
    pub sort_key: Bytes,
}

impl ItemKey {
    /// A key from its parts.
    pub fn new(table: TableId, partition_key: impl Into<Bytes>, sort_key: impl Into<Bytes>) -> Self {
        ItemKey { table, partition_key: partition_key.into(), sort_key: sort_key.into() }
    }
}

/// The hash of a partition key: first eight bytes, big-endian, of its BLAKE3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyHash(pub u64);

impl KeyHash {
    /// Hashes a partition key.
    pub fn of(partition_key: &[u8]) -> KeyHash {
        let mut first = [0u8; 8];
        first.copy_from_slice(&blake3::hash(partition_key).as_bytes()[..8]);
        KeyHash(u64::from_be_bytes(first))
    }

    /// The partition, of `count`, whose slice of the hash space holds this hash.
    pub fn partition(self, count: u16) -> PartitionId {
        PartitionId(((u128::from(self.0) * u128::from(count)) >> 64) as u16)
    }
}

/// The partition of a partition key in a cluster of `count` partitions.
pub fn partition_of(partition_key: &[u8], count: u16) -> PartitionId {
    KeyHash::of(partition_key).partition(count)
}

/// The BLAKE3 of a block's uncompressed bytes: its name everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockHash(pub [u8; 32]);

impl BlockHash {
    /// Hashes a block's bytes.
    pub fn of(bytes: &[u8]) -> BlockHash {
        BlockHash(*blake3::hash(bytes).as_bytes())
    }

    /// The partition that holds the block: its hash's, as for any partition key.
    pub fn partition(&self, count: u16) -> PartitionId {
        partition_of(&self.0, count)
    }
}

impl fmt::Display for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl std::str::FromStr for BlockHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<BlockHash, Self::Err> {
        const WANT: &str = "a block hash is 64 hexadecimal digits";
        if text.len() != 64 || !text.is_ascii() {
            return Err(WANT);
        }
        let mut out = [0u8; 32];
        for (i, byte) in out.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| WANT)?;
        }
        Ok(BlockHash(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_key_falls_into_a_partition(key: Vec<u8>, count in 1u16..1024) {
            prop_assert!(partition_of(&key, count).0 < count);
        }

        #[test]
        fn block_hashes_read_back(bytes: Vec<u8>) {
            let hash = BlockHash::of(&bytes);
            prop_assert_eq!(hash.to_string().parse(), Ok(hash));
        }
    }

    #[test]
    fn partitions_are_used_evenly() {
        let mut counts = [0u32; 64];
        for i in 0..64_000u32 {
            counts[partition_of(&i.to_be_bytes(), 64).0 as usize] += 1;
        }
        assert!(counts.iter().all(|&n| (800..1200).contains(&n)), "{counts:?}");
    }
}
