//! Which blocks have been without reference and pin for long enough (`docs/decisions/collection.md`).

use std::collections::BTreeSet;
use types::{BlockHash, Chain, MemberState, NodeId};

/// Blocks that wait for their grace to end; others wait for the pass after.
const MARKED_MAX: usize = 200_000;

/// What one pass over the disk tells the next.
#[derive(Clone, Debug, Default)]
pub struct Collector {
    before: BTreeSet<BlockHash>,
    marked: BTreeSet<BlockHash>,
}

impl Collector {
    /// These blocks are kept by nothing, as far as is known here. Gives those that were so a pass ago, too: they
    /// are to be condemned, looked up by a strong read, and deleted if they are condemned still.
    pub fn look(&mut self, free: Vec<BlockHash>) -> Vec<BlockHash> {
        let (again, fresh): (Vec<_>, Vec<_>) = free.into_iter().partition(|hash| self.before.contains(hash));
        let room = MARKED_MAX.saturating_sub(self.marked.len());
        self.marked.extend(fresh.into_iter().take(room));
        again
    }

    /// These were looked up, and are here still: the next pass tries them again.
    pub fn stay(&mut self, left: impl IntoIterator<Item = BlockHash>) {
        self.marked.extend(left);
    }

    /// The pass ends; the next begins one grace time later.
    pub fn end(&mut self) {
        self.before = std::mem::take(&mut self.marked);
    }
}

/// Whether that chain is all that it should be without this node, so that its members can say whether they need
/// anything from here.
pub fn settled_without(chain: &Chain, me: NodeId) -> bool {
    let serving = chain.members.iter().all(|member| member.state == MemberState::Serving);
    let wanted = chain.wanted.iter().all(|node| chain.member(*node).is_some() && *node != me);
    serving && wanted && !chain.wanted.is_empty() && chain.member(me).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{ChainMember, Incarnation, ReplicaId};

    fn block(n: u8) -> BlockHash {
        BlockHash([n; 32])
    }

    #[test]
    fn only_what_was_free_a_pass_ago_and_is_free_still_is_looked_up() {
        let mut collector = Collector::default();
        assert_eq!(collector.look(vec![block(1), block(2), block(3)]), vec![]);
        collector.end();
        // 2 was kept meanwhile.
        assert_eq!(collector.look(vec![block(1), block(3), block(4)]), vec![block(1), block(3)]);
        collector.stay([block(3)]);
        collector.end();
        assert_eq!(collector.look(vec![block(2), block(3), block(4)]), vec![block(3), block(4)]);
    }

    #[test]
    fn a_chain_that_changes_is_not_asked() {
        let member =
            |n, state| ChainMember { replica: ReplicaId { node: NodeId(n), incarnation: Incarnation(1) }, state };
        let serving = [2, 3].map(|n| member(n, MemberState::Serving)).to_vec();
        let chain = Chain { members: serving, wanted: vec![NodeId(2), NodeId(3)], ..Chain::default() };
        assert!(settled_without(&chain, NodeId(1)));
        assert!(!settled_without(&chain, NodeId(2)));
        let missing = Chain { wanted: vec![NodeId(2), NodeId(3), NodeId(4)], ..chain.clone() };
        assert!(!settled_without(&missing, NodeId(1)));
        let mut filling = chain;
        filling.members[1].state = MemberState::Syncing;
        assert!(!settled_without(&filling, NodeId(1)));
    }
}
