//! Lives of which it is known that their process has ended.
//!
//! A witness on the dying process' own machine says so to every node (see `node::witness`), because whoever leads may
//! have died with it, and whoever leads next must know. Such a life has nothing left to serve with, so
//! nobody need wait for its lease; what was not heard costs that wait, and nothing else.

use super::leading::Leading;
use std::collections::BTreeMap;
use types::{Incarnation, NodeId, ReplicaId};

/// The last life of each node that is known to have ended with its process.
#[derive(Clone, Debug, Default)]
pub struct Deaths(BTreeMap<NodeId, Incarnation>);

impl Deaths {
    /// That life's process has ended.
    pub fn hear(&mut self, life: ReplicaId) {
        let last = self.0.entry(life.node).or_insert(life.incarnation);
        *last = (*last).max(life.incarnation);
    }

    /// A leadership begins, and is told of them.
    pub fn tell(&self, leading: &mut Leading) {
        for (node, incarnation) in &self.0 {
            leading.surrenders(ReplicaId { node: *node, incarnation: *incarnation });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::LeaderToken;
    use std::time::Duration;
    use types::Monotonic;

    #[test]
    fn a_leader_that_follows_knows_who_died_before_it_led_and_a_later_life_goes_on() {
        let life = |incarnation| ReplicaId { node: NodeId(3), incarnation: Incarnation(incarnation) };
        let mut deaths = Deaths::default();
        deaths.hear(life(7));
        deaths.hear(life(5));
        let mut slot = None;
        let token = LeaderToken { term: 1, node: NodeId(1) };
        assert!(Leading::confirm(&mut slot, token, Duration::from_secs(1), Monotonic(0)));
        let mut leading = slot.unwrap();
        deaths.tell(&mut leading);
        assert!(!leading.renews(life(7), true, Monotonic(1)));
        assert!(leading.renews(life(8), true, Monotonic(1)));
    }
}
