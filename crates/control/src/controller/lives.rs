//! Lives that the metadata store keeps itself: the leader looks at their renewals, and believes a lease to
//! run from the moment at which it saw that it was renewed, which is later than the renewal was sent.
//!
//! Safe because a life is ended only at the very renewal that was seen: had it been renewed since, the
//! ending fails. So whatever the leader did not see, or sees late, costs time and nothing else.

use super::leases::LeaseBook;
use crate::store::{LifeChange, Renewal};
use std::collections::BTreeMap;
use std::time::Duration;
use types::{Layout, Monotonic, NodeInfo, ReplicaId};

/// What one leader has seen of the renewals.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    seen: BTreeMap<ReplicaId, Option<i32>>,
    last: Option<Monotonic>,
}

/// The lives of these nodes that go on.
pub(super) fn living<'a>(nodes: impl IntoIterator<Item = &'a NodeInfo>) -> Vec<ReplicaId> {
    let alive = nodes.into_iter().filter(|node| node.alive);
    alive.map(|node| ReplicaId { node: node.id, incarnation: node.incarnation }).collect()
}

impl Watched {
    /// These renewals were seen, in answer to a question that was answered by `now`.
    pub fn look(&mut self, book: &mut LeaseBook, lives: &[(ReplicaId, Option<Renewal>)], now: Monotonic) {
        // While the leader saw nothing, perhaps nobody could renew.
        if self.last.is_some_and(|last| now - last > book.lease() / 2) {
            book.begin_again(now);
        }
        self.last = Some(now);
        self.seen.retain(|known, _| lives.iter().any(|(life, _)| life == known));
        for (life, renewal) in lives {
            let longer = renewal.map_or(Duration::ZERO, |renewal| renewal.lease.saturating_sub(book.lease()));
            let number = renewal.map(|renewal| renewal.number);
            match self.seen.insert(*life, number) {
                Some(before) if before == number => {}
                // The first that this leader sees may be as old as the life itself, or a moment old.
                None => book.presume(*life, now + longer),
                // It was ended by nobody that this leader knows of: what it last had must run out.
                Some(_) if number.is_none() => book.presume(*life, now),
                Some(_) => {
                    book.grant(*life, now + longer);
                }
            }
        }
    }

    /// Before anything is decided: a life that was not looked at yet may have been renewed just now.
    pub fn presume_unseen(&self, book: &mut LeaseBook, layout: &Layout, now: Monotonic) {
        for life in living(layout.nodes.values()).into_iter().filter(|life| !self.seen.contains_key(life)) {
            book.presume(life, now);
        }
    }

    /// How that life, whose lease has run out by what was seen, is ended.
    pub fn ending(&self, book: &LeaseBook, life: ReplicaId) -> LifeChange {
        match self.seen.get(&life) {
            Some(Some(number)) if !book.is_voided(life) => LifeChange::EndUnrenewed(life, *number),
            // Its own word, or it is gone already.
            _ => LifeChange::End(life),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::Liveness;
    use types::{Incarnation, NodeId};

    const LEASE: Duration = Duration::from_secs(1);
    const LIFE: ReplicaId = ReplicaId { node: NodeId(1), incarnation: Incarnation(7) };

    fn at(millis: u64) -> Monotonic {
        Monotonic(millis * 1_000_000)
    }

    fn renewal(number: i32) -> Option<Renewal> {
        Some(Renewal { number, lease: LEASE })
    }

    #[test]
    fn a_life_is_ended_only_at_the_renewal_that_was_seen_a_lease_ago() {
        let (mut book, mut watched) = (LeaseBook::new(LEASE, at(0)), Watched::default());
        let mut look = |book: &mut LeaseBook, number, millis| {
            watched.look(book, &[(LIFE, renewal(number))], at(millis));
            watched.ending(book, LIFE)
        };
        look(&mut book, 3, 400);
        assert_eq!(book.liveness(LIFE, at(1_400)), Liveness::Unsettled, "it may have been renewed at 400");
        for millis in [800, 1_200] {
            look(&mut book, 3, millis);
        }
        assert_eq!(book.liveness(LIFE, at(1_451)), Liveness::Void);
        look(&mut book, 4, 1_500);
        assert_eq!(book.liveness(LIFE, at(2_500)), Liveness::Alive);
        let ending = (1_900..3_000).step_by(400).map(|millis| look(&mut book, 4, millis)).last();
        assert_eq!(book.liveness(LIFE, at(2_551)), Liveness::Void);
        assert_eq!(ending, Some(LifeChange::EndUnrenewed(LIFE, 4)));
        book.void(LIFE);
        assert_eq!(watched.ending(&book, LIFE), LifeChange::End(LIFE));
    }

    #[test]
    fn a_leader_that_saw_nothing_for_a_while_begins_again() {
        let (mut book, mut watched) = (LeaseBook::new(LEASE, at(0)), Watched::default());
        watched.look(&mut book, &[(LIFE, renewal(1))], at(0));
        watched.look(&mut book, &[(LIFE, renewal(2))], at(100));
        // ZooKeeper was away.
        watched.look(&mut book, &[(LIFE, renewal(2))], at(9_000));
        assert_eq!(book.liveness(LIFE, at(10_000)), Liveness::Unsettled);
        assert_eq!(book.liveness(LIFE, at(10_051)), Liveness::Void);
    }

    #[test]
    fn a_longer_lease_than_the_leaders_own_is_waited_for() {
        let (mut book, mut watched) = (LeaseBook::new(LEASE, at(0)), Watched::default());
        let long = |number| Some(Renewal { number, lease: LEASE * 3 });
        watched.look(&mut book, &[(LIFE, long(1))], at(0));
        watched.look(&mut book, &[(LIFE, long(2))], at(100));
        assert_eq!(book.liveness(LIFE, at(3_050)), Liveness::Alive);
    }

    #[test]
    fn what_was_never_looked_at_is_not_void() {
        let (mut book, watched) = (LeaseBook::new(LEASE, at(0)), Watched::default());
        let mut layout = Layout::default();
        let info = NodeInfo { incarnation: LIFE.incarnation, alive: true, capacity: 1, ..NodeInfo::unborn(LIFE.node) };
        layout.nodes.insert(LIFE.node, info);
        watched.presume_unseen(&mut book, &layout, at(60_000));
        assert_eq!(book.liveness(LIFE, at(60_000)), Liveness::Unsettled);
    }
}
