//! The judge of histories, judged: histories whose verdict is known, agreement with stateright's independent
//! checker on small random ones, and long ones recorded of a register that is correct by construction.

#![allow(clippy::unwrap_used)]

use atoll_simulator::history::{
    Call, CheckError, Effort, History, Operation, Outcome, Reply, Ticket, Value, acknowledged_writes_present, check,
    check_within, read_json_lines, with_final_reads, write_json_lines,
};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

fn get() -> Call {
    Call::Get
}

fn put(value: u64) -> Call {
    Call::Put { value: value.into() }
}

fn cas(expected: impl Into<Option<u64>>, new: u64) -> Call {
    Call::CompareAndSet { expected: expected.into().map(Value::from), new: new.into() }
}

fn done() -> Outcome {
    Outcome::Ok(Reply::Done)
}

fn read(found: impl Into<Option<u64>>) -> Outcome {
    Outcome::Ok(Reply::Read { found: found.into().map(Value::from) })
}

fn swapped() -> Outcome {
    Outcome::Ok(Reply::Swapped)
}

fn mismatch() -> Outcome {
    Outcome::Ok(Reply::Mismatch { observed: None })
}

/// An operation on key "k"; each is its own client.
fn op(call: Call, outcome: Outcome, invoked: u64, returned: u64) -> Operation {
    let returned = (outcome != Outcome::Unknown).then_some(returned);
    Operation { client: invoked, key: "k".into(), call, outcome, invoked, returned }
}

/// An operation of unknown outcome.
fn lost(call: Call, invoked: u64) -> Operation {
    op(call, Outcome::Unknown, invoked, 0)
}

#[track_caller]
fn good(history: &[Operation]) {
    if let Err(error) = check(history) {
        panic!("{error}");
    }
}

/// The history is bad, and the explanation stops at the operation given.
#[track_caller]
fn bad(history: &[Operation], stuck: usize) -> String {
    match check(history) {
        Err(CheckError::NotLinearizable(violation)) => {
            assert_eq!(violation.stuck, history[stuck], "{violation}");
            assert!(violation.window.contains(&violation.stuck));
            violation.to_string()
        }
        other => panic!("expected a violation, got {other:?}"),
    }
}

#[test]
fn plain_histories_are_good() {
    good(&[]);
    good(&[op(get(), read(None), 0, 1)]);
    good(&[op(put(1), done(), 0, 1), op(get(), read(1), 2, 3), op(Call::Delete, done(), 4, 5)]);
    good(&[op(cas(None, 1), swapped(), 0, 1), op(cas(1, 1), swapped(), 2, 3), op(cas(None, 2), mismatch(), 4, 5)]);
    // Overlapping writes may be seen in either order, and a read may see a write that has not returned.
    good(&[op(put(1), done(), 0, 9), op(put(2), done(), 0, 9), op(get(), read(2), 1, 2), op(get(), read(1), 3, 4)]);
}

#[test]
fn a_stale_read_is_found_and_explained() {
    let history = [op(put(1), done(), 0, 10), op(put(2), done(), 20, 30), op(get(), read(1), 40, 50)];
    let text = bad(&history, 2);
    assert!(text.contains("could only have held: 2"), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("client")).count(), 5, "{text}");
    // Touching is overlapping.
    good(&[op(put(1), done(), 0, 10), op(put(2), done(), 20, 30), op(get(), read(1), 30, 50)]);
}

#[test]
fn a_lost_write_is_found() {
    bad(&[op(put(1), done(), 0, 1), op(get(), read(None), 2, 3)], 1);
    let flicker = [op(put(1), done(), 0, 9), op(get(), read(1), 1, 2), op(get(), read(None), 3, 4)];
    bad(&flicker, 2);
}

#[test]
fn a_value_from_nowhere_is_found() {
    let text = bad(&[op(put(1), done(), 0, 1), op(get(), read(7), 2, 3)], 1);
    assert!(text.contains("nobody had written"), "{text}");
    bad(&[op(put(7), Outcome::Refused, 0, 1), op(get(), read(7), 2, 3)], 1);
    bad(&[op(get(), read(7), 0, 1), op(put(7), done(), 2, 3)], 0);
}

