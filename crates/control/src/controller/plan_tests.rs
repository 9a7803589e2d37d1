use super::*;
use std::time::Duration;
use types::{Incarnation, NodeInfo};

const LEASE: Duration = Duration::from_secs(1);
const P: PartitionId = PartitionId(0);

struct World {
    layout: Layout,
    leases: LeaseBook,
    reports: Reports,
    holdings: HoldingsByNode,
    now: Monotonic,
}

fn replica(node: u64) -> ReplicaId {
    ReplicaId { node: NodeId(node), incarnation: Incarnation(1) }
}

fn node(id: u64) -> NodeInfo {
    NodeInfo { incarnation: Incarnation(1), alive: true, capacity: 100, ..NodeInfo::unborn(NodeId(id)) }
}

impl World {
    /// Members in their states, of whom some are complete; three nodes live, all are wanted in their order.
    fn new(members: &[(u64, MemberState)], complete: &[u64]) -> World {
        let members = members.iter().map(|(n, state)| ChainMember { replica: replica(*n), state: *state });
        let chain = Chain {
            epoch: Epoch(5),
            members: members.collect(),
            complete: complete.iter().map(|n| NodeId(*n)).collect(),
            wanted: vec![NodeId(1), NodeId(2), NodeId(3)],
        };
        let nodes = (1..=3).map(|n| (NodeId(n), node(n))).collect();
        let mut leases = LeaseBook::new(LEASE, Monotonic(0));
        (1..=3).for_each(|n| assert!(leases.grant(replica(n), Monotonic(0))));
        let layout = Layout { nodes, chains: vec![chain], replicas_wanted: 3, ..Layout::default() };
        let (reports, holdings) = (Reports::default(), HoldingsByNode::default());
        World { layout, leases, reports, holdings, now: Monotonic(1) }
    }

    fn synced(&mut self, node: u64) {
        let epoch = self.layout.chains[0].epoch;
        self.reports.synced.insert((P, epoch, replica(node)));
    }

    fn dies(&mut self, node: u64) {
        self.leases.void(replica(node));
    }

    /// Plans until nothing changes, for at most so many steps; the members and who is complete.
    fn settle(&mut self, steps: usize) -> (Vec<(u64, MemberState)>, Vec<u64>) {
        for _ in 0..steps {
            let World { layout, leases, reports, holdings, now } = &*self;
            let plan = plan(Knowledge { layout, leases, reports, holdings, now: *now });
            let Some((_, chain)) = plan.chains.into_iter().next() else { break };
            self.layout.chains[0] = chain;
        }
        let chain = &self.layout.chains[0];
        let members = chain.members.iter().map(|member| (member.replica.node.0, member.state)).collect();
        (members, chain.complete.iter().map(|node| node.0).collect())
    }
}

use MemberState::{Departing, Serving, Syncing};

#[test]
fn a_promoted_member_is_complete_only_after_its_word_under_the_new_epoch() {
    let mut world = World::new(&[(2, Serving), (3, Serving), (1, Syncing)], &[2, 3]);
    world.synced(1);
    // It serves, behind those that are complete, although the preferred order would put it first.
    assert_eq!(world.settle(1), (vec![(2, Serving), (3, Serving), (1, Serving)], vec![2, 3]));
    let epoch = world.layout.chains[0].epoch;
    world.synced(1);
    // Being complete changes nobody's place, and so no epoch; then the order may change.
    assert_eq!(world.settle(2), (vec![(1, Serving), (2, Serving), (3, Serving)], vec![1, 2, 3]));
    assert_eq!(world.layout.chains[0].epoch, epoch.next());
}

#[test]
fn a_promoted_member_alone_does_not_go_on_without_those_that_were_complete() {
    let mut world = World::new(&[(2, Serving), (1, Serving)], &[2]);
    world.layout.chains[0].wanted = vec![NodeId(1), NodeId(2)];
    world.dies(2);
    assert_eq!(world.settle(3), (vec![], vec![2]));
}

#[test]
fn a_member_is_not_complete_before_those_above_it() {
    let mut world = World::new(&[(2, Serving), (3, Serving), (1, Serving)], &[2]);
    world.synced(1);
    assert_eq!(world.settle(3).1, vec![2]);
    world.synced(3);
    assert_eq!(world.settle(1).1, vec![1, 2, 3]);
}

#[test]
fn all_that_went_together_may_begin_again_and_nobody_is_cut_before_that_is_known() {
    let mut world = World::new(&[(1, Serving), (2, Serving), (3, Syncing)], &[1, 2]);
    world.leases = LeaseBook::new(LEASE, Monotonic(0));
    world.leases.void(replica(1));
    // Of 2 nothing is known yet: it may have died with 1.
    assert_eq!(world.settle(3), (vec![(1, Serving), (2, Serving), (3, Syncing)], vec![1, 2]));
    world.leases.void(replica(2));
    assert_eq!(world.settle(3), (vec![], vec![1, 2]));
}

