//! Catch-up, message by message: what the simulator once found, pinned down in small.

#![allow(clippy::unwrap_used)]

use setting::*;
use std::sync::Arc;
use types::*;

/// The crate, and small words for chains and messages.
mod setting {
    pub use atoll_replication::chain::{Body, Command, CopyId, Environment, Holdings, Message, Replica, Step};
    use types::*;

    pub const P: PartitionId = PartitionId(0);

    pub fn id(node: u64) -> ReplicaId {
        ReplicaId { node: NodeId(node), incarnation: Incarnation(1) }
    }

    pub fn at(millis: u64) -> Environment {
        let now = Monotonic(1 + millis * 1_000_000);
        Environment {
            now,
            wall: WallMillis(1),
            lease_until: Monotonic(u64::MAX),
            replicas_min: 1,
            under_way: 0,
            full: false,
        }
    }

    pub fn chain(epoch: u64, members: &[(u64, MemberState)], complete: &[u64]) -> Chain {
        let members = members.iter().map(|(node, state)| ChainMember { replica: id(*node), state: *state }).collect();
        Chain { epoch: Epoch(epoch), members, complete: complete.iter().map(|n| NodeId(*n)).collect(), wanted: vec![] }
    }

    pub fn message(epoch: u64, from: u64, to: u64, body: Body) -> Message {
        Message { partition: P, epoch: Epoch(epoch), from: id(from), to: id(to), body }
    }

    pub fn sent(commands: &[Command]) -> Vec<Body> {
        let body =
            |command: &Command| if let Command::Send(message) = command { Some(message.body.clone()) } else { None };
        commands.iter().filter_map(body).collect()
    }
}

use MemberState::{Serving, Syncing};

fn entry(epoch: u64, seq: u64) -> LogEntry {
    LogEntry { version: Version::new(epoch, seq), time: HybridTime(seq), operation: None, effects: vec![] }
}

/// A head whose tables hold 20 entries of epoch 1, in epoch 2 with node 2 below it.
fn head() -> Replica {
    let holdings = Holdings { epoch: Epoch(1), applied: Version::new(1, 20), ..Holdings::default() };
    let mut head = Replica::new(id(1), P, holdings);
    let mut out = Vec::new();
    head.adopt(&at(0), &chain(2, &[(1, Serving), (2, Syncing)], &[1]), &mut out);
    head.durable(&at(0), 1, &mut out);
    head
}

fn position(head: &mut Replica, seq: u64) -> Vec<Command> {
    let mut out = Vec::new();
    let last = if seq == 0 { Version::ZERO } else { Version::new(1, seq) };
    head.receive(&at(1), message(2, 2, 1, Body::Position { last }), &mut out);
    out
}

#[test]
fn what_was_read_for_an_earlier_position_is_not_sent_for_a_later_one() {
    let mut head = head();
    position(&mut head, 5);
    position(&mut head, 10);
    let mut out = Vec::new();
    // Read for position 5, from its own entry on; it comes when position 10 is waited for.
    head.fetched(&at(2), Epoch(2), Some((5..=20).map(|seq| entry(1, seq)).collect()), &mut out);
    assert_eq!(sent(&out), vec![], "neither entries after a hole nor a rewind");
    head.fetched(&at(3), Epoch(2), Some((10..=20).map(|seq| entry(1, seq)).collect()), &mut out);
    let Some(Body::Append { previous, entries, .. }) = sent(&out).into_iter().next() else { panic!("{out:?}") };
    assert_eq!((previous, entries[0].version.seq), (Version::new(1, 10), Seq(11)));
}

fn reads(commands: &[Command]) -> Vec<Seq> {
    let from = |command: &Command| if let Command::Fetch { from, .. } = command { Some(*from) } else { None };
    commands.iter().filter_map(from).collect()
}

