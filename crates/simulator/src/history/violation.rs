//! A violation, cut down to what a person needs to see.

use super::search::{Search, Stopped};
use super::timeline::{FORGOTTEN, Moment, Timeline, ValueId};
use super::{Call, Effort, Operation, Outcome, Reply, Value};
use std::collections::BTreeSet;
use std::fmt;

/// Recent moments whose values are told apart for the explanation.
const RECENT: usize = 64;
/// Operations shown at most.
const WINDOW_MAX: usize = 32;

/// One key's answers that no order explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The key.
    pub key: String,
    /// The first operation whose answer cannot be explained, in order of return.
    pub stuck: Operation,
    /// What the key could have held when it returned, but for what was under way then; empty if not known.
    pub possible: BTreeSet<Option<Value>>,
    /// The operations that bear on it, by invocation: itself, writes under way when it returned, the last writers
    /// of what it found and of what the key could have held.
    pub window: Vec<Operation>,
    /// How many operations the key had seen by then.
    pub seen: usize,
    /// It found a value that nobody had written.
    pub unwritten: bool,
}

/// Finds the first return at which a history known to be bad has become so, and what surrounds it.
pub(super) fn explain(key: &str, operations: &[&Operation], moments: &[Moment], effort: Effort) -> Violation {
    // Whoever stops watching earlier sees fewer contradictions, so the lengths can be bisected. A length found
    // bad is bad for certain, one that is undecided is passed over.
    let (mut good, mut bad) = (0, moments.len());
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        let timeline = Timeline::new(operations, &moments[..middle]);
        match Search::decide(&timeline, effort) {
            Err(Stopped::Stuck) => bad = middle,
            _ => good = middle,
        }
    }
    let (last, before) = (moments[bad - 1].operation, &moments[..bad - 1]);
    let stuck = operations[last];
    let sought = found(stuck);
    let possible = possible_values(operations, before, effort);

    let invoked: Vec<usize> = before.iter().filter(|moment| !moment.end).map(|moment| moment.operation).collect();
    let ended: BTreeSet<usize> = before.iter().filter(|moment| moment.end).map(|moment| moment.operation).collect();
    let writer = |value: &Option<Value>| invoked.iter().rev().copied().find(|index| writes(operations[*index], value));
    let mut window = BTreeSet::from([last]);
    window.extend(possible.iter().chain(&sought).filter_map(writer));
    // Reads under way bear on nothing; unknown writes are under way for good, and told of only as writers above.
    let under_way = |index: &usize| {
        let operation = operations[*index];
        !ended.contains(index) && operation.outcome != Outcome::Unknown && written(operation).is_some()
    };
    for index in invoked.iter().copied().filter(under_way) {
        if window.len() < WINDOW_MAX {
            window.insert(index);
        }
    }
    let mut window: Vec<Operation> = window.into_iter().map(|index| operations[index].clone()).collect();
    window.sort_by_key(|operation| operation.invoked);
    Violation {
        key: key.to_owned(),
        stuck: stuck.clone(),
        unwritten: sought.is_some_and(|value| value.is_some() && writer(&value).is_none()),
        possible,
        window,
        seen: invoked.len(),
    }
}

/// What the register may hold after `moments`. Only recent values are told apart, or a long history would take
/// too long; no others can be there unless nobody touched them recently.
fn possible_values(operations: &[&Operation], moments: &[Moment], effort: Effort) -> BTreeSet<Option<Value>> {
    let mut timeline = Timeline::new(operations, moments);
    let mut kept = BTreeSet::new();
    for moment in moments.iter().rev().take(RECENT) {
        let operation = operations[moment.operation];
        kept.extend(written(operation).iter().chain(&found(operation)).map(|value| timeline.number(value)));
    }
    let states = Search::keeping(&timeline, effort, &kept).run().unwrap_or_default();
    let value = |state: ValueId| timeline.values[state.0 as usize].clone();
    states.into_iter().filter(|state| *state != FORGOTTEN).map(value).collect()
}

/// What the operation leaves behind if it is applied.
fn written(operation: &Operation) -> Option<Option<Value>> {
    match (&operation.call, &operation.outcome) {
        (Call::Get, _) | (_, Outcome::Refused | Outcome::Ok(Reply::Mismatch { .. })) => None,
        (Call::Delete, _) => Some(None),
        (Call::Put { value } | Call::CompareAndSet { new: value, .. }, _) => Some(Some(value.clone())),
    }
}

fn writes(operation: &Operation, value: &Option<Value>) -> bool {
    written(operation).as_ref() == Some(value)
}

/// What the operation's answer says that the key held.
fn found(operation: &Operation) -> Option<Option<Value>> {
    match (&operation.call, &operation.outcome) {
        (_, Outcome::Ok(Reply::Read { found })) => Some(found.clone()),
        (_, Outcome::Ok(Reply::Mismatch { observed })) => observed.clone(),
        (Call::CompareAndSet { expected, .. }, Outcome::Ok(Reply::Swapped)) => Some(expected.clone()),
        _ => None,
    }
}

struct Shown<'a>(&'a Option<Value>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => write!(f, "{value}"),
            None => write!(f, "(absent)"),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = match &self.call {
            Call::Get => "get".to_owned(),
            Call::Put { value } => format!("put {value}"),
            Call::Delete => "delete".to_owned(),
            Call::CompareAndSet { expected, new } => format!("cas {} to {new}", Shown(expected)),
        };
        let outcome = match &self.outcome {
            Outcome::Ok(Reply::Done) => "ok".to_owned(),
            Outcome::Ok(Reply::Read { found }) => Shown(found).to_string(),
            Outcome::Ok(Reply::Swapped) => "swapped".to_owned(),
            Outcome::Ok(Reply::Mismatch { observed: None }) => "mismatch".to_owned(),
            Outcome::Ok(Reply::Mismatch { observed: Some(observed) }) => format!("mismatch, {}", Shown(observed)),
            Outcome::Refused => "refused".to_owned(),
            Outcome::Unknown => "unknown".to_owned(),
        };
        let end = match (&self.outcome, self.returned) {
            (Outcome::Unknown, _) | (_, None) => "?".to_owned(),
            (_, Some(returned)) => returned.to_string(),
        };
        write!(f, "client {:<4} {call:<24} -> {outcome:<16} {} .. {end}", self.client, self.invoked)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "key {:?} is not linearizable: no order of its first {} operations explains", self.key, self.seen)?;
        writeln!(f, "  {}", self.stuck)?;
        if self.unwritten {
            writeln!(f, "It found a value that nobody had written.")?;
        }
        if !self.possible.is_empty() {
            let values: Vec<String> = self.possible.iter().map(|value| Shown(value).to_string()).collect();
            writeln!(f, "But for what was under way, the key could only have held: {}", values.join(", "))?;
        }
        writeln!(f, "What bears on it (client, call, answer, invoked .. returned):")?;
        for operation in &self.window {
            let mark = if *operation == self.stuck { '>' } else { ' ' };
            writeln!(f, "{mark} {operation}")?;
        }
        Ok(())
    }
}
