//! The order within each list: who is to head a chain and who is to end it.

use std::collections::BTreeMap;
use types::NodeId;

/// Orders each list so that every node heads, and ends, about as many chains as the others.
pub(crate) fn spread(placed: &mut [Vec<NodeId>]) {
    let mut heads: BTreeMap<NodeId, usize> = BTreeMap::new();
    let mut tails: BTreeMap<NodeId, usize> = BTreeMap::new();
    let fewest = |counts: &BTreeMap<NodeId, usize>, nodes: &[NodeId]| {
        nodes.iter().copied().min_by_key(|node| (counts.get(node).copied().unwrap_or(0), *node))
    };
    for nodes in placed {
        nodes.sort();
        let Some(head) = fewest(&heads, nodes) else { continue };
        *heads.entry(head).or_default() += 1;
        nodes.retain(|node| *node != head);
        if let Some(tail) = fewest(&tails, nodes) {
            *tails.entry(tail).or_default() += 1;
            nodes.retain(|node| *node != tail);
            nodes.push(tail);
        }
        nodes.insert(0, head);
    }
}