/// Reads wait their turn behind those for all other partitions: were there one for each word of who waits, there would be more to
/// read the longer it takes, and no end to it.
#[test]
fn one_read_is_under_way_however_often_the_neighbour_says_where_it_is() {
    let mut head = head();
    assert_eq!(reads(&position(&mut head, 5)), [Seq(5)]);
    for _ in 0..100 {
        assert_eq!(reads(&position(&mut head, 5)), []);
    }
    let mut out = Vec::new();
    head.fetched(&at(2), Epoch(2), Some((5..=12).map(|seq| entry(1, seq)).collect()), &mut out);
    assert_eq!((sent(&out).len(), reads(&out)), (1, vec![Seq(13)]), "the rest follows");
    // It had less than was thought, what was sent is lost: it is read for that when the turn of this one is over.
    assert_eq!(reads(&position(&mut head, 7)), []);
    assert_eq!(reads(&position(&mut head, 6)), []);
    out.clear();
    head.fetched(&at(3), Epoch(2), Some((13..=20).map(|seq| entry(1, seq)).collect()), &mut out);
    assert_eq!((sent(&out), reads(&out)), (vec![], vec![Seq(6)]));
    // So it is when the log no longer reaches back to where it was thought to be.
    assert_eq!(reads(&position(&mut head, 8)), []);
    out.clear();
    head.fetched(&at(4), Epoch(2), None, &mut out);
    assert_eq!((sent(&out), reads(&out)), (vec![], vec![Seq(8)]));
    head.fetched(&at(5), Epoch(2), Some((8..=20).map(|seq| entry(1, seq)).collect()), &mut out);
    let Some(Body::Append { previous, .. }) = sent(&out).into_iter().next() else { panic!("{out:?}") };
    assert_eq!(previous, Version::new(1, 8));
}

#[test]
fn what_was_read_next_is_sent_though_the_neighbour_said_meanwhile_that_it_has_all_so_far() {
    let mut head = head();
    position(&mut head, 5);
    let mut out = Vec::new();
    head.fetched(&at(2), Epoch(2), Some((5..=12).map(|seq| entry(1, seq)).collect()), &mut out);
    assert_eq!(reads(&out), [Seq(13)]);
    assert_eq!(reads(&position(&mut head, 12)), []);
    out.clear();
    head.fetched(&at(3), Epoch(2), Some((13..=20).map(|seq| entry(1, seq)).collect()), &mut out);
    let Some(Body::Append { previous, entries, .. }) = sent(&out).into_iter().next() else { panic!("{out:?}") };
    assert_eq!((previous, entries.len(), reads(&out)), (Version::new(1, 12), 8, vec![]));
}

/// A follower that holds 20 entries in its tables and 21 to 23 of epoch 1 above them, in epoch 2 below node 1.
fn follower(state: MemberState, complete: &[u64]) -> Replica {
    let unapplied = (21..=23).map(|seq| entry(1, seq)).collect();
    let holdings = Holdings { epoch: Epoch(1), applied: Version::new(1, 20), unapplied, ..Holdings::default() };
    let mut follower = Replica::new(id(2), P, holdings);
    let mut out = Vec::new();
    follower.adopt(&at(0), &chain(2, &[(1, Serving), (2, state)], complete), &mut out);
    assert_eq!(sent(&out), vec![Body::Position { last: Version::new(1, 23) }]);
    follower.durable(&at(0), 1, &mut out);
    follower
}

fn append(previous: Version, entries: Vec<LogEntry>, last: u64, complete: bool) -> Message {
    let entries = entries.into_iter().map(Arc::new).collect();
    let complete = complete.then_some(Seq(last));
    message(2, 1, 2, Body::Append { previous, entries, committed: Seq(0), last: Seq(last), complete })
}

fn end(copy: CopyId, index: u32, version: Version) -> Message {
    let step = Step::End { version, time: HybridTime(version.seq.0) };
    message(2, 1, 2, Body::Step { copy, index, step })
}

fn truncated(commands: &[Command]) -> bool {
    commands.iter().any(|command| matches!(command, Command::Append { record: Record::Truncate { .. }, .. }))
}

#[test]
fn nothing_is_cut_on_a_rewind_and_only_what_differs_is_replaced() {
    let mut follower = follower(Serving, &[1, 2]);
    let mut out = Vec::new();
    follower.receive(&at(1), message(2, 1, 2, Body::Rewind { to: Version::new(1, 22) }), &mut out);
    assert!(!truncated(&out));
    assert_eq!(sent(&out), vec![Body::Position { last: Version::new(1, 22) }]);
    out.clear();
    follower.receive(&at(2), append(Version::new(1, 22), vec![entry(2, 23)], 23, true), &mut out);
    assert!(truncated(&out), "the entry that differs went");
    assert_eq!(follower.progress().last, Version::new(2, 23));
}

