//! One key's operations, reduced to what bears on the verdict: numbered values, steps, and events in time.

use super::{Call, Operation, Outcome, Reply, Value};
use std::collections::HashMap;

/// A value of the register, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ValueId(pub u32);

/// Any value that nobody will ask about again: they are all alike.
pub(super) const FORGOTTEN: ValueId = ValueId(0);
/// Seen by an answer that contradicts itself; never written.
const IMPOSSIBLE: ValueId = ValueId(1);
/// What the register holds at first.
pub(super) const ABSENT: ValueId = ValueId(2);

/// A change of the register: unconditional, or only from a certain value. Ordered by what is written, so that
/// all that write a value are found together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Effect {
    pub to: ValueId,
    pub from: Option<ValueId>,
}

/// What an answered operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Found the value.
    Saw(ValueId),
    /// Found some other value.
    SawNot(ValueId),
    /// Changed it.
    Did(Effect),
}

/// What happens along the way. Steps are named by their place in [`Timeline::steps`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Invoke(usize),
    Return(usize),
    /// From here on, this may take effect, once, or not.
    Maybe(Effect),
}

/// A beginning or an end of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    time: u64,
    /// Beginnings sort before ends of the same time: what touches, overlaps.
    pub end: bool,
    /// Index of the operation.
    pub operation: usize,
}

/// The beginnings, and the ends of those answered, in order. A prefix of them is a history too: that of somebody
/// who stopped watching there.
pub(super) fn moments(operations: &[&Operation]) -> Vec<Moment> {
    let mut moments = Vec::with_capacity(2 * operations.len());
    for (index, operation) in operations.iter().enumerate() {
        if operation.outcome != Outcome::Refused {
            moments.push(Moment { time: operation.invoked, end: false, operation: index });
        }
        if let (Outcome::Ok(_), Some(time)) = (&operation.outcome, operation.returned) {
            moments.push(Moment { time, end: true, operation: index });
        }
    }
    moments.sort_unstable();
    moments
}

/// One key's history, ready to be searched.
pub(super) struct Timeline {
    pub events: Vec<Event>,
    pub steps: Vec<Step>,
    /// By step: the event of its return.
    pub deadlines: Vec<usize>,
    /// By number; the first two stand for no value.
    pub values: Vec<Option<Value>>,
    numbers: HashMap<Option<Value>, ValueId>,
}

impl Timeline {
    /// The history as far as `moments` go, which are some first ones of [`moments`].
    pub fn new(operations: &[&Operation], moments: &[Moment]) -> Timeline {
        let mut timeline = Timeline {
            events: Vec::with_capacity(moments.len()),
            steps: Vec::new(),
            deadlines: Vec::new(),
            values: vec![None; 3],
            numbers: HashMap::from([(None, ABSENT)]),
        };
        let mut answered = vec![false; operations.len()];
        for moment in moments.iter().filter(|moment| moment.end) {
            answered[moment.operation] = true;
        }
        let mut step_of = vec![usize::MAX; operations.len()];
        for &Moment { end, operation: index, .. } in moments {
            let operation = operations[index];
            if end {
                timeline.deadlines[step_of[index]] = timeline.events.len();
                timeline.events.push(Event::Return(step_of[index]));
            } else if let (Outcome::Ok(reply), true) = (&operation.outcome, answered[index]) {
                let step = timeline.step(&operation.call, reply);
                step_of[index] = timeline.steps.len();
                timeline.events.push(Event::Invoke(timeline.steps.len()));
                timeline.steps.push(step);
                timeline.deadlines.push(usize::MAX);
            } else if let Some(effect) = timeline.effect(&operation.call) {
                timeline.events.push(Event::Maybe(effect));
            }
        }
        timeline
    }

    /// The number of a value.
    pub fn number(&mut self, value: &Option<Value>) -> ValueId {
        *self.numbers.entry(value.clone()).or_insert_with(|| {
            self.values.push(value.clone());
            ValueId(self.values.len() as u32 - 1)
        })
    }

    fn step(&mut self, call: &Call, reply: &Reply) -> Step {
        match (call, reply) {
            (_, Reply::Read { found }) => Step::Saw(self.number(found)),
            (Call::CompareAndSet { expected, .. }, Reply::Mismatch { observed }) => match observed {
                None => Step::SawNot(self.number(expected)),
                Some(observed) if observed == expected => Step::Saw(IMPOSSIBLE),
                Some(observed) => Step::Saw(self.number(observed)),
            },
            // Swapped for what was there already.
            (Call::CompareAndSet { expected, new }, Reply::Swapped) if expected.as_ref() == Some(new) => {
                Step::Saw(self.number(expected))
            }
            _ => self.effect(call).map_or(Step::Saw(IMPOSSIBLE), Step::Did),
        }
    }

    /// What the call does to the register if it is applied; none if that is nothing.
    fn effect(&mut self, call: &Call) -> Option<Effect> {
        let (to, from) = match call {
            Call::Get => return None,
            Call::Put { value } => (self.number(&Some(value.clone())), None),
            Call::Delete => (ABSENT, None),
            Call::CompareAndSet { expected, new } => (self.number(&Some(new.clone())), Some(self.number(expected))),
        };
        (from != Some(to)).then_some(Effect { to, from })
    }
}
