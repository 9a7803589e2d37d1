//! What may wait at a head is bounded, and whoever is turned away hears the truth about it.

#![allow(clippy::unwrap_used)]

use atoll_replication::chain::{
    Answer, Body, Command, Environment, Failure, Holdings, Message, NODE_UNDER_WAY_BYTES_MAX, Replica, RequestId,
    Tables, TablesFailed, WAITING_MAX, WAITING_MIN, WAITING_TIME_MAX,
};
use bytes::Bytes;
use types::*;

struct Empty;

impl Tables for Empty {
    fn get(&self, _: &ItemKey) -> Result<Option<Item>, TablesFailed> {
        Ok(None)
    }

    fn outcome(&self, _: &OperationId) -> Result<Option<Outcome>, TablesFailed> {
        Ok(None)
    }
}

fn environment() -> Environment {
    Environment {
        now: Monotonic(1),
        wall: WallMillis(1),
        lease_until: Monotonic(2),
        replicas_min: 1,
        under_way: 0,
        full: false,
    }
}

fn head() -> Replica {
    let me = ReplicaId { node: NodeId(1), incarnation: Incarnation(1) };
    let mut head = Replica::new(me, PartitionId(0), Holdings::default());
    let members = vec![ChainMember { replica: me, state: MemberState::Serving }];
    let chain = Chain { epoch: Epoch(1), members, complete: [NodeId(1)].into(), wanted: vec![] };
    head.adopt(&environment(), &chain, &mut Vec::new());
    head
}

fn put(nonce: usize) -> Transaction {
    let partition_key = Bytes::from_static(b"key");
    Transaction {
        operation: OperationId { created: WallMillis(1), key_hash: KeyHash::of(&partition_key), nonce: nonce as u128 },
        partition_key,
        conditions: vec![],
        updates: vec![Update::Put {
            table: TableId(1),
            sort_key: Bytes::new().into(),
            value: Bytes::from_static(b"value").into(),
            expires: None,
        }],
    }
}

fn ask(head: &mut Replica, env: &Environment, request: usize, nonce: usize) -> Vec<Command> {
    let mut out = Vec::new();
    head.transact(env, RequestId(request as u64), &put(nonce), 7, false, &Empty, &mut out);
    out
}

#[test]
fn a_head_keeps_so_many_waiting_and_refuses_the_next_before_it_is_ordered() {
    let (mut head, env) = (head(), environment());
    for nonce in 0..WAITING_MAX {
        let out = ask(&mut head, &env, nonce, nonce);
        assert!(matches!(out[..], [Command::Append { .. }]), "{nonce}: {out:?}");
    }
    let out = ask(&mut head, &env, WAITING_MAX, WAITING_MAX);
    let refused = |out: &[Command]| matches!(out, [Command::Reply { answer: Answer::Failed(Failure::Busy), .. }]);
    assert!(refused(&out), "surely not applied: {out:?}");
    // A retry of a write that is ordered is not told that it was not.
    let out = ask(&mut head, &env, WAITING_MAX + 1, 0);
    assert!(matches!(out[..], [Command::Reply { answer: Answer::Unknown, .. }]), "{out:?}");
    // Whoever verifies is not told a lie either.
    let mut out = Vec::new();
    head.verify(&env, RequestId(0), &put(WAITING_MAX).operation, &Empty, &mut out);
    assert!(refused(&out), "{out:?}");
    // Once they are answered there is room again.
    let mut out = Vec::new();
    head.durable(&env, u64::MAX, &mut out);
    let committed = out.iter().filter(|c| matches!(c, Command::Reply { answer: Answer::Committed(_), .. })).count();
    assert_eq!(committed, WAITING_MAX);
    assert!(matches!(ask(&mut head, &env, 1, WAITING_MAX)[..], [Command::Append { .. }]));
}

