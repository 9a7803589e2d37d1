//! A removed node is not counted on, and never acts again: nothing rests on it when it goes, and from then on it
//! neither commits nor answers anybody.

use super::{Invariant, Ledger, Observed};
use replication::chain::Answer;
use std::collections::BTreeSet;
use types::{Layout, NodeId};

/// Who was removed.
#[derive(Default)]
pub(super) struct Removed {
    removed: BTreeSet<NodeId>,
}

impl Removed {
    fn acts(&self, node: NodeId, what: &str) -> Result<(), String> {
        match self.removed.contains(&node) {
            true => Err(format!("{node} {what}, and was removed")),
            false => Ok(()),
        }
    }

    fn check(&self, layout: &Layout) -> Result<(), String> {
        for (index, chain) in layout.chains.iter().enumerate() {
            let members = chain.members.iter().map(|member| member.replica.node);
            if let Some(node) = members.chain(chain.complete.iter().copied()).find(|node| self.removed.contains(node)) {
                return Err(format!("partition {index} counts on {node}, which was removed"));
            }
        }
        let back = layout.nodes.keys().find(|node| self.removed.contains(node));
        back.map_or(Ok(()), |node| Err(format!("{node} is a member again")))
    }
}

impl Invariant for Removed {
    fn observe(&mut self, _at: u64, seen: &Observed<'_>, _ledger: &Ledger) -> Result<(), String> {
        match seen {
            Observed::Layout { before, now } => {
                self.removed.extend(before.nodes.keys().filter(|node| !now.nodes.contains_key(node)));
                self.check(now)
            }
            Observed::Committed { replica, .. } => self.acts(replica.node, "commits"),
            Observed::Read { replica, .. } => self.acts(replica.node, "answers a strong read"),
            Observed::Answered { replica, answer: Answer::Committed(_), .. } => {
                self.acts(replica.node, "answers a writer")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    fn with_nodes(nodes: &[u64], serving: &[u64]) -> Layout {
        let node = |id: &u64| (NodeId(*id), types::NodeInfo::unborn(NodeId(*id)));
        Layout { nodes: nodes.iter().map(node).collect(), ..layout(1, serving, serving) }
    }

    #[test]
    fn fires_when_a_chain_counts_on_a_removed_node() {
        let mut all = Invariants::new();
        let (before, now) = (with_nodes(&[1, 2], &[1]), with_nodes(&[1], &[1]));
        all.observe(0, &Observed::Layout { before: &before, now: &now }).unwrap();
        let now = with_nodes(&[1], &[1, 2]);
        assert!(all.observe(0, &Observed::Layout { before: &before, now: &now }).is_err());
    }

    #[test]
    fn fires_when_a_removed_node_answers() {
        let mut all = Invariants::new();
        let (before, now) = (with_nodes(&[1, 2], &[1]), with_nodes(&[1], &[1]));
        leased(&mut all, 2);
        let read = Observed::Read { replica: replica(2), partition: P, versions: &[], now: Monotonic(0) };
        all.observe(0, &read).unwrap();
        all.observe(0, &Observed::Layout { before: &before, now: &now }).unwrap();
        assert!(all.observe(0, &read).unwrap_err().contains("was removed"));
    }
}
