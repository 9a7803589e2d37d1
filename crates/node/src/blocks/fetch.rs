//! Fetching a block from another node.

use super::BlockKeeper;
use rpc::wire::{Fault, method};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;
use types::{BlockHash, Layout, NodeId, NodeInfo, PartitionId};

const TIMEOUT: Duration = Duration::from_secs(10);
/// For one that lost its lease and may answer all the same.
const TIMEOUT_DEAD: Duration = Duration::from_secs(2);

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// It is here now.
    Here,
    /// Every node that lives answered that it has no good copy.
    Nowhere,
    /// Somebody did not answer, or it could not be written.
    Unclear,
}

/// Who may have a block: those of its chain first, then whoever was there before, then everybody else;
/// those without a lease last.
fn holders(layout: &Layout, partition: PartitionId, me: NodeId) -> Vec<NodeInfo> {
    let chain = layout.chain(partition);
    let members = chain.into_iter().flat_map(|chain| chain.members.iter().map(|member| member.replica.node));
    let complete = chain.into_iter().flat_map(|chain| chain.complete.iter().copied());
    let mut seen = BTreeSet::from([me]);
    let mut holders: Vec<NodeInfo> = members
        .chain(complete)
        .chain(layout.nodes.keys().copied())
        .filter(|node| seen.insert(*node))
        .filter_map(|node| layout.nodes.get(&node))
        .filter(|node| node.incarnation.0 > 0 && !node.address.is_empty())
        .cloned()
        .collect();
    holders.sort_by_key(|node| !node.alive);
    holders
}

impl BlockKeeper {
    pub(super) async fn fetch(&self, hash: BlockHash) -> Fetched {
        let layout = self.layout.borrow().clone();
        let mut unclear = false;
        for node in holders(&layout, self.partition_of(&hash), self.me) {
            let timeout = if node.alive { TIMEOUT } else { TIMEOUT_DEAD };
            let reply = self.pool.call(&node.address, method::GET_BLOCK, rpc::codec::encode(&hash), timeout).await;
            match reply.and_then(|body| rpc::codec::decode_head::<Result<bool, Fault>>(&body)) {
                Ok((Ok(true), raw)) => match self.write(hash, raw).await {
                    Ok(()) => {
                        self.fetched.fetch_add(1, Ordering::Relaxed);
                        tracing::info!(%hash, from = %node.id, "block fetched from another node");
                        return Fetched::Here;
                    }
                    // What it sent has another hash; it will hear of that from its own scrub.
                    Err(Fault::Invalid(_)) => {}
                    Err(fault) => {
                        tracing::warn!(%hash, %fault, "a block that was fetched could not be kept");
                        return Fetched::Unclear;
                    }
                },
                Ok((Ok(false) | Err(Fault::Damaged), _)) => {}
                Ok((Err(_), _)) | Err(_) => unclear |= node.alive,
            }
        }
        if unclear { Fetched::Unclear } else { Fetched::Nowhere }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Chain, ChainMember, Incarnation, MemberState, ReplicaId};

    #[test]
    fn the_chain_is_asked_first_then_everybody() {
        let replica = |n| ReplicaId { node: NodeId(n), incarnation: Incarnation(1) };
        let node = |n: u64| NodeInfo {
            id: NodeId(n),
            incarnation: Incarnation(1),
            alive: n != 3,
            address: format!("node-{n}"),
            grpc: String::new(),
            web: String::new(),
            zone: String::new(),
            capacity: 1,
            capacity_set: None,
            draining: false,
            release: String::new(),
            protocols: (1, 1),
        };
        let chain = Chain {
            members: [4, 2].map(|n| ChainMember { replica: replica(n), state: MemberState::Serving }).to_vec(),
            complete: [2, 3].map(NodeId).into(),
            ..Chain::default()
        };
        let nodes = (1..=5).map(|n| (NodeId(n), node(n))).collect();
        let layout = Layout { nodes, chains: vec![chain], ..Layout::default() };
        let order: Vec<u64> = holders(&layout, PartitionId(0), NodeId(2)).iter().map(|node| node.id.0).collect();
        assert_eq!(order, [4, 1, 5, 3]);
    }
}
