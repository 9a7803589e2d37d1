//! The nemesis decides by its seed alone: what it decides is tested here, what it does is `main.rs`.

mod fault;
mod schedule;

use fault::{Act, CLIENTS, Kind};
use schedule::{Schedule, Storm};
use std::collections::BTreeSet;

fn kinds() -> Vec<Kind> {
    Kind::ALL.iter().map(|(_, kind)| *kind).collect()
}

fn storms(seed: u64, nodes: u16, kinds: &[Kind], count: usize) -> Vec<Storm> {
    let mut schedule = Schedule::new(seed, nodes, kinds);
    (0..count).map(|_| schedule.storm()).collect()
}

#[test]
fn a_seed_decides_everything() {
    assert_eq!(storms(7, 3, &kinds(), 50), storms(7, 3, &kinds(), 50));
    assert_ne!(storms(7, 3, &kinds(), 5), storms(8, 3, &kinds(), 5));
}

#[test]
fn every_kind_comes_up_soon_and_alone_or_together() {
    for seed in 0..50 {
        let storms = storms(seed, 3, &kinds(), 20);
        let seen: BTreeSet<Kind> = storms.iter().flat_map(|storm| &storm.faults).map(|fault| fault.kind).collect();
        assert_eq!(seen.len(), kinds().len(), "seed {seed}");
        assert!(storms.iter().any(|storm| storm.faults.len() > 2) && storms.iter().any(|storm| storm.calm_after));
    }
}

#[test]
fn a_process_is_touched_by_one_fault_at_a_time_and_a_disk_is_wiped_alone() {
    for seed in 0..200 {
        for storm in storms(seed, 5, &kinds(), 20) {
            for (place, one) in storm.faults.iter().enumerate() {
                assert!(one.act.processes().iter().all(|node| (1..=5).contains(node)));
                assert!(one.kind != Kind::Wipe || storm.faults.len() == 1 && storm.calm_after);
                for other in &storm.faults[place + 1..] {
                    let apart = one.at + one.lasts <= other.at || other.at + other.lasts <= one.at;
                    let shared = one.act.processes().iter().any(|node| other.act.processes().contains(node));
                    assert!(apart || !shared, "seed {seed}: {one} and {other}");
                }
            }
        }
    }
}

#[test]
fn cuts_are_of_all_sorts() {
    let of = |kind| -> Vec<Vec<fault::Way>> {
        let faults = storms(1, 5, &[kind], 60).into_iter().flat_map(|storm| storm.faults);
        faults.map(|fault| if let Act::Cut { ways } = fault.act { ways } else { panic!("{fault}") }).collect()
    };
    assert!(of(Kind::Cut).iter().all(|ways| ways.len() == 2 && ways[0] == (ways[1].1, ways[1].0)));
    assert!(of(Kind::OneWay).iter().all(|ways| ways.len() == 1));
    assert!(of(Kind::Split).iter().all(|ways| ways.len() == 12 || ways.len() == 6));
    let lengths: BTreeSet<usize> = of(Kind::Isolate).iter().map(Vec::len).collect();
    assert_eq!(lengths, BTreeSet::from([4, 8]));
    assert!(of(Kind::Unreachable).iter().flatten().all(|(from, to)| *from == CLIENTS || *to == CLIENTS));
}

#[test]
fn names_are_understood() {
    for (name, kind) in Kind::ALL {
        assert_eq!((name.parse(), kind.name()), (Ok(kind), name));
    }
    assert!("nonsense".parse::<Kind>().is_err());
}
