//! Whatever two replicas have, a copy ends in what its sender has, and moves little more than what differs.

#![allow(clippy::unwrap_used)]

use atoll_replication::chain::{Command, Environment, Grain, Holdings, Message, Progress, Replica, Step, Want};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use types::*;

const COARSE: usize = 4096;
const FINE: usize = 128;
const PAGE: usize = 512;
/// Of a row: its key and its value.
const ROW: usize = 4 + 16;

type Tables = BTreeMap<u32, u128>;

fn rows(tables: &Tables, range: &RowRange) -> Vec<Result<(Bytes, Bytes), Infallible>> {
    let row = |(key, value): (&u32, &u128)| {
        Ok((Bytes::copy_from_slice(&key.to_be_bytes()), Bytes::copy_from_slice(&value.to_be_bytes())))
    };
    tables.iter().map(row).filter(|row| row.as_ref().is_ok_and(|(key, _)| range.contains(key))).collect()
}

/// A replica, its tables, and what is on its way to it.
struct Node {
    replica: Replica,
    tables: Tables,
    inbox: VecDeque<Message>,
}

/// A sender whose log reaches back to nothing that the receiver has.
struct Pair {
    nodes: [Node; 2],
    /// Bytes of rows and of outlines that were sent.
    rows: usize,
    outlines: usize,
    /// After so many imports the receiver's process ends and starts again.
    crash_after: Option<usize>,
    now: u64,
    /// Every so many messages, one is lost.
    lose: usize,
    sent: usize,
}

fn id(node: u64) -> ReplicaId {
    ReplicaId { node: NodeId(node), incarnation: Incarnation(1) }
}

fn chain(epoch: u64) -> Chain {
    let member = |node, state| ChainMember { replica: id(node), state };
    let members = vec![member(1, MemberState::Serving), member(2, MemberState::Syncing)];
    Chain { epoch: Epoch(epoch), members, complete: [NodeId(1)].into(), wanted: vec![] }
}

impl Pair {
    fn new(sender: Tables, receiver: Tables, crash_after: Option<usize>, lose: usize) -> Pair {
        let node = |number, seq, tables| {
            let holdings = Holdings { epoch: Epoch(1), applied: Version::new(1, seq), ..Holdings::default() };
            let replica = Replica::new(id(number), PartitionId(0), holdings);
            Node { replica, tables, inbox: VecDeque::new() }
        };
        let nodes = [node(1, 20, sender), node(2, 5, receiver)];
        let mut pair = Pair { nodes, rows: 0, outlines: 0, crash_after, now: 1, lose, sent: 0 };
        pair.adopt(2);
        pair
    }

    fn adopt(&mut self, epoch: u64) {
        for node in [0, 1] {
            self.step(node, |replica, env, out| replica.adopt(env, &chain(epoch), out));
        }
    }

    fn step(&mut self, node: usize, event: impl FnOnce(&mut Replica, &Environment, &mut Vec<Command>)) {
        let env = Environment {
            now: Monotonic(self.now),
            lease_until: Monotonic(u64::MAX),
            replicas_min: 1,
            ..Environment::default()
        };
        let mut out = Vec::new();
        event(&mut self.nodes[node].replica, &env, &mut out);
        out.into_iter().for_each(|command| self.carry_out(node, command));
    }

    fn carry_out(&mut self, node: usize, command: Command) {
        match command {
            Command::Append { number, .. } => self.step(node, |replica, env, out| replica.durable(env, number, out)),
            Command::Send(message) => {
                self.sent += 1;
                if self.lose == 0 || !self.sent.is_multiple_of(self.lose) {
                    self.nodes[message.to.node.0 as usize - 1].inbox.push_back(message);
                }
            }
            Command::Fetch { epoch, .. } => self.step(node, |replica, env, out| replica.fetched(env, epoch, None, out)),
            Command::ReadStep { copy, index, want } => {
                let step = self.read(node, want);
                self.step(node, |replica, env, out| replica.step_read(env, copy, index, Some(step), out));
            }
            Command::Void { copy } => self.step(node, |replica, _, out| replica.voided(copy, out)),
            Command::Compare { copy, index, after, pieces } => {
                let range = RowRange { after, upto: None };
                let found = rows::compare(rows(&self.nodes[node].tables, &range).into_iter(), &pieces).unwrap();
                self.step(node, |replica, _, out| replica.compared(copy, index, found, out));
            }
            Command::Import { copy, index, range, rows } => {
                let tables = &mut self.nodes[node].tables;
                tables.retain(|key, _| !range.contains(&key.to_be_bytes()));
                for row in rows.chunks(ROW) {
                    let (key, value) = row.split_at(4);
                    assert!(range.contains(key));
                    let value = u128::from_be_bytes(value.try_into().unwrap());
                    tables.insert(u32::from_be_bytes(key.try_into().unwrap()), value);
                }
                if let Some(0) = self.crash_after {
                    self.crash_after = None;
                    return self.restart();
                }
                self.crash_after = self.crash_after.map(|left| left - 1);
                self.step(node, |replica, _, out| replica.imported(copy, index, out));
            }
            Command::Install { copy, .. } => self.step(node, |replica, env, out| replica.installed(env, copy, out)),
            _ => {}
        }
    }