#[test]
fn a_void_end_is_cut_once_everything_from_before_is_here_and_not_sooner() {
    let mut follower = follower(Serving, &[1, 2]);
    let mut out = Vec::new();
    follower.receive(&at(1), append(Version::new(1, 22), vec![], 22, false), &mut out);
    assert!(!truncated(&out));
    follower.receive(&at(2), append(Version::new(1, 22), vec![], 22, true), &mut out);
    assert!(truncated(&out));
    assert_eq!(follower.progress().last, Version::new(1, 22));
}

#[test]
fn a_lost_acknowledgement_is_said_again() {
    let mut follower = follower(Serving, &[1, 2]);
    let mut out = Vec::new();
    follower.receive(&at(1), append(Version::new(1, 23), vec![], 23, true), &mut out);
    assert!(sent(&out).contains(&Body::Ack { through: Seq(23) }));
    // Nothing is known to be committed, so something is under way: the tick speaks of it again.
    out.clear();
    follower.tick(&at(500), &mut out);
    assert!(sent(&out).contains(&Body::Ack { through: Seq(23) }), "{out:?}");
}

#[test]
fn a_copy_that_was_taken_is_not_taken_again() {
    let holdings = Holdings { epoch: Epoch(1), ..Holdings::default() };
    let mut syncing = Replica::new(id(2), P, holdings);
    let mut out = Vec::new();
    syncing.adopt(&at(0), &chain(2, &[(1, Serving), (2, Syncing)], &[1]), &mut out);
    syncing.durable(&at(0), 1, &mut out);
    let copy = CopyId { epoch: Epoch(2), number: 1 };
    syncing.receive(&at(1), end(copy, 0, Version::new(1, 20)), &mut out);
    assert!(syncing.incomplete());
    syncing.durable(&at(1), 2, &mut out);
    syncing.voided(copy, &mut out);
    syncing.installed(&at(2), copy, &mut out);
    assert!(!syncing.incomplete());
    // The last step again, delayed: the word that it was taken was lost.
    out.clear();
    syncing.receive(&at(3), end(copy, 0, Version::new(1, 20)), &mut out);
    assert_eq!(sent(&out), vec![Body::StepTaken { copy, index: 0, found: Found::default() }]);
    assert!(!syncing.incomplete());
    assert_eq!(syncing.progress().last, Version::new(1, 20));
}

#[test]
fn one_that_is_counted_on_takes_no_copy_and_says_where_it_is() {
    let mut follower = follower(Serving, &[1, 2]);
    let mut out = Vec::new();
    let copy = CopyId { epoch: Epoch(2), number: 1 };
    let step = Step::Outline { after: None, pieces: vec![] };
    follower.receive(&at(500), message(2, 1, 2, Body::Step { copy, index: 0, step }), &mut out);
    assert_eq!(sent(&out), vec![Body::Position { last: Version::new(1, 23) }]);
    assert!(!follower.incomplete());
}

#[test]
fn an_unfinished_copy_asks_for_another() {
    let holdings = Holdings { epoch: Epoch(1), incomplete: true, ..Holdings::default() };
    let mut syncing = Replica::new(id(2), P, holdings);
    let mut out = Vec::new();
    syncing.adopt(&at(0), &chain(2, &[(1, Serving), (2, Syncing)], &[1]), &mut out);
    assert_eq!(sent(&out), vec![Body::NeedCopy]);
    let mut head = head();
    out.clear();
    head.receive(&at(1), message(2, 2, 1, Body::NeedCopy), &mut out);
    assert!(out.iter().any(|command| matches!(command, Command::ReadStep { index: 0, .. })), "{out:?}");
}