fn all_went(complete: &[u64], back: &[(u64, u64)]) -> World {
    let mut world = World::new(&[], complete);
    world.leases = LeaseBook::new(LEASE, Monotonic(0));
    for (node, last) in back {
        world.leases.grant(replica(*node), Monotonic(0));
        let last = types::Version { epoch: Epoch(5), seq: types::Seq(*last) };
        let held = Holding { partition: P, last, torn: false, incomplete: false };
        world.holdings.entry(NodeId(*node)).or_default().insert(P, held);
    }
    world.layout.chains[0].wanted.clear();
    world
}

#[test]
fn who_comes_back_first_waits_for_the_others_that_are_complete() {
    let mut world = all_went(&[1, 2, 3], &[(2, 7)]);
    assert_eq!(world.settle(1), (vec![], vec![1, 2, 3]));
    // One more is back, with more in its log; the third never comes.
    world.leases.grant(replica(3), Monotonic(0));
    let more =
        Holding { last: types::Version { epoch: Epoch(5), seq: types::Seq(9) }, ..world.holdings[&NodeId(2)][&P] };
    world.holdings.entry(NodeId(3)).or_default().insert(P, more);
    assert_eq!(world.settle(1).0, vec![]);
    world.now = Monotonic(0) + LEASE;
    assert_eq!(world.settle(1), (vec![(3, Serving), (2, Serving)], vec![2, 3]));
    // All back: nobody is waited for.
    let mut world = all_went(&[1, 2], &[(2, 7), (1, 7)]);
    assert_eq!(world.settle(1), (vec![(1, Serving), (2, Serving)], vec![1, 2]));
}

#[test]
fn who_says_nothing_of_what_it_holds_does_not_begin_a_chain_again() {
    let mut world = all_went(&[1], &[(1, 7)]);
    world.holdings.clear();
    assert_eq!(world.settle(1).0, vec![]);
    world.layout.chains[0].epoch = Epoch(0);
    assert_eq!(world.settle(1).0, vec![(1, Serving)]);
}

#[test]
fn members_depart_only_when_all_that_are_wanted_are_complete_and_come_back_when_wanted() {
    let mut world = World::new(&[(1, Serving), (2, Serving), (3, Serving)], &[1, 2]);
    world.layout.chains[0].wanted = vec![NodeId(2), NodeId(3)];
    assert_eq!(world.settle(3).0, vec![(1, Serving), (2, Serving), (3, Serving)]);
    world.synced(3);
    assert_eq!(world.settle(1), (vec![(2, Serving), (3, Serving), (1, Departing)], vec![1, 2, 3]));
    world.layout.chains[0].wanted = vec![NodeId(2), NodeId(1), NodeId(3)];
    assert_eq!(world.settle(2).0, vec![(2, Serving), (1, Serving), (3, Serving)]);
}

#[test]
fn a_joiner_that_never_began_a_life_raises_nothing() {
    use MemberState::Serving;
    let mut world = World::new(&[(1, Serving), (2, Serving)], &[1, 2]);
    world.layout.replicas_min = 1;
    world.layout.nodes.get_mut(&NodeId(3)).unwrap().incarnation = Incarnation(0);
    assert_eq!(replicas_min(&world.layout), 1);
    world.layout.nodes.get_mut(&NodeId(3)).unwrap().incarnation = Incarnation(1);
    assert_eq!(replicas_min(&world.layout), 2);
    world.layout.replicas_min = 2;
    world.layout.nodes.remove(&NodeId(3));
    assert_eq!(replicas_min(&world.layout), 2, "never lowered");
}

#[test]
fn a_member_departs_only_when_all_that_stay_hold_every_block_under_that_epoch() {
    let mut world = World::new(&[(1, Serving), (2, Serving), (3, Serving)], &[1, 2, 3]);
    world.layout.chains[0].wanted = vec![NodeId(2), NodeId(3)];
    let early = world.layout.chains[0].epoch;
    world.reports.whole.extend([2, 3].map(|n| (P, early, replica(n))));
    let departing = vec![(2, Serving), (3, Serving), (1, Departing)];
    assert_eq!(world.settle(1).0, departing);
    let epoch = world.layout.chains[0].epoch;
    world.reports.departed.insert((P, epoch, replica(1)));
    world.reports.whole.insert((P, epoch, replica(2)));
    assert_eq!(world.settle(3).0, departing, "what 3 said under another epoch is not enough");
    world.reports.whole.insert((P, epoch, replica(3)));
    assert_eq!(world.settle(1).0, vec![(2, Serving), (3, Serving)]);
}