    fn read(&mut self, node: usize, want: Want) -> Step {
        let tables = &self.nodes[node].tables;
        match want {
            Want::Outline { range, grain } => {
                let piece = if grain == Grain::Coarse { COARSE } else { FINE };
                let (pieces, _) = rows::outline(rows(tables, &range).into_iter(), &range, piece).unwrap();
                self.outlines += pieces.len() * (32 + 4);
                Step::Outline { after: range.after, pieces }
            }
            Want::Rows(range) => {
                let mut bytes = Vec::new();
                let mut upto = range.upto;
                let start = RowRange { after: range.after.clone(), upto: upto.clone() };
                for (key, value) in rows(tables, &start).into_iter().flatten() {
                    bytes.extend_from_slice(&key);
                    bytes.extend_from_slice(&value);
                    if bytes.len() >= PAGE {
                        upto = Some(key);
                        break;
                    }
                }
                self.rows += bytes.len();
                Step::Rows { range: RowRange { after: range.after, upto }, rows: bytes.into() }
            }
            Want::End => Step::End { version: Version::new(1, 20), time: HybridTime(20) },
        }
    }

    /// The receiver comes back in the middle of a copy, as storage would find it, and in a new epoch.
    fn restart(&mut self) {
        assert!(self.nodes[1].replica.incomplete());
        let Progress { epoch, .. } = self.nodes[1].replica.progress();
        let holdings = Holdings { epoch, incomplete: true, ..Holdings::default() };
        self.nodes[1].replica = Replica::new(id(2), PartitionId(0), holdings);
        self.adopt(epoch.0 + 1);
    }

    fn run(&mut self) {
        for _ in 0..200_000 {
            if self.nodes[1].replica.progress().last == Version::new(1, 20) && !self.nodes[1].replica.incomplete() {
                return;
            }
            let waiting = (0..2).find_map(|node| Some((node, self.nodes[node].inbox.pop_front()?)));
            match waiting {
                Some((node, message)) => self.step(node, |replica, env, out| replica.receive(env, message, out)),
                None => {
                    self.now += 50_000_000;
                    (0..2).for_each(|node| self.step(node, |replica, env, out| replica.tick(env, out)));
                }
            }
            let receiver = &self.nodes[1].replica;
            assert!(
                !(receiver.ready() || receiver.incomplete() && receiver.check_read(&Environment::default()).is_ok())
            );
        }
        panic!("the copy does not end");
    }
}

/// Rows under `0, 10, 20 …`.
fn full(count: u32) -> Tables {
    (0..count).map(|n| (n * 10, u128::from(n))).collect()
}

proptest! {
    #[test]
    fn a_copy_ends_in_what_its_sender_has(
        count in 0u32..1500,
        changes in prop::collection::vec((0u32..15_000, prop::option::of(any::<u128>())), 0..40),
        empty in prop::bool::weighted(0.1),
        crash_after in prop::option::of(0usize..20),
        lose in prop_oneof![Just(0usize), 3usize..30],
    ) {
        let mut sender = full(count);
        let receiver = if empty { Tables::new() } else { sender.clone() };
        for (key, value) in &changes {
            match value {
                Some(value) => drop(sender.insert(*key, *value)),
                None => drop(sender.remove(key)),
            }
        }
        let mut pair = Pair::new(sender.clone(), receiver.clone(), crash_after, lose);
        pair.run();
        prop_assert_eq!(&pair.nodes[1].tables, &sender);

        // In proportion to what differs, twice where it was begun twice. A row costs the fine pieces that it may
        // lie between, an outline of the coarse piece that it lies in and, where most pieces of a small table
        // differ, all that is in them. What agrees costs the coarse outline.
        let differing = sender.iter().filter(|row| receiver.get(row.0) != Some(row.1)).count()
            + receiver.keys().filter(|key| !sender.contains_key(key)).count();
        let total = sender.len() * ROW;
        let once = total / COARSE * 36 + 36 + differing * (4 * FINE + 2 * PAGES_OF_A_PIECE);
        let bound = (2 * once).min(3 * total + 10_000);
        if !empty && differing * 8 < total / COARSE {
            prop_assert!(pair.rows + pair.outlines <= bound, "{} + {} > {bound}", pair.rows, pair.outlines);
        }
        prop_assert!(pair.rows + pair.outlines <= 3 * total + 10_000, "{} + {}", pair.rows, pair.outlines);
    }
}

/// Bytes of the fine outline of a coarse piece.
const PAGES_OF_A_PIECE: usize = (COARSE / FINE + 2) * 36;

#[test]
fn one_row_in_a_hundred_thousand_costs_next_to_nothing() {
    let sender = full(100_000);
    let mut receiver = sender.clone();
    receiver.insert(500_000, 7);
    receiver.insert(700_005, 7);
    receiver.remove(&900_000);
    let mut pair = Pair::new(sender.clone(), receiver, None, 0);
    pair.run();
    assert_eq!(pair.nodes[1].tables, sender);
    println!("2 MB held, three rows differ: {} bytes of rows, {} of outlines", pair.rows, pair.outlines);
    assert!(pair.rows <= 3 * 2 * FINE, "{}", pair.rows);
    assert!(pair.outlines <= 100_000 * ROW / 50, "{}", pair.outlines);
}

#[test]
fn what_came_before_a_crash_does_not_come_again() {
    let sender = full(5_000);
    let mut pair = Pair::new(sender.clone(), Tables::new(), Some(100), 0);
    pair.run();
    assert_eq!(pair.nodes[1].tables, sender);
    assert!(pair.rows < 5_000 * ROW + 3 * COARSE, "{}", pair.rows);
}