#[test]
fn what_the_disk_has_and_memory_voided_is_not_sent_on() {
    let unapplied = (21..=23).map(|seq| entry(1, seq)).collect();
    let holdings = Holdings { epoch: Epoch(1), applied: Version::new(1, 20), unapplied, ..Holdings::default() };
    let mut middle = Replica::new(id(2), P, holdings);
    let mut out = Vec::new();
    middle.adopt(&at(0), &chain(2, &[(1, Serving), (2, Serving), (3, Syncing)], &[1, 2]), &mut out);
    middle.receive(&at(1), append(Version::new(1, 20), vec![entry(2, 21), entry(2, 22)], 22, true), &mut out);
    middle.receive(&at(1), message(2, 3, 2, Body::Position { last: Version::new(1, 10) }), &mut out);
    out.clear();
    // The truncation is still on its way to the disk.
    middle.fetched(&at(2), Epoch(2), Some((10..=23).map(|seq| entry(1, seq)).collect()), &mut out);
    let went: Vec<Version> = sent(&out)
        .into_iter()
        .flat_map(|body| if let Body::Append { entries, .. } = body { entries } else { vec![] })
        .map(|entry| entry.version)
        .collect();
    let right = (11..=20).map(|seq| Version::new(1, seq)).chain([Version::new(2, 21), Version::new(2, 22)]);
    assert_eq!(went, right.collect::<Vec<_>>());
}

#[test]
fn one_that_is_being_emptied_answers_nothing_before_it_has_caught_up_again() {
    let mut follower = follower(Serving, &[1]);
    let mut out = Vec::new();
    // It has everything, not yet durably: promoted, and not recorded as complete.
    follower.receive(&at(1), append(Version::new(1, 23), vec![entry(2, 24)], 24, true), &mut out);
    assert!(follower.ready() && follower.check_read(&at(1)).is_ok());
    let copy = CopyId { epoch: Epoch(2), number: 1 };
    follower.receive(&at(2), end(copy, 0, Version::new(2, 24)), &mut out);
    assert!(follower.incomplete());
    assert!(!follower.ready() && follower.check_read(&at(2)).is_err());
    follower.durable(&at(3), 9, &mut out);
    follower.voided(copy, &mut out);
    follower.installed(&at(3), copy, &mut out);
    assert!(!follower.ready(), "what the predecessor had before the copy says nothing of what it has now");
    follower.receive(&at(4), append(Version::new(2, 24), vec![entry(2, 25)], 25, false), &mut out);
    assert!(!follower.ready());
    follower.receive(&at(5), append(Version::new(2, 25), vec![], 25, true), &mut out);
    assert!(follower.ready() && follower.check_read(&at(5)).is_ok());
}

#[test]
fn a_torn_end_is_forgotten_with_the_next_epoch_and_not_sooner() {
    let holdings = Holdings { torn: true, applied: Version::new(1, 20), epoch: Epoch(1), ..Holdings::default() };
    let mut replica = Replica::new(id(2), P, holdings);
    let mut out = Vec::new();
    replica.begin_life(id(2), &mut out);
    replica.adopt(&at(0), &chain(2, &[(1, Serving)], &[1, 2]), &mut out);
    assert!(replica.torn(), "it is in no chain: whether it lacks anything is open");
    replica.adopt(&at(0), &chain(3, &[(1, Serving), (2, Syncing)], &[1]), &mut out);
    assert!(!replica.torn(), "it is counted on again only once it has caught up");
    replica.begin_life(id(2), &mut out);
    assert!(!replica.torn(), "a lost lease does not bring it back");
}

#[test]
fn one_that_hears_that_it_is_recorded_as_complete_says_so_no_more() {
    let mut follower = follower(Serving, &[1]);
    let mut out = Vec::new();
    follower.receive(&at(1), append(Version::new(1, 23), vec![], 23, true), &mut out);
    let reports = |out: &[Command]| out.iter().filter(|c| matches!(c, Command::ReportSynced(_))).count();
    assert_eq!(reports(&out), 1);
    follower.tick(&at(1000), &mut out);
    assert_eq!(reports(&out), 2, "nobody said that it was heard");
    follower.adopt(&at(1001), &chain(2, &[(1, Serving), (2, Serving)], &[1, 2]), &mut out);
    out.clear();
    follower.tick(&at(9000), &mut out);
    assert_eq!(reports(&out), 0);
}
