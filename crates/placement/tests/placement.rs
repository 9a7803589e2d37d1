//! Properties over random clusters, and comparison with an exhaustive search over small ones.

#![allow(clippy::unwrap_used)] // A test that cannot go on should end loudly.

use atoll_placement::{Candidate, Movement, place};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use types::NodeId;

const PARTITIONS: usize = 64;

fn candidates(spec: &[(u8, u64)]) -> Vec<Candidate> {
    let candidate = |(i, (zone, capacity)): (usize, &(u8, u64))| Candidate {
        node: NodeId(i as u64 + 1),
        zone: format!("zone {zone}"),
        capacity: *capacity,
    };
    spec.iter().enumerate().map(candidate).collect()
}

fn loads(placed: &[Vec<NodeId>]) -> BTreeMap<NodeId, usize> {
    let mut loads = BTreeMap::new();
    placed.iter().flatten().for_each(|node| *loads.entry(*node).or_default() += 1);
    loads
}

fn empty() -> Vec<Vec<NodeId>> {
    vec![vec![]; PARTITIONS]
}

/// Zones that a partition's replicas could be spread over.
fn zones_possible(nodes: &[Candidate], replicas: usize) -> usize {
    nodes.iter().map(|node| &node.zone).collect::<BTreeSet<_>>().len().min(replicas)
}

fn check(nodes: &[Candidate], replicas: usize, placed: &[Vec<NodeId>]) -> Result<(), TestCaseError> {
    for of_partition in placed {
        let distinct: BTreeSet<_> = of_partition.iter().collect();
        prop_assert_eq!(distinct.len(), of_partition.len(), "the same node twice");
        prop_assert_eq!(of_partition.len(), replicas.min(nodes.len()));
        let zone = |id: &NodeId| nodes.iter().find(|node| node.node == *id).map(|node| node.zone.clone());
        let zones: BTreeSet<_> = of_partition.iter().map(zone).collect();
        prop_assert!(!zones.contains(&None), "a node that is no candidate");
        prop_assert_eq!(zones.len(), zones_possible(nodes, replicas.min(nodes.len())));
    }
    Ok(())
}

/// Copies that any placement needs in which the nodes hold as many as in `after`: what was on nodes
/// that are gone has to go somewhere, and so has what others hold less of.
fn copies_needed(before: &[Vec<NodeId>], after: &[Vec<NodeId>]) -> usize {
    let left = loads(after);
    loads(before).iter().map(|(id, held)| held.saturating_sub(left.get(id).copied().unwrap_or(0))).sum()
}

fn cluster() -> impl Strategy<Value = Vec<(u8, u64)>> {
    prop::collection::vec((0u8..6, prop_oneof![Just(1u64), 1u64..5, 50u64..2000]), 1..16)
}

