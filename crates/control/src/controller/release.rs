//! When a drained node is needed no more.
//!
//! It leaves its chains one by one, each once those that stay have every entry and every block; but a node that
//! restarts meanwhile has left all of them at once, with blocks that others still lack. So being in no chain is not
//! enough: everybody else must say, of the chain as it is now, that they have all its blocks; and that since it drains they have
//! read all that they hold, lest what nobody has read lately be rotten and its copy the only good one
//! (`docs/decisions/verified-drains.md`). That is written down with the node, and only then may it be removed.

use super::plan::Reports;
use types::{Chain, ChainMember, Drain, Incarnation, Layout, MemberState, NodeId, NodeInfo, PartitionId};

/// Draining nodes that became needless.
pub(super) fn released(layout: &Layout, reports: &Reports) -> Vec<NodeId> {
    // Who never began a life never held anything.
    let never_began =
        |drain: Drain| layout.nodes.get(&drain.node).is_some_and(|node| node.incarnation == Incarnation(0));
    let all_say_so = |chain: &Chain, partition: PartitionId| {
        chain.members.iter().all(|member| reports.whole.contains(&(partition, chain.epoch, member.replica)))
    };
    let chains = layout.chains.iter().zip(0..).map(|(chain, index)| (chain, PartitionId(index)));
    let free = |drain: Drain| {
        chains.clone().all(|(chain, partition)| {
            let read_again = |member: &ChainMember| reports.verified.contains(&(drain, member.replica));
            chain.member(drain.node).is_none()
                && whole(chain, drain.node)
                && all_say_so(chain, partition)
                && chain.members.iter().all(read_again)
        })
    };
    let drains = layout.nodes.values().filter_map(NodeInfo::drain);
    drains.filter(|drain| never_began(*drain) || free(*drain)).map(|drain| drain.node).collect()
}

/// Whether all that the chain wants is there without that node.
pub(super) fn whole(chain: &Chain, without: NodeId) -> bool {
    let serves = |node: &NodeId| {
        chain.complete.contains(node) && chain.member(*node).is_some_and(|member| member.state == MemberState::Serving)
    };
    !chain.wanted.is_empty() && !chain.wanted.contains(&without) && chain.wanted.iter().all(serves)
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Epoch, ReplicaId};

    #[test]
    fn a_node_is_released_once_it_is_in_no_chain_and_all_others_have_every_block() {
        let replica = |n| ReplicaId { node: NodeId(n), incarnation: Incarnation(1) };
        let member = |n| ChainMember { replica: replica(n), state: MemberState::Serving };
        let chain = |nodes: &[u64]| Chain {
            epoch: Epoch(4),
            members: nodes.iter().map(|n| member(*n)).collect(),
            complete: nodes.iter().map(|n| NodeId(*n)).collect(),
            wanted: [1, 2].map(NodeId).into(),
        };
        let info =
            |n| NodeInfo { incarnation: Incarnation(1), draining: n == 3, drains: 2, ..NodeInfo::unborn(NodeId(n)) };
        let mut layout = Layout { chains: vec![chain(&[1, 2, 3]), chain(&[1, 2])], ..Layout::default() };
        layout.nodes = (1..=3).map(|n| (NodeId(n), info(n))).collect();
        let mut reports = Reports::default();
        let say = |reports: &mut Reports, epoch, n| {
            reports.whole.extend([0, 1].map(|index| (PartitionId(index), Epoch(epoch), replica(n))));
        };
        (1..=3).for_each(|n| say(&mut reports, 4, n));
        assert_eq!(released(&layout, &reports), vec![], "it is in a chain");
        layout.chains[0] = Chain { epoch: Epoch(5), ..chain(&[1, 2]) };
        assert_eq!(released(&layout, &reports), vec![], "that was said of another chain");
        say(&mut reports, 5, 1);
        assert_eq!(released(&layout, &reports), vec![], "one lacks something");
        say(&mut reports, 5, 2);
        assert_eq!(released(&layout, &reports), vec![], "nobody has read again what is there");
        let drain = |node, count| Drain { node: NodeId(node), count };
        reports.verified.extend([(drain(3, 2), replica(1)), (drain(4, 2), replica(2)), (drain(3, 1), replica(2))]);
        assert_eq!(released(&layout, &reports), vec![], "one has not, since it was told to go this time");
        let earlier = ReplicaId { node: NodeId(2), incarnation: Incarnation(0) };
        reports.verified.insert((drain(3, 2), earlier));
        assert_eq!(released(&layout, &reports), vec![], "one has, in an earlier life");
        reports.verified.insert((drain(3, 2), replica(2)));
        assert_eq!(released(&layout, &reports), vec![NodeId(3)]);
        layout.nodes.get_mut(&NodeId(3)).unwrap().released = true;
        assert_eq!(released(&layout, &reports), vec![], "it is known");
        let unborn = NodeInfo { draining: true, drains: 1, ..NodeInfo::unborn(NodeId(4)) };
        layout.nodes.insert(NodeId(4), unborn);
        assert_eq!(released(&layout, &reports), vec![NodeId(4)], "it never held anything");
    }
}
