//! A violation, cut down to what a person needs to see.

use super::search::{Search, Stopped};
use super::timeline::{Cells, FORGOTTEN, Moment, Timeline, ValueId};
use super::{Call, Effort, Operation, Outcome, Reply, Value};
use std::collections::{BTreeMap, BTreeSet};
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
    /// What the key could have held when it returned, but for what was under way then, in words; empty if not known.
    pub possible: BTreeSet<String>,
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
        match timeline.map(|timeline| Search::decide(&timeline, effort)) {
            Some(Err(Stopped::Stuck)) => bad = middle,
            _ => good = middle,
        }
    }
    let (last, before) = (moments[bad - 1].operation, &moments[..bad - 1]);
    let stuck = operations[last];
    let sought = found(stuck);
    let possible = possible_states(operations, before, effort);

    let invoked: Vec<usize> = before.iter().filter(|moment| !moment.end).map(|moment| moment.operation).collect();
    let ended: BTreeSet<usize> = before.iter().filter(|moment| moment.end).map(|moment| moment.operation).collect();
    let writer = |held: &Held| invoked.iter().rev().copied().find(|index| written(operations[*index]).contains(held));
    let mut window = BTreeSet::from([last]);
    window.extend(possible.iter().flatten().chain(&sought).filter_map(writer).take(WINDOW_MAX / 2));
    // Reads under way bear on nothing; unknown writes are under way for good, and told of only as writers above.
    let under_way = |index: &usize| {
        let operation = operations[*index];
        !ended.contains(index) && operation.outcome != Outcome::Unknown && !written(operation).is_empty()
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
        unwritten: sought.iter().any(|held| held.1.is_some() && writer(held).is_none()),
        possible: possible.iter().map(|state| in_words(state)).collect(),
        window,
        seen: invoked.len(),
    }
}

/// An item and what it holds.
type Held = (String, Option<Value>);

/// What the registers may hold after `moments`. Only recent values are told apart, or a long history would take
/// too long; no others can be there unless nobody touched them recently.
fn possible_states(operations: &[&Operation], moments: &[Moment], effort: Effort) -> Vec<Vec<Held>> {
    let Some(mut timeline) = Timeline::new(operations, moments) else { return Vec::new() };
    let mut kept = BTreeSet::new();
    for moment in moments.iter().rev().take(RECENT) {
        let operation = operations[moment.operation];
        for (item, value) in written(operation).iter().chain(&found(operation)) {
            if let Some(item) = timeline.items.get(item).copied() {
                kept.insert(timeline.number(item, value));
            }
        }
    }
    let states = Search::keeping(&timeline, effort, &kept).run().unwrap_or_default();
    let held = |value: ValueId| {
        let (item, value) = timeline.values[value.0 as usize].clone()?;
        Some((timeline.items.iter().find(|(_, number)| **number == item)?.0.clone(), value))
    };
    let state = |cells: Cells| -> Vec<Held> {
        let known = cells.said().filter(|value| *value != FORGOTTEN);
        known.filter_map(held).collect()
    };
    states.into_iter().map(state).filter(|state| !state.is_empty()).collect()
}

fn in_words(state: &[Held]) -> String {
    let words: Vec<String> = state.iter().map(|(item, value)| format!("{}{}", Named(item), Shown(value))).collect();
    words.join(" and ")
}

/// What the operation leaves behind if it is applied.
fn written(operation: &Operation) -> Vec<Held> {
    match &operation.outcome {
        Outcome::Refused | Outcome::Ok(Reply::Mismatch { .. } | Reply::TestFailed { .. }) => Vec::new(),
        Outcome::Ok(_) | Outcome::Unknown => owned(operation.call.writes()),
    }
}

/// What the operation's answer says that the key held.
fn found(operation: &Operation) -> Vec<Held> {
    match &operation.outcome {
        Outcome::Ok(Reply::Read { found }) => owned(vec![("", found.clone())]),
        Outcome::Ok(Reply::ReadMany { values }) => values.clone().into_iter().collect(),
        Outcome::Ok(Reply::Mismatch { observed: Some(observed) }) => owned(vec![("", observed.clone())]),
        Outcome::Ok(Reply::Swapped | Reply::Done) => owned(operation.call.tests()),
        _ => Vec::new(),
    }
}

fn owned(held: Vec<(&str, Option<Value>)>) -> Vec<Held> {
    held.into_iter().map(|(item, value)| (item.to_owned(), value)).collect()
}

/// An item's name before what it holds; nothing for the one without a name.
struct Named<'a>(&'a str);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "{}=", self.0) }
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

fn listed(values: &BTreeMap<String, Option<Value>>) -> String {
    let words: Vec<String> = values.iter().map(|(item, value)| format!("{}{}", Named(item), Shown(value))).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(" ") }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = match &self.call {
            Call::Get => "get".to_owned(),
            Call::Put { value } => format!("put {value}"),
            Call::Delete => "delete".to_owned(),
            Call::CompareAndSet { expected, new } => format!("cas {} to {new}", Shown(expected)),
            Call::GetMany { items } => format!("get {}", items.join(" ")),
            Call::Transact { tests, writes } => format!("if {} write {}", listed(tests), listed(writes)),
        };
        let outcome = match &self.outcome {
            Outcome::Ok(Reply::Done) => "ok".to_owned(),
            Outcome::Ok(Reply::Read { found }) => Shown(found).to_string(),
            Outcome::Ok(Reply::Swapped) => "swapped".to_owned(),
            Outcome::Ok(Reply::Mismatch { observed: None }) => "mismatch".to_owned(),
            Outcome::Ok(Reply::Mismatch { observed: Some(observed) }) => format!("mismatch, {}", Shown(observed)),
            Outcome::Ok(Reply::ReadMany { values }) => listed(values),
            Outcome::Ok(Reply::TestFailed { item: None }) => "a test failed".to_owned(),
            Outcome::Ok(Reply::TestFailed { item: Some(item) }) => format!("test of {item} failed"),
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
            let states: Vec<&str> = self.possible.iter().map(String::as_str).collect();
            writeln!(f, "But for what was under way, the key could only have held: {}", states.join(", "))?;
        }
        writeln!(f, "What bears on it (client, call, answer, invoked .. returned):")?;
        for operation in &self.window {
            let mark = if *operation == self.stuck { '>' } else { ' ' };
            writeln!(f, "{mark} {operation}")?;
        }
        Ok(())
    }
}