#[test]
fn only_one_of_two_swaps_can_win() {
    let history = [op(put(1), done(), 0, 1), op(cas(1, 2), swapped(), 2, 8), op(cas(1, 3), swapped(), 3, 9)];
    bad(&history, 2);
    good(&[history[0].clone(), history[1].clone(), op(cas(1, 3), mismatch(), 3, 9)]);
    bad(&[op(put(1), done(), 0, 1), op(cas(1, 2), mismatch(), 2, 3)], 1);
    let odd = Outcome::Ok(Reply::Mismatch { observed: Some(Some(1.into())) });
    bad(&[op(put(1), done(), 0, 1), op(put(2), done(), 0, 9), op(cas(1, 2), odd, 2, 3)], 2);
}

#[test]
fn an_unknown_write_may_come_late_or_never() {
    let late = [lost(put(1), 0), op(put(2), done(), 1, 2), op(get(), read(2), 3, 4), op(get(), read(1), 5, 6)];
    good(&late);
    good(&late[..3]);
    good(&[lost(put(1), 0), op(get(), read(None), 1, 2)]);
    // Once is not twice.
    let twice = [late.as_slice(), &[op(put(3), done(), 7, 8), op(get(), read(1), 9, 10)]].concat();
    bad(&twice, 5);
    // Not before it was asked.
    bad(&[op(get(), read(1), 0, 1), lost(put(1), 2)], 0);
    // Through others of its kind.
    good(&[lost(cas(2, 3), 0), lost(put(1), 0), lost(cas(1, 2), 0), op(get(), read(3), 1, 2)]);
    bad(&[lost(cas(2, 3), 0), lost(cas(1, 2), 0), op(get(), read(3), 1, 2)], 2);
    // For a swap that found "some other value".
    good(&[op(put(1), done(), 0, 1), lost(put(2), 1), op(cas(1, 5), mismatch(), 2, 3), op(get(), read(2), 4, 5)]);
    bad(&[op(put(1), done(), 0, 1), lost(put(2), 1), op(cas(1, 5), mismatch(), 2, 3), op(get(), read(1), 4, 5)], 3);
}

#[test]
fn the_deleted_does_not_rise() {
    bad(&[op(put(1), done(), 0, 1), op(Call::Delete, done(), 2, 3), op(get(), read(1), 4, 5)], 2);
    good(&[op(put(1), done(), 0, 1), lost(Call::Delete, 2), op(get(), read(1), 4, 5), op(get(), read(None), 6, 7)]);
    let risen = [lost(Call::Delete, 0), op(put(1), done(), 0, 1), op(get(), read(None), 2, 3)];
    good(&risen);
    bad(&[risen.as_slice(), &[op(get(), read(1), 4, 5)]].concat(), 3);
}

#[test]
fn keys_are_judged_apart() {
    let mut history = vec![op(put(1), done(), 0, 1), op(get(), read(None), 2, 3)];
    history[1].key = "other".into();
    good(&history);
    assert!(matches!(
        check(&[Operation { returned: None, ..history[0].clone() }]),
        Err(CheckError::Malformed { reason: "it was answered, but not at any time", .. })
    ));
    assert!(matches!(check(&[op(get(), done(), 0, 1)]), Err(CheckError::Malformed { .. })));
}

#[test]
fn acknowledged_writes_are_looked_for_at_the_end() {
    let state = |value: u64| BTreeMap::from([("k".to_owned(), Value::from(value))]);
    let history = [op(put(1), done(), 0, 1), op(put(2), done(), 2, 5), op(put(3), done(), 3, 4), lost(put(4), 9)];
    for (value, kept) in [(1, false), (2, true), (3, true), (4, true), (5, false)] {
        assert_eq!(acknowledged_writes_present(&history, &state(value)).is_ok(), kept, "{value}");
    }
    assert!(acknowledged_writes_present(&history, &BTreeMap::new()).is_err());
    // A stale read along the way is another matter.
    let stale = [history.as_slice(), &[op(get(), read(1), 6, 7)]].concat();
    assert!(acknowledged_writes_present(&stale, &state(3)).is_ok());
    assert!(check(&with_final_reads(&stale, &state(3))).is_err());
}

