//! The judge of histories, on keys of several items: planted wrongs, and agreement with stateright's checker.

#![allow(clippy::unwrap_used)]

use atoll_simulator::history::{
    Call, CheckError, Operation, Outcome, Reply, Value, check, read_json_lines, write_json_lines,
};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};
use std::collections::BTreeMap;
use std::time::Instant;

type Values = BTreeMap<String, Option<Value>>;

/// `a=1 b=-`: item a holds 1, item b is absent.
fn values(text: &str) -> Values {
    let pair = |word: &str| {
        let (item, value) = word.split_once('=').unwrap();
        (item.to_owned(), (value != "-").then(|| value.into()))
    };
    text.split_whitespace().map(pair).collect()
}

fn transact(tests: &str, writes: &str) -> Call {
    Call::Transact { tests: values(tests), writes: values(writes) }
}

fn get(items: &str) -> Call {
    Call::GetMany { items: items.split_whitespace().map(str::to_owned).collect() }
}

fn done() -> Outcome {
    Outcome::Ok(Reply::Done)
}

fn failed(item: &str) -> Outcome {
    Outcome::Ok(Reply::TestFailed { item: Some(item.into()) })
}

fn op(call: Call, outcome: Outcome, invoked: u64, returned: u64) -> Operation {
    let returned = (outcome != Outcome::Unknown).then_some(returned);
    Operation { client: invoked, key: "k".into(), call, outcome, invoked, returned }
}

fn read(found: &str, invoked: u64, returned: u64) -> Operation {
    let values = values(found);
    let call = Call::GetMany { items: values.keys().cloned().collect() };
    op(call, Outcome::Ok(Reply::ReadMany { values }), invoked, returned)
}

fn write(writes: &str, invoked: u64, returned: u64) -> Operation {
    op(transact("", writes), done(), invoked, returned)
}

fn lost(tests: &str, writes: &str, invoked: u64) -> Operation {
    op(transact(tests, writes), Outcome::Unknown, invoked, 0)
}

#[track_caller]
fn good(history: &[Operation]) {
    if let Err(error) = check(history) {
        panic!("{error}");
    }
}

#[track_caller]
fn bad(history: &[Operation], stuck: usize) -> String {
    match check(history) {
        Err(CheckError::NotLinearizable(violation)) => {
            assert_eq!(violation.stuck, history[stuck], "{violation}");
            violation.to_string()
        }
        other => panic!("expected a violation, got {other:?}"),
    }
}

#[test]
fn a_transaction_is_seen_whole() {
    good(&[write("a=1 b=1", 0, 1), read("a=1 b=1", 2, 3), write("a=2 c=2", 4, 9), read("a=1 b=1 c=-", 5, 6)]);
    // Half of it, though each item by itself would be right.
    let text = bad(&[write("a=1 b=1", 0, 1), write("a=2 b=2", 2, 9), read("a=2 b=1", 3, 4)], 2);
    assert!(text.contains("a=1 and b=1"), "{text}");
    bad(&[write("a=1", 0, 1), write("b=1", 2, 3), read("a=- b=1", 0, 9), read("a=1 b=-", 4, 5)], 2 + 1);
    // Two snapshots that see two writes in different orders.
    let both = [write("a=1", 0, 9), write("b=1", 0, 9), read("a=1 b=-", 0, 9), read("a=- b=1", 0, 9)];
    assert!(check(&both).is_err());
    good(&both[..3]);
}

#[test]
fn a_transaction_tests_and_writes_at_one_moment() {
    let tested = |outcome, invoked| op(transact("a=1 b=1", "c=1"), outcome, invoked, invoked + 1);
    good(&[write("a=1 b=1", 0, 1), tested(done(), 2), read("c=1", 4, 5)]);
    bad(&[write("a=1 b=2", 0, 1), tested(done(), 2)], 1);
    // The named test, and no other.
    good(&[write("a=1 b=2", 0, 1), tested(failed("b"), 2), read("c=-", 4, 5)]);
    bad(&[write("a=1 b=2", 0, 1), tested(failed("a"), 2)], 1);
    good(&[write("a=1 b=2", 0, 1), tested(Outcome::Ok(Reply::TestFailed { item: None }), 2)]);
    bad(&[write("a=1 b=1", 0, 1), tested(Outcome::Ok(Reply::TestFailed { item: None }), 2)], 1);
    // Write skew: each read what the other wrote.
    let skew = [op(transact("a=-", "b=1"), done(), 0, 9), op(transact("b=-", "a=1"), done(), 0, 9)];
    assert!(check(&skew).is_err());
    good(&skew[..1]);
}