/// As above with one zone for each node, and none so big that it holds nearly every partition: nothing
/// but capacity decides, so that the least movement is known by counting.
fn free_cluster() -> impl Strategy<Value = Vec<(u8, u64)>> {
    prop::collection::vec(3u64..6, 8..16)
        .prop_map(|capacities| capacities.into_iter().enumerate().map(|(i, capacity)| (i as u8, capacity)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn replicas_are_distinct_and_in_as_many_zones_as_there_are(spec in cluster(), replicas in 1usize..6) {
        let nodes = candidates(&spec);
        check(&nodes, replicas, &place(&nodes, replicas, &empty()))?;
    }

    #[test]
    fn what_is_held_follows_capacity(spec in free_cluster()) {
        let nodes = candidates(&spec);
        let loads = loads(&place(&nodes, 3, &empty()));
        let capacity: u64 = nodes.iter().map(|node| node.capacity).sum();
        for node in &nodes {
            let share = (3 * PARTITIONS) as f64 * node.capacity as f64 / capacity as f64;
            let held = loads.get(&node.node).copied().unwrap_or(0) as f64;
            prop_assert!(held <= share + 1.0, "{:?} holds {held} of {share}: {loads:?}", node.node);
            prop_assert!(held >= share - 1.0, "{:?} holds {held} of {share}: {loads:?}", node.node);
        }
    }

    #[test]
    fn nothing_moves_when_nothing_changed(spec in cluster(), replicas in 1usize..5) {
        let nodes = candidates(&spec);
        let first = place(&nodes, replicas, &empty());
        prop_assert_eq!(Movement::between(&first, &place(&nodes, replicas, &first)).copies(), 0);
    }

    #[test]
    fn any_change_keeps_the_rules(
        spec in cluster(),
        gone in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        replicas in 1usize..5,
    ) {
        let mut nodes = candidates(&spec);
        let before = place(&nodes, replicas, &empty());
        for index in gone {
            if nodes.len() > 1 {
                nodes.remove(index.index(nodes.len()));
            }
        }
        check(&nodes, replicas, &place(&nodes, replicas, &before))?;
    }

    #[test]
    fn no_placement_within_the_same_limits_moves_less(
        spec in prop::collection::vec((0u8..3, 1u64..3), 2..5),
        previous in prop::collection::vec(prop::sample::subsequence(vec![1u64, 2, 3, 4, 5], 2), 3),
    ) {
        let nodes = candidates(&spec);
        let previous: Vec<Vec<NodeId>> =
            previous.into_iter().map(|nodes| nodes.into_iter().map(NodeId).collect()).collect();
        let placed = place(&nodes, 2, &previous);
        let limits = loads(&place(&nodes, 2, &vec![vec![]; 3]));
        let most = limits.values().max().copied().unwrap_or(0);
        let found = Movement::between(&previous, &placed).copies();
        // Any placement by the same rules in which nobody holds more than he does here.
        let held = loads(&placed);
        prop_assert!(held.values().all(|held| *held <= most + 1));
        let pairs: Vec<Vec<NodeId>> = nodes
            .iter()
            .enumerate()
            .flat_map(|(i, a)| nodes[i + 1..].iter().map(move |b| vec![a, b]))
            .filter(|pair| zones_possible(&nodes, 2) < 2 || pair[0].zone != pair[1].zone)
            .map(|pair| pair.into_iter().map(|node| node.node).collect())
            .collect();
        for a in &pairs {
            for b in &pairs {
                for c in &pairs {
                    let other = vec![a.clone(), b.clone(), c.clone()];
                    let fits = loads(&other).iter().all(|(id, count)| held.get(id).is_some_and(|held| count <= held));
                    let moves = Movement::between(&previous, &other).copies();
                    prop_assert!(!fits || moves >= found, "{other:?} moves {moves}, {placed:?} moves {found}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn adding_a_node_moves_hardly_more_than_must_move(spec in free_cluster(), capacity in 3u64..6) {
        let before = place(&candidates(&spec), 3, &empty());
        let mut spec = spec;
        spec.push((spec.len() as u8, capacity));
        let nodes = candidates(&spec);
        let after = place(&nodes, 3, &before);
        check(&nodes, 3, &after)?;
        let (moved, least) = (Movement::between(&before, &after).copies(), copies_needed(&before, &after));
        prop_assert!(moved as f64 <= 1.1 * least as f64, "{moved} moved, {least} had to");
    }

    #[test]
    fn removing_a_node_moves_hardly_more_than_must_move(spec in free_cluster(), which in any::<prop::sample::Index>()) {
        let mut nodes = candidates(&spec);
        let before = place(&nodes, 3, &empty());
        nodes.remove(which.index(nodes.len()));
        let after = place(&nodes, 3, &before);
        check(&nodes, 3, &after)?;
        let (moved, least) = (Movement::between(&before, &after).copies(), copies_needed(&before, &after));
        prop_assert!(moved as f64 <= 1.1 * least as f64, "{moved} moved, {least} had to");
    }
}

#[test]
fn heads_and_tails_are_spread() {
    let placed = place(&candidates(&[(0, 1), (1, 1), (2, 1)]), 3, &empty());
    for end in [0, 2] {
        let mut counts: BTreeMap<NodeId, usize> = BTreeMap::new();
        placed.iter().for_each(|replicas| *counts.entry(replicas[end]).or_default() += 1);
        assert!(counts.values().all(|&count| (21..=22).contains(&count)), "{counts:?}");
    }
}

#[test]
fn a_fourth_node_takes_only_its_share() {
    let three = place(&candidates(&[(0, 1), (1, 1), (2, 1)]), 3, &empty());
    let four = place(&candidates(&[(0, 1), (1, 1), (2, 1), (3, 1)]), 3, &three);
    assert_eq!(Movement::between(&three, &four).copies(), 48);
    assert_eq!(loads(&four)[&NodeId(4)], 48);
}

#[test]
fn a_small_zone_does_not_unbalance_the_others() {
    // Every partition needs one replica in the second zone, whose only node is small.
    let nodes = candidates(&[(0, 100), (0, 100), (0, 100), (0, 100), (1, 1)]);
    let loads = loads(&place(&nodes, 3, &empty()));
    assert_eq!(loads.values().copied().collect::<Vec<_>>(), vec![32, 32, 32, 32, 64]);
}

#[test]
fn a_hundred_nodes_and_a_thousand_partitions_are_placed_soon() {
    let spec: Vec<(u8, u64)> = (0..100).map(|i| ((i % 5) as u8, 1 + i % 7)).collect();
    let before = place(&candidates(&spec), 3, &vec![vec![]; 1024]);
    let after = place(&candidates(&spec[1..]), 3, &before);
    check(&candidates(&spec[1..]), 3, &after).unwrap();
}
