//! Leases, as the leader of the control plane keeps them: in memory, because a new leader
//! presumes every lease granted at the moment of its takeover (ruling 11).

use replication::lease::void_after;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use types::{Monotonic, NodeId, ReplicaId};

/// What the leader knows of a node's present life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// Renewed under this leader, and not run out.
    Alive,
    /// Not heard of under this leader: an earlier one may have granted a lease that still counts.
    Unsettled,
    /// Surely run out.
    Void,
}

/// The leases granted under one leadership.
#[derive(Clone, Debug)]
pub struct LeaseBook {
    lease: Duration,
    takeover: Monotonic,
    granted: BTreeMap<ReplicaId, Monotonic>,
    /// By whomever, as late as that.
    presumed: BTreeMap<ReplicaId, Monotonic>,
    /// The first grant of each life.
    began: BTreeMap<ReplicaId, Monotonic>,
    voided: BTreeSet<ReplicaId>,
}

impl LeaseBook {
    /// A leadership begins at `now`.
    pub fn new(lease: Duration, now: Monotonic) -> LeaseBook {
        let (granted, presumed, began) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        LeaseBook { lease, takeover: now, granted, presumed, began, voided: BTreeSet::new() }
    }

    /// For a while no majority was heard, so nobody could renew: presume again what a new leader
    /// presumes. Who was voided stays so, since the writing of it may yet take effect.
    pub fn begin_again(&mut self, now: Monotonic) {
        self.takeover = now;
        self.granted.clear();
        self.presumed.clear();
    }

    /// That life's lease may have been renewed as late as `at`, though not under this leader's eyes.
    pub fn presume(&mut self, replica: ReplicaId, at: Monotonic) {
        let known = self.presumed.entry(replica).or_insert(at);
        *known = (*known).max(at);
    }

    /// Since when that life's lease may run, at the latest.
    fn since(&self, replica: ReplicaId) -> Monotonic {
        let granted = self.granted.get(&replica).copied().unwrap_or(self.takeover);
        self.presumed.get(&replica).map_or(granted, |presumed| granted.max(*presumed))
    }

    /// Renews at `now`, after leadership was confirmed for it. False: that life is over.
    pub fn grant(&mut self, replica: ReplicaId, now: Monotonic) -> bool {
        if self.voided.contains(&replica) {
            return false;
        }
        self.began.retain(|other, _| other.node != replica.node || *other == replica);
        self.began.entry(replica).or_insert(now);
        let at = self.granted.entry(replica).or_insert(now);
        *at = (*at).max(now);
        true
    }

    /// Whether that life was first granted a lease so long ago that another, begun with it, would be known.
    pub fn held_for_long(&self, replica: ReplicaId, now: Monotonic) -> bool {
        self.began.get(&replica).is_some_and(|began| now - *began >= self.lease)
    }

    /// Whether that life was granted anything since the leadership began.
    pub fn has_granted(&self, replica: ReplicaId) -> bool {
        self.granted.contains_key(&replica)
    }

    /// How long a grant lasts.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// What is known at `now`.
    pub fn liveness(&self, replica: ReplicaId, now: Monotonic) -> Liveness {
        if self.voided.contains(&replica) || now - self.since(replica) > void_after(self.lease) {
            Liveness::Void
        } else if self.granted.contains_key(&replica) {
            Liveness::Alive
        } else {
            Liveness::Unsettled
        }
    }

    /// From now on that life gets no more grants: its end is about to be written down.
    pub fn void(&mut self, replica: ReplicaId) {
        self.voided.insert(replica);
    }

    /// Whether that life is known to be over.
    pub fn is_voided(&self, replica: ReplicaId) -> bool {
        self.voided.contains(&replica)
    }

    /// When the next thing may run out, if nothing is renewed.
    pub fn next_end(&self, nodes: impl Iterator<Item = ReplicaId>, now: Monotonic) -> Option<(NodeId, Monotonic)> {
        nodes
            .filter(|replica| self.liveness(*replica, now) != Liveness::Void)
            .map(|replica| (replica.node, self.since(replica) + void_after(self.lease)))
            .min_by_key(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Incarnation;

    const LEASE: Duration = Duration::from_secs(1);

    fn replica() -> ReplicaId {
        ReplicaId { node: NodeId(1), incarnation: Incarnation(7) }
    }

    fn at(millis: u64) -> Monotonic {
        Monotonic(millis * 1_000_000)
    }

    #[test]
    fn a_new_leader_presumes_leases_granted_at_its_takeover() {
        let book = LeaseBook::new(LEASE, at(10_000));
        assert_eq!(book.liveness(replica(), at(10_000)), Liveness::Unsettled);
        assert_eq!(book.liveness(replica(), at(11_050)), Liveness::Unsettled);
        assert_eq!(book.liveness(replica(), at(11_051)), Liveness::Void);
    }

    #[test]
    fn beginning_again_forgets_grants_but_not_who_was_voided() {
        let mut book = LeaseBook::new(LEASE, at(0));
        let other = ReplicaId { node: NodeId(2), incarnation: Incarnation(9) };
        assert!(book.grant(replica(), at(500)) && book.grant(other, at(500)));
        book.void(other);
        book.begin_again(at(9_000));
        assert_eq!(book.liveness(replica(), at(9_500)), Liveness::Unsettled);
        assert_eq!(book.liveness(other, at(9_500)), Liveness::Void);
        assert!(!book.grant(other, at(9_500)));
    }

    #[test]
    fn a_grant_lasts_longer_here_than_at_the_holder_and_a_voided_life_gets_none() {
        let mut book = LeaseBook::new(LEASE, at(0));
        assert!(book.grant(replica(), at(500)));
        assert_eq!(book.liveness(replica(), at(1_500)), Liveness::Alive);
        assert_eq!(book.liveness(replica(), at(1_551)), Liveness::Void);
        book.void(replica());
        assert!(!book.grant(replica(), at(1_552)));
        assert_eq!(book.liveness(replica(), at(1_552)), Liveness::Void);
    }
}
