//! Known bugs, put into the driver on purpose, are found: the simulator can fail.

#![allow(clippy::unwrap_used)]

use atoll_simulator::{Bugs, Range, sweep};

/// A bug that takes longer to be found is one that is not looked for well enough.
const SEEDS: u64 = 5_000;

/// Runs seeds with a bug until one fails; gives what was found, and after how many seeds.
fn found(name: &str, blind: bool, seeds: u64) -> Option<(String, u64)> {
    let mut bugs = Bugs::named(name).unwrap_or_else(|| panic!("there is no bug {name}"));
    bugs.blind = blind;
    let mut first = None;
    let done = sweep(Range { from: 0, to: seeds }, bugs, 1, None, |_, ended| {
        first.clone_from(&ended.failure);
        first.is_none()
    });
    first.map(|why| (why, done))
}

fn each(bugs: &[(&str, &str)], blind: bool) {
    // Panics in the code under test are findings here, not noise.
    for (name, says) in bugs {
        let Some((why, after)) = found(name, blind, SEEDS) else { panic!("{name} was not found in {SEEDS} seeds") };
        let why = why.lines().next().unwrap_or_default();
        println!("| `{name}` | {after} | {} |", why.chars().take(150).collect::<String>());
        assert!(why.contains(says), "{name} was found as something else: {why}");
    }
}

#[test]
fn invariants_find_each_planted_bug() {
    each(
        &[
            ("ack_before_durable", "invariant 11"),
            ("lease_unchecked", "without a lease"),
            ("lease_from_answer", "invariant"),
            ("epoch_not_persisted", "invariant 1 "),
            ("operations_forgotten", "invariant 13"),
            ("incarnation_reused", "invariant 9"),
            ("anyone_restarts", "invariant 10"),
            // An epoch that is not durable, or a write.
            ("failed_sync_ignored", "invariant 1"),
            ("reads_pending", "invariant 5"),
            ("read_not_rechecked", "invariant 3"),
            ("death_guessed", "invariant 4"),
            ("timeout_is_failure", "invariant 6"),
            ("operations_lost_at_failover", "invariant 13"),
            // The controller, who is deceived, never records what it takes for recorded: that may be seen first.
            ("complete_too_wide", ""),
            ("torn_end_taken_for_whole", ""),
            ("removed_while_needed", ""),
            ("rot_taken_for_absence", ""),
            ("syncing_serves", ""),
            ("collection_ignores_pins", "invariant 21"),
            ("whole_unchecked", "invariant 21"),
            ("differing_range_overlooked", "what was installed"),
        ],
        false,
    );
}

/// The clients alone, who see nothing of what is inside, find what hurts them.
#[test]
fn histories_alone_find_what_clients_can_see() {
    each(
        &[
            ("lease_unchecked", "linearizable"),
            ("operations_forgotten", "was answered"),
            ("anyone_restarts", ""),
            ("reads_pending", "linearizable"),
            ("timeout_is_failure", "linearizable"),
        ],
        true,
    );
}

/// None is left out of the table above.
#[test]
fn every_bug_is_looked_for() {
    let source = include_str!("planted_bugs.rs");
    let missing: Vec<&str> =
        Bugs::names().into_iter().filter(|name| !source.contains(&format!("(\"{name}\""))).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn every_bug_has_a_name() {
    let bugs: Vec<Bugs> = Bugs::names().into_iter().filter_map(Bugs::named).collect();
    assert_eq!(bugs.len(), Bugs::names().len());
    assert!(bugs.iter().all(|bug| *bug != Bugs::default() && bugs.iter().filter(|other| *other == bug).count() == 1));
    assert_eq!(Bugs::named("none such"), None);
}