#[test]
fn histories_survive_json() {
    let observed = |observed| Outcome::Ok(Reply::Mismatch { observed });
    let mut history = vec![
        op(put(1), done(), 0, 1),
        op(Call::Put { value: Value(vec![0xff, 0].into()) }, Outcome::Refused, 0, u64::MAX),
        op(cas(None, 2), observed(None), 2, 3),
        op(cas(3, 2), observed(Some(None)), 2, 3),
        op(cas(4, 2), observed(Some(Some(1.into()))), 2, 3),
        op(get(), read(None), 4, 5),
        lost(Call::Delete, 6),
    ];
    history[0].key = "any \"key\"\n".into();
    let mut text = Vec::new();
    write_json_lines(&mut text, &history).unwrap();
    assert_eq!(read_json_lines(text.as_slice()).unwrap(), history);
    let plain = r#"{"client":1,"key":"k","op":"put","value":7,"outcome":"ok","result":"done","invoke":1,"return":2}"#;
    assert_eq!(read_json_lines(plain.as_bytes()).unwrap(), [Operation { client: 1, ..op(put(7), done(), 1, 2) }]);
    let broken = format!("{plain}\n\n{{}}\n");
    assert!(read_json_lines(broken.as_bytes()).unwrap_err().to_string().starts_with("line 3 "));
}

/// A register, as stateright wants it described.
#[derive(Clone, Debug, Default)]
struct Register(Option<Value>);

impl SequentialSpec for Register {
    type Op = Call;
    type Ret = Reply;

    fn invoke(&mut self, call: &Call) -> Reply {
        match call {
            Call::Get => Reply::Read { found: self.0.clone() },
            Call::Put { value } => {
                self.0 = Some(value.clone());
                Reply::Done
            }
            Call::Delete => {
                self.0 = None;
                Reply::Done
            }
            Call::CompareAndSet { expected, new } if *expected == self.0 => {
                self.0 = Some(new.clone());
                Reply::Swapped
            }
            Call::CompareAndSet { .. } => Reply::Mismatch { observed: Some(self.0.clone()) },
            Call::GetMany { .. } | Call::Transact { .. } => panic!("several_items.rs makes these"),
        }
    }

    fn is_valid_step(&mut self, call: &Call, reply: &Reply) -> bool {
        match (self.invoke(call), reply) {
            (Reply::Mismatch { .. }, Reply::Mismatch { observed: None }) => true,
            (told, reply) => told == *reply,
        }
    }
}

/// Stateright's verdict. There an operation under way may take effect or not, which is what unknown means; its
/// thread can do nothing more, so each unknown operation gets a thread of its own.
fn stateright_agrees(history: &[Operation]) -> bool {
    let mut tester = LinearizabilityTester::new(Register::default());
    let known = |operation: &&Operation| operation.outcome != Outcome::Refused;
    let mut moments = Vec::new();
    for (index, operation) in history.iter().filter(known).enumerate() {
        moments.push((operation.invoked, 0, index, operation));
        if let Outcome::Ok(_) = operation.outcome {
            moments.push((operation.returned.unwrap(), 1, index, operation));
        }
    }
    moments.sort_by_key(|(time, end, index, _)| (*time, *end, *index));
    for (_, end, index, operation) in moments {
        // A thread for each operation: their order is in the times alone.
        match (&operation.outcome, end) {
            (Outcome::Ok(reply), 1) => tester.on_return(index, reply.clone()).map(|_| ()).unwrap(),
            _ => tester.on_invoke(index, operation.call.clone()).map(|_| ()).unwrap(),
        }
    }
    tester.is_consistent()
}

/// What a made-up history is like.
#[derive(Clone, Copy, Debug)]
struct Load {
    clients: u64,
    operations: usize,
    /// Values written: this many different ones, or each but once.
    values: Option<u64>,
    /// Share of unknown outcomes; half of these take effect, some of them much later.
    unknown: f64,
    /// Share of compare-and-sets.
    swaps: f64,
    /// A mismatch says what it found.
    observed: bool,
}