/// More comes in than is done: what is let in is done soon, the rest is told at once.
#[test]
fn a_head_where_the_longest_waits_too_long_lets_in_nobody_else_before_it_is_answered() {
    let (mut head, begin) = (head(), environment());
    let after =
        |time: std::time::Duration| Environment { now: begin.now + time, lease_until: Monotonic(u64::MAX), ..begin };
    let late = after(WAITING_TIME_MAX + std::time::Duration::from_millis(1));
    let busy = |out: &[Command]| matches!(out, [Command::Reply { answer: Answer::Failed(Failure::Busy), .. }]);
    for nonce in 0..WAITING_MIN - 1 {
        assert!(!busy(&ask(&mut head, &begin, nonce, nonce)));
    }
    assert!(!busy(&ask(&mut head, &late, 100, 100)), "a few may wait as long as they like");
    assert!(busy(&ask(&mut head, &late, 101, 101)));
    assert!(!busy(&ask(&mut head, &after(WAITING_TIME_MAX), 102, 102)), "nor before it is long");
    // A retry of what is ordered is let in to wait for it.
    assert!(!busy(&ask(&mut head, &late, 103, 0)));
    // The first of them are answered; the longest that waits now came later.
    let mut out = Vec::new();
    head.durable(&late, WAITING_MIN as u64, &mut out);
    assert!(out.iter().any(|command| matches!(command, Command::Reply { answer: Answer::Committed(_), .. })));
    assert!(!busy(&ask(&mut head, &late, 104, 104)));
}

#[test]
fn a_node_with_too_much_under_way_in_all_orders_no_more() {
    let mut head = head();
    let full = Environment { under_way: NODE_UNDER_WAY_BYTES_MAX + 1, ..environment() };
    let out = ask(&mut head, &full, 1, 1);
    assert!(matches!(out[..], [Command::Reply { answer: Answer::Failed(Failure::Busy), .. }]), "{out:?}");
}

/// A fence for it would be forgotten before the operation itself is refused for its age.
#[test]
fn of_an_operation_from_the_future_nothing_is_known_and_no_fence_is_ordered() {
    let (mut head, env) = (head(), environment());
    let ahead = types::limits::OPERATION_SKEW_MAX.as_millis() as u64;
    let asked = |head: &mut Replica, created: u64| {
        let mut out = Vec::new();
        let operation = OperationId { created: WallMillis(created), ..put(1).operation };
        head.verify(&env, RequestId(0), &operation, &Empty, &mut out);
        out
    };
    let out = asked(&mut head, env.wall.0 + ahead + 1);
    assert!(matches!(out[..], [Command::Reply { answer: Answer::Verdict(Verdict::Unknown), .. }]), "{out:?}");
    assert!(matches!(asked(&mut head, env.wall.0 + ahead)[..], [Command::Append { .. }]));
}

fn refused_for(out: &[Command]) -> Option<NodeId> {
    match out {
        [Command::Reply { answer: Answer::Failed(Failure::NoSpace(node)), .. }] => Some(*node),
        _ => None,
    }
}

#[test]
fn a_full_disk_anywhere_in_the_chain_refuses_growth_before_it_is_ordered_and_takes_deletes() {
    let id = |node| ReplicaId { node: NodeId(node), incarnation: Incarnation(1) };
    let members = [1, 2, 3].map(|node| ChainMember { replica: id(node), state: MemberState::Serving }).to_vec();
    let complete = [1, 2, 3].map(NodeId).into();
    let chain = Chain { epoch: Epoch(1), members, complete, wanted: vec![] };
    let mut replicas = [1, 2, 3].map(|node| Replica::new(id(node), PartitionId(0), Holdings::default()));
    let start = environment();
    replicas.iter_mut().for_each(|replica| replica.adopt(&start, &chain, &mut Vec::new()));
    let [head, middle, tail] = &mut replicas;
    let at = |millis: u64, full| Environment {
        now: Monotonic(1 + millis * 1_000_000),
        lease_until: Monotonic(u64::MAX),
        full,
        ..environment()
    };
    let word = |out: &[Command]| {
        let full = |command: &Command| match command {
            Command::Send(message) if matches!(message.body, Body::Full { .. }) => Some(message.clone()),
            _ => None,
        };
        out.iter().find_map(full)
    };
    // The tail's word goes up to the head.
    let (mut out, mut above) = (Vec::new(), Vec::new());
    tail.tick(&at(0, true), &mut out);
    middle.receive(&at(1, false), word(&out).unwrap(), &mut above);
    head.receive(&at(2, false), word(&above).unwrap(), &mut Vec::new());
    assert_eq!(refused_for(&ask(head, &at(3, false), 1, 1)), Some(NodeId(3)));
    // A delete goes through, with a note beside it.
    let mut delete = put(2);
    delete.updates.push(Update::Delete { table: TableId(1), sort_key: Bytes::from_static(b"old") });
    let mut out = Vec::new();
    head.transact(&at(3, false), RequestId(2), &delete, 7, false, &Empty, &mut out);
    assert!(out.iter().any(|command| matches!(command, Command::Append { .. })), "{out:?}");
    // It holds for a second, and no longer unless it is said again.
    assert!(refused_for(&ask(head, &at(900, false), 3, 3)).is_some());
    assert!(refused_for(&ask(head, &at(1100, false), 4, 4)).is_none());
    // The head's own.
    assert_eq!(refused_for(&ask(head, &at(1200, true), 5, 5)), Some(NodeId(1)));
}

