//! Which nodes should hold which partition: pure.
//!
//! **Owns** the choice of replicas ([`place`]), their order, and what a change of it would move
//! ([`Movement`]). **Invariants**: a partition's replicas are distinct nodes, in different zones where
//! there are enough zones; shares follow capacity as far as zones let them; as few replicas move as
//! these rules allow. **Leaves to others** when and how data moves (`control`). **Proved by** the
//! property tests in `tests/`, over thousands of random clusters, and by exhaustive search over small ones.

mod assignment;
mod flow;
mod heads;
mod movement;
mod shares;

pub use movement::Movement;

use assignment::{Assignment, Rules};
use std::collections::BTreeSet;
use types::NodeId;

/// A node that may hold partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its number.
    pub node: NodeId,
    /// Failure domain.
    pub zone: String,
    /// Share relative to the others; 0 holds nothing.
    pub capacity: u64,
}

/// Chooses `replicas` nodes (fewer when there are fewer) for each partition, as close to
/// `previous` as balance allows. The first of each list is the preferred head, the last the tail.
pub fn place(candidates: &[Candidate], replicas: usize, previous: &[Vec<NodeId>]) -> Vec<Vec<NodeId>> {
    let mut candidates: Vec<&Candidate> = candidates.iter().filter(|candidate| candidate.capacity > 0).collect();
    candidates.sort_by_key(|candidate| candidate.node);
    candidates.dedup_by_key(|candidate| candidate.node);
    let replicas = replicas.min(candidates.len());
    if replicas == 0 {
        return vec![Vec::new(); previous.len()];
    }
    let zone_share = zone_share(&candidates, replicas);
    let rules = Rules { replicas, zone_share, partitions: previous.len() };
    let rooms = shares::rooms(&candidates, rules);
    let mut assignment = Assignment::new(&candidates, &rooms, rules, 1, previous);
    assignment.fill();
    let mut placed = assignment.chosen();
    heads::spread(&mut placed);
    placed
}

/// Replicas of one partition that a zone may take: the fewest with which all find a place.
fn zone_share(candidates: &[&Candidate], replicas: usize) -> usize {
    let zones: BTreeSet<&str> = candidates.iter().map(|candidate| candidate.zone.as_str()).collect();
    let room = |share: usize| -> usize {
        let in_zone = |zone: &&str| candidates.iter().filter(|candidate| candidate.zone == **zone).count();
        zones.iter().map(|zone| in_zone(zone).min(share)).sum()
    };
    (1..replicas).find(|share| room(*share) >= replicas).unwrap_or(replicas)
}