#[test]
fn an_unknown_transaction_happens_whole_or_not_at_all() {
    let begun = [write("a=1 b=1", 0, 1), lost("", "a=2 b=2", 2)];
    let with = |more: &[Operation]| [&begun, more].concat();
    good(&with(&[read("a=1 b=1", 3, 4), read("a=2 b=2", 5, 6)]));
    bad(&with(&[read("a=1", 3, 4), read("b=2", 5, 6), read("a=1", 7, 8)]), 4);
    // What it wrote into one item is gone when what it wrote into the other is first seen.
    good(&with(&[write("b=3", 3, 4), read("b=3", 5, 6), read("a=2", 7, 8), read("b=3", 9, 10)]));
    bad(&with(&[write("b=3", 3, 4), read("a=1", 5, 6), read("a=2", 7, 8), read("b=3", 9, 10)]), 5);
    // Through another unknown one of a single item.
    good(&[lost("", "a=1", 0), lost("a=1", "b=1 c=1", 0), write("b=2", 1, 2), read("b=2", 3, 4), read("c=1", 5, 6)]);
    bad(&[lost("a=1", "b=1 c=1", 0), read("c=1", 5, 6)], 1);
}

#[test]
fn it_is_written_as_json_and_bounded() {
    let mut history = vec![
        write("a=1 b=-", 0, 1),
        lost("a=1 b=-", "a=2", 2),
        read("a=1 b=-", 3, 4),
        op(transact("a=1", ""), failed("a"), 5, 6),
        op(transact("a=1", ""), Outcome::Ok(Reply::TestFailed { item: None }), 5, 6),
        op(get("a b"), Outcome::Refused, 0, 1),
    ];
    let mut text = Vec::new();
    write_json_lines(&mut text, &history).unwrap();
    assert_eq!(read_json_lines(text.as_slice()).unwrap(), history, "{}", String::from_utf8_lossy(&text));
    history.push(read("a=1 b=1 c=1 d=1 e=1", 7, 8));
    assert!(matches!(check(&history), Err(CheckError::Malformed { .. })));
    assert!(matches!(check(&[op(get("a b"), read("a=1", 0, 1).outcome, 0, 1)]), Err(CheckError::Malformed { .. })));
    assert!(matches!(check(&[op(transact("a=1", "b=1"), failed("b"), 0, 1)]), Err(CheckError::Malformed { .. })));
}

/// A key's items, as stateright wants them described.
#[derive(Clone, Debug, Default)]
struct Items(Values);

impl Items {
    fn held(&self, item: &str) -> Option<Value> {
        self.0.get(item).cloned().flatten()
    }

    fn failing(&self, call: &Call) -> Vec<String> {
        let Call::Transact { tests, .. } = call else { return Vec::new() };
        tests.iter().filter(|(item, value)| self.held(item) != **value).map(|(item, _)| item.clone()).collect()
    }
}

impl SequentialSpec for Items {
    type Op = Call;
    type Ret = Reply;

    fn invoke(&mut self, call: &Call) -> Reply {
        match call {
            Call::GetMany { items } => {
                Reply::ReadMany { values: items.iter().map(|item| (item.clone(), self.held(item))).collect() }
            }
            Call::Transact { writes, .. } => match self.failing(call).into_iter().next() {
                Some(item) => Reply::TestFailed { item: Some(item) },
                None => {
                    self.0.extend(writes.clone());
                    Reply::Done
                }
            },
            other => panic!("not made here: {other:?}"),
        }
    }

    fn is_valid_step(&mut self, call: &Call, reply: &Reply) -> bool {
        let failing = self.failing(call);
        match reply {
            Reply::TestFailed { item: Some(item) } => failing.contains(item),
            Reply::TestFailed { item: None } => !failing.is_empty(),
            reply => self.invoke(call) == *reply,
        }
    }
}

fn stateright_agrees(history: &[Operation]) -> bool {
    let mut tester = LinearizabilityTester::new(Items::default());
    let mut moments = Vec::new();
    for (index, operation) in history.iter().enumerate().filter(|(_, one)| one.outcome != Outcome::Refused) {
        moments.push((operation.invoked, 0, index, operation));
        if let Outcome::Ok(_) = operation.outcome {
            moments.push((operation.returned.unwrap(), 1, index, operation));
        }
    }
    moments.sort_by_key(|(time, end, index, _)| (*time, *end, *index));
    for (_, end, index, operation) in moments {
        match (&operation.outcome, end) {
            (Outcome::Ok(reply), 1) => tester.on_return(index, reply.clone()).map(|_| ()).unwrap(),
            _ => tester.on_invoke(index, operation.call.clone()).map(|_| ()).unwrap(),
        }
    }
    tester.is_consistent()
}

/// What a made-up history is like.
struct Load {
    operations: u64,
    /// Longest an operation takes; one begins at each moment or so.
    longest: u64,
    /// Different values, or each but once.
    values: Option<u64>,
    unknown: f64,
    /// A failed test is named.
    named: bool,
}

