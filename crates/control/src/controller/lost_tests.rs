use super::super::change::change;
use super::*;
use rpc::wire::{ChangeLayout, Edit};
use types::{ChainMember, Epoch, Incarnation, MemberState, NodeInfo, Seq, Version};

const P: PartitionId = PartitionId(0);

/// Three nodes, of whom 3 is down, and one partition that nobody serves.
fn stuck(complete: &[u64]) -> Layout {
    let node = |id: u64| NodeInfo { incarnation: Incarnation(1), alive: id != 3, ..NodeInfo::unborn(NodeId(id)) };
    let nodes = (1..=3).map(|id| (NodeId(id), NodeInfo { capacity: 100, ..node(id) })).collect();
    let chain = Chain {
        epoch: Epoch(9),
        complete: complete.iter().map(|id| NodeId(*id)).collect(),
        wanted: vec![NodeId(1), NodeId(2), NodeId(3)],
        ..Chain::default()
    };
    Layout { replicas_wanted: 3, replicas_min: 2, nodes, chains: vec![chain], ..Layout::default() }
}

fn held(last: u64, torn: bool, incomplete: bool) -> Holding {
    Holding { partition: P, last: Version { epoch: Epoch(4), seq: Seq(last) }, torn, incomplete }
}

fn told(all: &[(u64, Holding)]) -> Told {
    Told(all.iter().map(|(node, held)| ((P, NodeId(*node)), *held)).collect())
}

fn gives_up(layout: &Layout, nodes: &[u64], told: &Told, accept_loss: bool) -> (Layout, LayoutPreview) {
    let edits = nodes.iter().map(|node| Edit::GiveUp(NodeId(*node))).collect();
    change(layout, &ChangeLayout { edits, accept_loss, ..ChangeLayout::default() }, told).unwrap()
}

fn refused(layout: &Layout, nodes: &[u64], told: &Told, why: &str) {
    let (_, preview) = gives_up(layout, nodes, told, true);
    assert!(preview.unsafe_because.iter().any(|because| because.contains(why)), "{why}: {preview:?}");
}

fn complete(layout: &Layout) -> Vec<u64> {
    layout.chains[0].complete.iter().map(|node| node.0).collect()
}

#[test]
fn of_two_cut_logs_the_longer_begins_and_nothing_is_lost() {
    let told = told(&[(1, held(7, true, false)), (2, held(9, true, false))]);
    let (next, preview) = gives_up(&stuck(&[1, 2, 3]), &[3], &told, false);
    assert_eq!(preview.unsafe_because, Vec::<String>::new());
    assert_eq!(complete(&next), [1, 2]);
    assert!(!next.nodes.contains_key(&NodeId(3)) && next.removed.contains(&NodeId(3)));
    let [one] = preview.begins[..] else { panic!("{preview:?}") };
    assert_eq!((one.node, one.last.seq, one.may_lose), (NodeId(2), Seq(9), false));
    // Said again, it is done.
    assert_eq!(gives_up(&next, &[3], &told, false).0, next);
}

#[test]
fn one_cut_log_alone_begins_only_when_the_loss_is_accepted() {
    let told = told(&[(1, held(7, true, false))]);
    let (_, preview) = gives_up(&stuck(&[1, 3]), &[3], &told, false);
    assert!(preview.unsafe_because[0].contains("--accept-data-loss"), "{preview:?}");
    assert!(preview.begins[0].may_lose);
    let (next, preview) = gives_up(&stuck(&[1, 3]), &[3], &told, true);
    assert_eq!((complete(&next), preview.unsafe_because.len()), (vec![1], 0));
}

#[test]
fn the_last_copy_is_followed_by_the_longest_that_is_left_when_the_loss_is_accepted() {
    let left = told(&[(1, held(7, false, true)), (2, held(5, false, false))]);
    let (_, preview) = gives_up(&stuck(&[3]), &[3], &left, false);
    assert!(preview.unsafe_because[0].contains("partition 0"), "{preview:?}");
    let (next, preview) = gives_up(&stuck(&[3]), &[3], &left, true);
    assert_eq!((complete(&next), preview.unsafe_because.len()), (vec![2], 0), "an unfinished copy counts for nothing");
    refused(&stuck(&[3]), &[3], &told(&[(1, held(7, false, true)), (2, held(5, false, true))]), "a whole copy");
    refused(&stuck(&[3]), &[3], &told(&[(1, held(7, false, false))]), "have said");
}

