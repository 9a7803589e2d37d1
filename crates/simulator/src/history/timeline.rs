//! One key's operations, reduced to what bears on the verdict: numbered registers and values, steps, and events in
//! time.

use super::{Call, Operation, Outcome, Reply, Value};
use std::collections::{BTreeMap, HashMap};

/// Items that a key may have: each is a register.
pub(super) const ITEMS_MAX: usize = 4;

/// A value of one of the registers, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ValueId(pub u32);

/// Any value that nobody will ask about again: they are all alike.
pub(super) const FORGOTTEN: ValueId = ValueId(0);
/// Seen by an answer that contradicts itself; never written.
const IMPOSSIBLE: ValueId = ValueId(1);
/// In [`Cells`]: nothing is said about that register.
pub(super) const ANY: ValueId = ValueId(2);
/// The first number of a real value.
const FIRST: u32 = 3;

/// A value for each register, or [`ANY`]. Which register a value is in is in its number, but for those of no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Cells(pub [ValueId; ITEMS_MAX]);

impl Cells {
    pub const NONE: Cells = Cells([ANY; ITEMS_MAX]);

    /// Values of which something is said.
    pub fn said(self) -> impl Iterator<Item = ValueId> {
        self.0.into_iter().filter(|value| *value != ANY)
    }

    /// Does `state` hold all that is said here?
    pub fn hold_in(&self, state: &Cells) -> bool {
        self.0.iter().zip(&state.0).all(|(wanted, held)| *wanted == ANY || wanted == held)
    }

    /// These, with what is said in `over` instead.
    pub fn overlaid(mut self, over: &Cells) -> Cells {
        self.0.iter_mut().zip(over.0).filter(|(_, new)| *new != ANY).for_each(|(cell, new)| *cell = new);
        self
    }

    pub fn map(self, change: impl Fn(ValueId) -> ValueId) -> Cells {
        Cells(self.0.map(|value| if value == ANY { ANY } else { change(value) }))
    }
}

/// A change of the registers: unconditional, or only from certain values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Effect {
    pub to: Cells,
    pub from: Cells,
}

impl Effect {
    /// Is it about more registers than one?
    pub fn is_wide(&self) -> bool {
        let touched = self.to.0.iter().zip(&self.from.0).filter(|(to, from)| **to != ANY || **from != ANY);
        touched.count() > 1
    }
}

/// What an answered operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Found these values.
    Saw(Cells),
    /// Found other values, in one register at least.
    SawNot(Cells),
    /// Changed them.
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
    /// What the registers hold at first.
    pub start: Cells,
    /// By number: item and value; the first ones stand for no value.
    pub values: Vec<Option<(usize, Option<Value>)>>,
    numbers: HashMap<(usize, Option<Value>), ValueId>,
    /// Items by name.
    pub items: BTreeMap<String, usize>,
}

impl Timeline {
    /// The history as far as `moments` go, which are some first ones of [`moments`]. None if it has too many items.
    pub fn new(operations: &[&Operation], moments: &[Moment]) -> Option<Timeline> {
        let mut items = BTreeMap::new();
        for name in operations.iter().flat_map(|operation| operation.call.items()) {
            let next = items.len();
            items.entry(name.to_owned()).or_insert(next);
        }
        if items.len() > ITEMS_MAX {
            return None;
        }
        let mut timeline = Timeline {
            events: Vec::with_capacity(moments.len()),
            steps: Vec::new(),
            deadlines: Vec::new(),
            start: Cells::NONE,
            values: vec![None; FIRST as usize],
            numbers: HashMap::new(),
            items,
        };
        for item in 0..timeline.items.len() {
            timeline.start.0[item] = timeline.number(item, &None);
        }
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
        Some(timeline)
    }

    /// The number of a value of an item.
    pub fn number(&mut self, item: usize, value: &Option<Value>) -> ValueId {
        *self.numbers.entry((item, value.clone())).or_insert_with(|| {
            self.values.push(Some((item, value.clone())));
            ValueId(self.values.len() as u32 - 1)
        })
    }

    /// Numbers of all values.
    pub fn numbered(&self) -> impl Iterator<Item = ValueId> + use<> {
        (FIRST..self.values.len() as u32).map(ValueId)
    }

    fn cells<'v>(&mut self, said: impl IntoIterator<Item = (&'v str, Option<Value>)>) -> Cells {
        let mut cells = Cells::NONE;
        for (name, value) in said {
            if let Some(item) = self.items.get(name).copied() {
                cells.0[item] = self.number(item, &value);
            }
        }
        cells
    }

    fn step(&mut self, call: &Call, reply: &Reply) -> Step {
        let impossible = Step::Saw(Cells([IMPOSSIBLE; ITEMS_MAX]));
        match (call, reply) {
            (_, Reply::Read { found }) => Step::Saw(self.cells([("", found.clone())])),
            (_, Reply::ReadMany { values }) => {
                Step::Saw(self.cells(values.iter().map(|(item, value)| (item.as_str(), value.clone()))))
            }
            (Call::CompareAndSet { expected, .. }, Reply::Mismatch { observed: Some(observed) }) => {
                if observed == expected { impossible } else { Step::Saw(self.cells([("", observed.clone())])) }
            }
            (_, Reply::Mismatch { .. } | Reply::TestFailed { item: None }) => Step::SawNot(self.cells(call.tests())),
            (_, Reply::TestFailed { item: Some(failed) }) => {
                Step::SawNot(self.cells(call.tests().into_iter().filter(|(item, _)| item == failed)))
            }
            // Applied, perhaps over what was there already.
            (_, Reply::Done | Reply::Swapped) => match self.effect(call) {
                Some(effect) => Step::Did(effect),
                None => Step::Saw(self.cells(call.tests())),
            },
        }
    }

    /// What the call does to the registers if it is applied; none if that is nothing.
    fn effect(&mut self, call: &Call) -> Option<Effect> {
        let from = self.cells(call.tests());
        let mut to = self.cells(call.writes());
        // Written over by itself.
        to.0.iter_mut().zip(from.0).filter(|(to, from)| **to == *from).for_each(|(to, _)| *to = ANY);
        (to != Cells::NONE).then_some(Effect { to, from })
    }
}