const LOAD: Load = Load { clients: 10, operations: 5_000, values: None, unknown: 0.0, swaps: 0.2, observed: true };

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Ask(u64),
    Apply(usize),
    Answer(usize),
}

/// Records clients at work on one atomic register: good by construction.
fn record(load: Load, seed: u64) -> Vec<Operation> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut history, mut register) = (History::default(), Register::default());
    let mut calls: Vec<(u64, Ticket, Call)> = Vec::new();
    let mut replies: Vec<Option<Reply>> = Vec::new();
    let mut agenda: BinaryHeap<_> = (0..load.clients).map(|client| Reverse((client, Act::Ask(client)))).collect();
    while let Some(Reverse((now, act))) = agenda.pop() {
        let mut later = |rng: &mut ChaCha8Rng, most, act| agenda.push(Reverse((now + rng.random_range(1..=most), act)));
        match act {
            Act::Ask(_) if calls.len() == load.operations => {}
            Act::Ask(client) => {
                let index = calls.len();
                let new = load.values.map_or(index as u64, |count| rng.random_range(0..count));
                let held = register.0.clone();
                let guess = if rng.random_bool(0.6) { held } else { Some(rng.random_range(0..=new).into()) };
                let call = match rng.random_range(0.0..1.0) {
                    share if share < load.swaps => Call::CompareAndSet { expected: guess, new: new.into() },
                    share if share < load.swaps + 0.05 => Call::Delete,
                    _ if rng.random_bool(0.5) => get(),
                    _ => put(new),
                };
                calls.push((client, history.invoke(client, "k", call.clone(), now), call));
                replies.push(None);
                if !rng.random_bool(load.unknown) {
                    later(&mut rng, 50, Act::Apply(index));
                    later(&mut rng, 1, Act::Answer(index));
                } else {
                    if rng.random_bool(0.5) {
                        let most = *[50, 5_000].choose(&mut rng).unwrap();
                        later(&mut rng, most, Act::Apply(index));
                    }
                    later(&mut rng, 60, Act::Ask(client));
                }
            }
            Act::Apply(index) => replies[index] = Some(register.invoke(&calls[index].2)),
            Act::Answer(index) => match replies[index].clone() {
                None => later(&mut rng, 20, Act::Answer(index)),
                Some(mut reply) => {
                    if let (Reply::Mismatch { observed }, false) = (&mut reply, load.observed) {
                        *observed = None;
                    }
                    history.settle(calls[index].1, Outcome::Ok(reply), now);
                    later(&mut rng, 10, Act::Ask(calls[index].0));
                }
            },
        }
    }
    history.operations().to_vec()
}

/// Changes an answer or two to something else that might have been answered.
fn spoil(history: &mut [Operation], rng: &mut ChaCha8Rng) {
    for _ in 0..rng.random_range(0..3) {
        let index = rng.random_range(0..history.len());
        let operation = &mut history[index];
        let value = |rng: &mut ChaCha8Rng| rng.random_bool(0.7).then(|| Value::from(rng.random_range(0..3u64)));
        match &mut operation.outcome {
            Outcome::Ok(Reply::Read { found }) => *found = value(rng),
            Outcome::Ok(reply @ (Reply::Swapped | Reply::Mismatch { .. })) => {
                *reply = match rng.random_range(0..3) {
                    0 => Reply::Swapped,
                    1 => Reply::Mismatch { observed: None },
                    _ => Reply::Mismatch { observed: Some(value(rng)) },
                }
            }
            outcome => *outcome = [Outcome::Unknown, Outcome::Refused].choose(rng).cloned().unwrap(),
        }
    }
}

