//! Invariant 21: every block of an acknowledged file is whole on a machine of the cluster, at every moment.

use super::{Invariant, Ledger, Observed};
use std::collections::{BTreeMap, BTreeSet};
use types::{BlockHash, NodeId};

/// Files, and who has which block.
#[derive(Default)]
pub(super) struct Blocks {
    files: BTreeMap<u64, Vec<BlockHash>>,
    copies: BTreeMap<BlockHash, BTreeSet<NodeId>>,
}

impl Blocks {
    fn check(&self) -> Result<(), String> {
        for (name, blocks) in &self.files {
            let gone = |hash: &&BlockHash| self.copies.get(hash).is_none_or(BTreeSet::is_empty);
            if let Some(hash) = blocks.iter().find(gone) {
                return Err(format!("file {name} was acknowledged, and nobody has its block {hash}"));
            }
        }
        Ok(())
    }

    fn without(&mut self, node: NodeId) -> Result<(), String> {
        for nodes in self.copies.values_mut() {
            nodes.remove(&node);
        }
        self.check()
    }
}

impl Invariant for Blocks {
    fn observe(&mut self, _at: u64, seen: &Observed<'_>, _ledger: &Ledger) -> Result<(), String> {
        match seen {
            Observed::FileKept { name, blocks } => {
                self.files.insert(*name, blocks.to_vec());
                self.check()
            }
            Observed::FileGoing { name } => {
                self.files.remove(name);
                Ok(())
            }
            Observed::BlockStored { node, hash } => {
                self.copies.entry(*hash).or_default().insert(*node);
                Ok(())
            }
            Observed::BlockGone { node, hash } => {
                self.copies.entry(*hash).or_default().remove(node);
                self.check()
            }
            Observed::Wiped { node } => self.without(*node),
            Observed::Layout { before, now } if before.nodes.len() > now.nodes.len() => {
                let gone = before.nodes.keys().filter(|node| !now.nodes.contains_key(node));
                gone.copied().collect::<Vec<_>>().into_iter().try_for_each(|node| self.without(node))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use types::BlockHash;

    #[test]
    fn fires_when_the_last_copy_goes_and_when_there_never_was_one() {
        let hash = BlockHash([7; 32]);
        let mut all = Invariants::new();
        let kept = Observed::FileKept { name: 1, blocks: &[hash] };
        let stored = |node| Observed::BlockStored { node: NodeId(node), hash };
        all.observe(0, &stored(1)).unwrap();
        all.observe(0, &stored(2)).unwrap();
        all.observe(0, &kept).unwrap();
        all.observe(0, &Observed::BlockGone { node: NodeId(1), hash }).unwrap();
        violates(all.observe(0, &Observed::Wiped { node: NodeId(2) }), "21");
        violates(Invariants::new().observe(0, &kept), "21");
        let mut all = Invariants::new();
        all.observe(0, &stored(1)).unwrap();
        all.observe(0, &kept).unwrap();
        all.observe(0, &Observed::FileGoing { name: 1 }).unwrap();
        all.observe(0, &Observed::BlockGone { node: NodeId(1), hash }).unwrap();
    }
}
