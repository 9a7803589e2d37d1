//! Identifiers and counters. Each is a type of its own, so that an epoch
//! cannot be handed where a sequence is meant.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A machine's place in the cluster: 1, 2, 3 … given out once, never reused.
    NodeId(u64)
}
number! {
    /// One life of a node. A process start, or the loss of a lease, begins a new one.
    Incarnation(u64)
}
number! {
    /// A slice of the hash space of partition keys: `0..partition_count`.
    PartitionId(u16)
}
number! {
    /// The generation of one partition's chain. Rises at every change of its members.
    Epoch(u64)
}
number! {
    /// The position of a write in its partition's history: 1, 2, 3 … without holes,
    /// continuing across epochs. 0 is "nothing yet".
    Seq(u64)
}
number! {
    /// The version of everything in the metadata that routing depends on.
    LayoutVersion(u64)
}
number! {
    /// A table, by number; names are in the metadata.
    TableId(u32)
}
number! {
    /// Random, made once with the cluster.
    ClusterId(u128)
}

impl Seq {
    /// The next sequence.
    #[must_use]
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

impl Epoch {
    /// The next epoch.
    #[must_use]
    pub fn next(self) -> Epoch {
        Epoch(self.0 + 1)
    }
}

/// A write's version: ⟨epoch, sequence⟩, ordered by epoch first. Two entries
/// with the same version are the same entry, because an epoch has one head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// Epoch in which the head ordered the write.
    pub epoch: Epoch,
    /// Position in the partition's history.
    pub seq: Seq,
}

impl Version {
    /// Before every write.
    pub const ZERO: Version = Version { epoch: Epoch(0), seq: Seq(0) };

    /// ⟨epoch, seq⟩ from plain numbers.
    pub fn new(epoch: u64, seq: u64) -> Version {
        Version { epoch: Epoch(epoch), seq: Seq(seq) }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

impl std::str::FromStr for Version {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Version, Self::Err> {
        let parse = || {
            let (epoch, seq) = text.split_once('.')?;
            Some(Version::new(epoch.parse().ok()?, seq.parse().ok()?))
        };
        parse().ok_or("a version looks like 3.1507 (epoch.sequence)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_order_by_epoch_first() {
        assert!(Version::new(2, 1) > Version::new(1, 900));
        assert_eq!("3.1507".parse(), Ok(Version::new(3, 1507)));
        assert!("3".parse::<Version>().is_err());
    }
}