/// Clients at work on atomic items: good by construction.
fn record(load: &Load, rng: &mut ChaCha8Rng) -> Vec<Operation> {
    let mut acts = Vec::new();
    for index in 0..load.operations {
        let invoked = index + rng.random_range(0..2);
        let returned = invoked + rng.random_range(0..=load.longest);
        let unknown = rng.random_bool(load.unknown);
        let far = if unknown && rng.random_bool(0.5) { 10 * load.longest } else { 0 };
        acts.push((rng.random_range(invoked..=returned + far), invoked, returned, unknown, index));
    }
    // In the order of their moments.
    acts.sort_unstable();
    let (mut items, mut history) = (Items::default(), Vec::new());
    for (_, invoked, returned, unknown, index) in acts {
        let value = |rng: &mut ChaCha8Rng| -> Option<Value> {
            let value = load.values.map_or(index, |count| rng.random_range(0..count));
            rng.random_bool(0.85).then(|| value.into())
        };
        let mut some = |most: usize| -> Vec<String> {
            let count = rng.random_range(1..=most);
            ["a", "b", "c"].choose_multiple(rng, count).map(|item| (*item).to_owned()).collect()
        };
        let (tested, written, looked_at) = (some(2), some(3), some(3));
        let call = match rng.random_range(0..10) {
            0..4 => Call::GetMany { items: looked_at },
            4..7 => Call::Transact {
                tests: Values::new(),
                writes: written.into_iter().map(|item| (item, value(rng))).collect(),
            },
            _ => Call::Transact {
                tests: tested
                    .into_iter()
                    .map(|item| {
                        let right = items.held(&item);
                        let wrong = value(rng);
                        (item, if rng.random_bool(0.8) { right } else { wrong })
                    })
                    .collect(),
                writes: written.into_iter().map(|item| (item, value(rng))).collect(),
            },
        };
        let mut reply = Reply::Done;
        // Half of the unknown ones have no effect.
        if !unknown || rng.random_bool(0.5) {
            reply = items.invoke(&call);
        }
        if let (Reply::TestFailed { item }, false) = (&mut reply, load.named) {
            *item = None;
        }
        let outcome = if unknown { Outcome::Unknown } else { Outcome::Ok(reply) };
        history.push(op(call, outcome, invoked, returned));
    }
    history
}

/// Changes an answer or two to something else that might have been answered.
fn spoil(history: &mut [Operation], rng: &mut ChaCha8Rng) {
    for _ in 0..rng.random_range(0..3) {
        let place = rng.random_range(0..history.len());
        let operation = &mut history[place];
        match (&operation.call, &mut operation.outcome) {
            (_, Outcome::Ok(Reply::ReadMany { values })) => {
                let value = rng.random_bool(0.7).then(|| Value::from(rng.random_range(0..3u64)));
                *values.values_mut().next().unwrap() = value;
            }
            (Call::Transact { tests, .. }, Outcome::Ok(reply)) if !tests.is_empty() => {
                let item = tests.keys().next().cloned();
                *reply = if rng.random() { Reply::Done } else { Reply::TestFailed { item } };
            }
            (_, outcome) => *outcome = [Outcome::Unknown, Outcome::Refused].choose(rng).cloned().unwrap(),
        }
    }
}

#[test]
fn small_histories_get_the_verdict_that_stateright_gives() {
    let count: u64 = std::env::var("ATOLL_HISTORIES").ok().and_then(|n| n.parse().ok()).unwrap_or(40_000);
    let size: u64 = std::env::var("ATOLL_HISTORY_SIZE").ok().and_then(|n| n.parse().ok()).unwrap_or(9);
    let mut verdicts = [0u64; 2];
    for seed in 0..count {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let load = Load {
            operations: rng.random_range(1..=size),
            longest: rng.random_range(1..=6),
            values: [None, Some(2), Some(3)][rng.random_range(0..3)],
            unknown: [0.0, 0.3, 0.6][rng.random_range(0..3)],
            named: rng.random(),
        };
        let mut history = record(&load, &mut rng);
        spoil(&mut history, &mut rng);
        let expected = stateright_agrees(&history);
        let verdict = check(&history);
        assert!(!matches!(verdict, Err(CheckError::Undecided { .. } | CheckError::Malformed { .. })), "{verdict:?}");
        assert_eq!(verdict.is_ok(), expected, "seed {seed}: {verdict:?}\n{history:#?}");
        verdicts[usize::from(expected)] += 1;
    }
    assert!(verdicts.iter().all(|n| *n > count / 10), "one-sided: {verdicts:?}");
}

#[test]
fn long_histories_are_judged_quickly() {
    for seed in 0..3 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let load = Load { operations: 8_000, longest: 12, values: None, unknown: 0.03, named: true };
        let mut history = record(&load, &mut rng);
        let start = Instant::now();
        good(&history);
        let taken = start.elapsed();
        // A read of what was long overwritten.
        let old = history.iter().find_map(|operation| match &operation.outcome {
            Outcome::Ok(Reply::ReadMany { values }) if values.values().all(Option::is_some) => Some(values.clone()),
            _ => None,
        });
        let values = old.unwrap();
        let call = Call::GetMany { items: values.keys().cloned().collect() };
        history.push(op(call, Outcome::Ok(Reply::ReadMany { values }), 4_000, 4_010));
        let verdict = check(&history);
        assert!(matches!(verdict, Err(CheckError::NotLinearizable(_))), "{verdict:?}");
        println!("seed {seed}: good in {taken:?}, bad in {:?}", start.elapsed() - taken);
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    }
}
