//! What a change of the placement would move.

use std::collections::BTreeMap;
use types::NodeId;

/// Replicas that come to and go from each node when one placement follows another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Movement {
    /// Partitions that each node takes up.
    pub gained: BTreeMap<NodeId, usize>,
    /// Partitions that each node gives away.
    pub lost: BTreeMap<NodeId, usize>,
}

impl Movement {
    /// From one placement to another, by partition.
    pub fn between(old: &[Vec<NodeId>], new: &[Vec<NodeId>]) -> Movement {
        let mut movement = Movement::default();
        for (old, new) in old.iter().zip(new) {
            for node in new.iter().filter(|node| !old.contains(node)) {
                *movement.gained.entry(*node).or_default() += 1;
            }
            for node in old.iter().filter(|node| !new.contains(node)) {
                *movement.lost.entry(*node).or_default() += 1;
            }
        }
        movement
    }

    /// Replicas that are copied somewhere.
    pub fn copies(&self) -> usize {
        self.gained.values().sum()
    }
}