#[test]
fn one_that_syncs_on_a_full_disk_holds_up_nobody() {
    let id = |node| ReplicaId { node: NodeId(node), incarnation: Incarnation(1) };
    let members = vec![
        ChainMember { replica: id(1), state: MemberState::Serving },
        ChainMember { replica: id(2), state: MemberState::Syncing },
    ];
    let chain = Chain { epoch: Epoch(1), members, complete: [NodeId(1)].into(), wanted: vec![] };
    let mut head = Replica::new(id(1), PartitionId(0), Holdings::default());
    head.adopt(&environment(), &chain, &mut Vec::new());
    let body = Body::Full { node: NodeId(2) };
    let message = Message { partition: PartitionId(0), epoch: Epoch(1), from: id(2), to: id(1), body };
    head.receive(&environment(), message, &mut Vec::new());
    assert!(matches!(ask(&mut head, &environment(), 1, 1)[..], [Command::Append { .. }]));
}

/// A follower whose tables are far behind says no more that it has what is new; once they are not, or there is nothing
/// left for them to take, it does.
#[test]
fn a_follower_whose_tables_lag_acknowledges_nothing_new() {
    let id = |node| ReplicaId { node: NodeId(node), incarnation: Incarnation(1) };
    let members = [1, 2].map(|node| ChainMember { replica: id(node), state: MemberState::Serving }).to_vec();
    let chain = Chain { epoch: Epoch(1), members, complete: [1, 2].map(NodeId).into(), wanted: vec![] };
    let crowded = Environment { under_way: NODE_UNDER_WAY_BYTES_MAX + 1, ..environment() };
    let mut tail = Replica::new(id(2), PartitionId(0), Holdings::default());
    let mut appends = 0;
    let acknowledged = |out: &[Command]| {
        let through = |command: &Command| match command {
            Command::Send(Message { body: Body::Ack { through }, .. }) => Some(through.0),
            _ => None,
        };
        out.iter().filter_map(through).next_back()
    };
    let mut out = Vec::new();
    tail.adopt(&environment(), &chain, &mut out);
    appends += out.iter().filter(|command| matches!(command, Command::Append { .. })).count() as u64;
    tail.durable(&environment(), appends, &mut out);
    let mut take = |tail: &mut Replica, seqs: std::ops::RangeInclusive<u64>, committed: u64, env: &Environment| {
        let entry =
            |seq| LogEntry { version: Version::new(1, seq), time: HybridTime(seq), operation: None, effects: vec![] };
        let previous = if *seqs.start() == 1 { Version::ZERO } else { Version::new(1, seqs.start() - 1) };
        let last = Seq(*seqs.end());
        let entries = seqs.map(|seq| entry(seq).into()).collect();
        let body = Body::Append { previous, entries, committed: Seq(committed), last, complete: Some(last) };
        let mut out = Vec::new();
        tail.receive(
            env,
            Message { partition: PartitionId(0), epoch: Epoch(1), from: id(1), to: id(2), body },
            &mut out,
        );
        appends += out.iter().filter(|command| matches!(command, Command::Append { .. })).count() as u64;
        tail.durable(env, appends, &mut out);
        out
    };
    assert_eq!(acknowledged(&take(&mut tail, 1..=3, 0, &environment())), Some(3));
    // Nothing is committed, so nothing can be taken off: to wait for the tables would be to wait for ever.
    assert_eq!(acknowledged(&take(&mut tail, 4..=5, 0, &crowded)), Some(5));
    let out = take(&mut tail, 6..=8, 5, &crowded);
    assert!(acknowledged(&out).is_none_or(|through| through <= 5), "{out:?}");
    assert!(out.iter().any(|command| matches!(command, Command::Apply(entries) if entries.len() == 5)), "{out:?}");
    let mut out = Vec::new();
    tail.applied(&crowded, Seq(4), &mut out);
    assert!(acknowledged(&out).is_none_or(|through| through <= 5), "{out:?}");
    tail.applied(&crowded, Seq(5), &mut out);
    assert_eq!(acknowledged(&out), Some(8));
    // Or once there is less.
    assert!(acknowledged(&take(&mut tail, 9..=9, 8, &crowded)).is_none_or(|through| through <= 8));
    let mut out = Vec::new();
    tail.tick(&environment(), &mut out);
    assert_eq!(acknowledged(&out), Some(9));
}