#[test]
fn small_histories_get_the_verdict_that_stateright_gives() {
    let count: u64 = std::env::var("ATOLL_HISTORIES").ok().and_then(|n| n.parse().ok()).unwrap_or(40_000);
    let size: usize = std::env::var("ATOLL_HISTORY_SIZE").ok().and_then(|n| n.parse().ok()).unwrap_or(9);
    let mut verdicts = [0u64; 2];
    for seed in 0..count {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let load = Load {
            clients: rng.random_range(2..=4),
            operations: rng.random_range(1..=size),
            values: [None, Some(2), Some(3)][rng.random_range(0..3)],
            unknown: [0.0, 0.3, 0.6][rng.random_range(0..3)],
            swaps: [0.0, 0.3, 0.6][rng.random_range(0..3)],
            observed: rng.random(),
        };
        let mut history = record(load, seed);
        spoil(&mut history, &mut rng);
        let expected = stateright_agrees(&history);
        let verdict = check(&history);
        assert!(!matches!(verdict, Err(CheckError::Undecided { .. } | CheckError::Malformed { .. })), "{verdict:?}");
        assert_eq!(verdict.is_ok(), expected, "seed {seed}: {verdict:?}\n{history:#?}");
        verdicts[usize::from(expected)] += 1;
    }
    assert!(verdicts.iter().all(|n| *n > count / 10), "one-sided: {verdicts:?}");
}

/// Checks and takes the time.
#[track_caller]
fn timed(history: &[Operation], limit: Duration, what: &str) -> Result<(), CheckError> {
    let start = Instant::now();
    let verdict = check(history);
    let taken = start.elapsed();
    println!("{what}: {} operations in {taken:?}", history.len());
    assert!(taken < limit, "{what}: {} operations took {taken:?}", history.len());
    verdict
}

#[test]
fn long_histories_of_a_correct_register_are_good_and_quickly_so() {
    let plain = LOAD;
    // A quiet machine needs a second or two for the fourth, and a tenth for each other; a search that is not pruned, for ever.
    let limit = Duration::from_secs(60);
    let loads = [
        ("unique values", plain),
        ("five values", Load { values: Some(5), ..plain }),
        ("unique, unknowns", Load { operations: 10_000, unknown: 0.04, ..plain }),
        ("five values, unknowns", Load { values: Some(5), unknown: 0.04, ..plain }),
        ("silent mismatches, unknowns", Load { operations: 10_000, unknown: 0.04, observed: false, ..plain }),
        ("no swaps, many clients", Load { clients: 30, swaps: 0.0, unknown: 0.04, ..plain }),
    ];
    for (what, load) in loads {
        for seed in 0..3 {
            if let Err(error) = timed(&record(load, seed), limit, what) {
                panic!("{what}, seed {seed}: {error}");
            }
        }
    }
}

#[test]
fn exchanged_answers_are_mostly_caught() {
    let mut caught = 0;
    const TRIES: u64 = 40;
    for seed in 0..TRIES {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut history = record(Load { operations: 2_000, unknown: 0.02, ..LOAD }, seed);
        let reads: Vec<usize> = (0..history.len())
            .filter(|index| matches!(history[*index].outcome, Outcome::Ok(Reply::Read { .. })))
            .collect();
        let (one, other) = (*reads.choose(&mut rng).unwrap(), *reads.choose(&mut rng).unwrap());
        let outcome = history[one].outcome.clone();
        history[one].outcome = std::mem::replace(&mut history[other].outcome, outcome);
        match timed(&history, Duration::from_secs(60), "exchanged") {
            Ok(()) => {}
            Err(CheckError::NotLinearizable(violation)) => {
                assert!(violation.window.len() <= 32);
                caught += 1;
            }
            Err(other) => panic!("seed {seed}: {other}"),
        }
    }
    assert!(caught * 10 >= TRIES * 8, "{caught} of {TRIES}");
}

#[test]
fn too_much_is_undecided_and_never_a_guess() {
    let history = record(LOAD, 1);
    let effort = Effort { at_once: 2, in_all: 10 };
    assert!(matches!(check_within(&history, effort), Err(CheckError::Undecided { .. })));
    let crowd: Vec<Operation> = (0..200).map(|value| op(put(value), done(), 0, 10)).collect();
    assert!(matches!(check(&crowd), Err(CheckError::Undecided { .. })));
    // A violation elsewhere is still reported.
    let mut worse = [crowd, vec![op(get(), read(1), 0, 1)]].concat();
    worse[200].key = "other".into();
    assert!(matches!(check(&worse), Err(CheckError::NotLinearizable(_))));
}