#[test]
fn nobody_is_given_up_who_is_not_waited_for() {
    let whole = told(&[(1, held(7, false, false)), (2, held(9, true, false))]);
    refused(&stuck(&[1, 2, 3]), &[3], &whole, "no partition waits");
    refused(&stuck(&[1, 2]), &[3], &whole, "no partition waits");
    refused(&stuck(&[1, 2, 3]), &[2], &whole, "is alive");
    let replica = ReplicaId { node: NodeId(3), incarnation: Incarnation(1) };
    let mut leaving = stuck(&[3]);
    leaving.chains[0].members = vec![ChainMember { replica, state: MemberState::Serving }];
    refused(&leaving, &[3], &whole, "being taken over");
}

#[test]
fn nobody_is_passed_over_who_may_hold_more() {
    let mut layout = stuck(&[1, 2, 3]);
    layout.nodes.get_mut(&NodeId(2)).unwrap().alive = false;
    let torn = told(&[(1, held(7, true, false))]);
    refused(&layout, &[3], &torn, "node 2 is down");
    // Both in one command; neither alone.
    let (next, preview) = gives_up(&layout, &[2, 3], &torn, true);
    assert_eq!((complete(&next), preview.unsafe_because.len()), (vec![1], 0), "{preview:?}");
    assert!(preview.warnings.iter().any(|warning| warning.contains("writes are refused")), "{preview:?}");
    let mut last = stuck(&[3]);
    last.nodes.get_mut(&NodeId(2)).unwrap().alive = false;
    refused(&last, &[3], &torn, "node 2 is down");
}

#[test]
fn what_a_life_began_with_counts_only_for_those_that_were_complete() {
    let layout = stuck(&[1, 3]);
    let first = |last| BTreeMap::from([(P, held(last, true, false))]);
    let holdings = BTreeMap::from([(NodeId(1), first(3)), (NodeId(2), first(4)), (NodeId(3), first(5))]);
    let mut reports = Reports::default();
    let heard = Told::new(&layout, &reports, &holdings);
    assert_eq!(heard.0.keys().map(|(_, node)| node.0).collect::<Vec<_>>(), [1]);
    let two = ReplicaId { node: NodeId(2), incarnation: Incarnation(1) };
    reports.held.insert((P, Epoch(8), two), held(6, false, false));
    assert!(Told::new(&layout, &reports, &holdings).of(P, NodeId(2)).is_none(), "said under an earlier epoch");
    reports.held.insert((P, Epoch(9), two), held(8, false, false));
    assert_eq!(Told::new(&layout, &reports, &holdings).of(P, NodeId(2)).unwrap().last.seq, Seq(8));
}

#[test]
fn partitions_are_listed_by_ranges() {
    let list = |ids: &[u16]| ranges(&ids.iter().map(|id| PartitionId(*id)).collect::<Vec<_>>());
    assert_eq!(list(&[5]), "partition 5");
    assert_eq!(list(&[0, 1, 2, 3, 7]), "partitions 0–3 and 7");
    assert_eq!(list(&[0, 2, 4]), "partitions 0, 2 and 4");
}

#[test]
fn a_drained_machine_that_is_lost_goes_only_when_the_loss_of_blocks_is_accepted() {
    let mut layout = stuck(&[1, 2]);
    let serving = |id: u64| ChainMember {
        replica: ReplicaId { node: NodeId(id), incarnation: Incarnation(1) },
        state: MemberState::Serving,
    };
    layout.chains[0].members = vec![serving(1), serving(2)];
    layout.chains[0].wanted = vec![NodeId(1), NodeId(2)];
    refused(&layout, &[3], &told(&[]), "no partition waits for node 3");
    layout.nodes.get_mut(&NodeId(3)).unwrap().draining = true;
    let (_, preview) = gives_up(&layout, &[3], &told(&[]), false);
    assert!(preview.unsafe_because[0].contains("every block that node 3 held"), "{preview:?}");
    let (next, preview) = gives_up(&layout, &[3], &told(&[]), true);
    assert_eq!((preview.unsafe_because, preview.warnings.len()), (Vec::<String>::new(), 2), "{:?}", preview.warnings);
    assert!(next.removed.contains(&NodeId(3)));
    // While others take over what it held, and once it is known to be needless, there is nothing to accept.
    let mut taken_over = layout.clone();
    taken_over.chains[0].wanted = vec![NodeId(1), NodeId(2), NodeId(4)];
    refused(&taken_over, &[3], &told(&[]), "no partition waits for node 3");
    layout.nodes.get_mut(&NodeId(3)).unwrap().released = true;
    refused(&layout, &[3], &told(&[]), "no partition waits for node 3");
}
