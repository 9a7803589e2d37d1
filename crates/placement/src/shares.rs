//! How many partitions each node should hold, so that shares follow capacity as far as zones let them.
//!
//! All shares rise together in proportion to capacity until everything finds room (a water level).
//! Where a few nodes hold it back, say the only ones of a small zone, these keep their share and the
//! others' sink again as far as they can; so one small zone does not unbalance the rest. Garage's
//! layout (its paper, section on optimal assignment) has the same aim with one level for all.

use crate::Candidate;
use crate::assignment::{Assignment, Room, Rules};
use std::collections::BTreeMap;
use types::NodeId;

/// Parts of a partition that shares are counted in.
pub(crate) const FINENESS: u64 = 256;

/// What each candidate may hold: its share rounded down, and one more where there is a rest. With this
/// room there is a place for everything, since there is one with shares in parts of partitions and all
/// other limits are whole (the integrality of flows).
pub(crate) fn rooms(candidates: &[&Candidate], rules: Rules) -> Vec<Room> {
    let mut fixed: BTreeMap<NodeId, u64> = BTreeMap::new();
    // A level is the share of the most capable node.
    let most = candidates.iter().map(|candidate| candidate.capacity).max().unwrap_or(1);
    let least = candidates.iter().map(|candidate| candidate.capacity).min().unwrap_or(1).max(1);
    let whole = rules.partitions as u64 * FINENESS;
    let highest = u64::try_from(u128::from(whole) * u128::from(most) / u128::from(least) + 1).unwrap_or(u64::MAX);
    let shares = |level: u64, fixed: &BTreeMap<NodeId, u64>| -> Vec<u64> {
        let share = |candidate: &&Candidate| {
            let share = (u128::from(level) * u128::from(candidate.capacity)).div_ceil(u128::from(most));
            let share = u64::try_from(share).unwrap_or(u64::MAX).min(whole);
            fixed.get(&candidate.node).copied().unwrap_or(share)
        };
        candidates.iter().map(share).collect()
    };
    let total = rules.replicas as u64 * whole;
    loop {
        // Below this level the shares don't add up to everything, whatever the zones are.
        let open = candidates.iter().filter(|candidate| !fixed.contains_key(&candidate.node));
        let capacity: u128 = open.map(|candidate| u128::from(candidate.capacity)).sum();
        let left = total.saturating_sub(fixed.values().sum());
        let mut low = u64::try_from(u128::from(left) * u128::from(most) / capacity.max(1)).unwrap_or(u64::MAX);
        let mut high = low;
        let mut step = 1;
        let mut bottleneck = Vec::new();
        let mut fits = |level: u64| {
            let rooms: Vec<Room> = shares(level, &fixed).into_iter().map(|base| Room { base, extra: 0 }).collect();
            let mut assignment = Assignment::new(candidates, &rooms, rules, FINENESS, &[]);
            let fits = assignment.fill() == total;
            if !fits {
                bottleneck = assignment.bottleneck();
            }
            fits
        };
        // At the highest level every node may hold everything.
        while high < highest && !fits(high) {
            low = high + 1;
            high = high.saturating_add(step).min(highest);
            step = step.saturating_mul(4);
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if fits(middle) { high = middle } else { low = middle + 1 }
        }
        let shares = shares(high, &fixed);
        let before = fixed.len();
        for (candidate, share) in candidates.iter().zip(&shares) {
            if bottleneck.contains(&candidate.node) {
                fixed.entry(candidate.node).or_insert(*share);
            }
        }
        if fixed.len() == before || fixed.len() == candidates.len() {
            let room = |share: u64| Room { base: share / FINENESS, extra: u64::from(!share.is_multiple_of(FINENESS)) };
            return shares.into_iter().map(room).collect();
        }
    }
}
