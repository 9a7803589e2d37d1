//! What the rest of the history still asks: which values matter, and which can still be written.
//!
//! A value that no operation from here on can tell from another is *dead*, for good, and all dead values become
//! [`FORGOTTEN`]. That is what keeps the search narrow: an unknown write whose value is never seen, or no more,
//! is one of a heap of like writes and soon not even that.

use super::timeline::{ABSENT, Effect, Event, FORGOTTEN, Step, Timeline, ValueId};
use std::collections::BTreeSet;

pub(super) struct Future {
    /// By value: answered operations, not yet returned, that found it.
    waiting: Vec<u32>,
    /// By value: operations that write it, but for answered ones that have returned.
    writers: Vec<u32>,
    /// By value: reasons to know it apart. Dead at none.
    holds: Vec<u32>,
    /// Answered operations, not yet returned, that found "some other value".
    negatives: u32,
    /// By value: from what a swap of unknown outcome may lead to it. Such a swap asks about what it starts from
    /// only while what it leads to matters.
    swaps_into: Vec<Vec<ValueId>>,
    /// Starts of unknown swaps to dead values, which matter while there are negatives.
    parked: Vec<ValueId>,
    /// Something died since last asked.
    changed: bool,
}

impl Future {
    /// At the beginning of the history. `kept` values never die.
    pub fn new(timeline: &Timeline, kept: &BTreeSet<ValueId>) -> Future {
        let count = timeline.values.len();
        let mut future = Future {
            waiting: vec![0; count],
            writers: vec![0; count],
            holds: vec![0; count],
            negatives: 0,
            swaps_into: vec![Vec::new(); count],
            parked: Vec::new(),
            changed: false,
        };
        for value in kept {
            future.holds[at(*value)] += 1;
        }
        for step in &timeline.steps {
            if let Some(value) = found(*step) {
                future.waiting[at(value)] += 1;
                future.holds[at(value)] += 1;
            }
            match step {
                Step::Saw(_) => {}
                Step::SawNot(value) => {
                    future.negatives += 1;
                    future.holds[at(*value)] += 1;
                }
                Step::Did(effect) => future.writers[at(effect.to)] += 1,
            }
        }
        let mut swaps = BTreeSet::new();
        for event in &timeline.events {
            if let Event::Maybe(effect) = event {
                future.writers[at(effect.to)] += 1;
                if let (Some(from), true) = (effect.from, swaps.insert(*effect)) {
                    future.swaps_into[at(effect.to)].push(from);
                    future.holds[at(from)] += 1;
                }
            }
        }
        for value in (ABSENT.0..count as u32).map(ValueId).filter(|value| future.is_dead(*value)).collect::<Vec<_>>() {
            future.bury(value);
        }
        future
    }

    fn is_dead(&self, value: ValueId) -> bool {
        self.holds[at(value)] == 0
    }

    /// The value, if it still matters which it is.
    pub fn value(&self, value: ValueId) -> ValueId {
        if self.is_dead(value) { FORGOTTEN } else { value }
    }

    /// What an answered operation's effect amounts to.
    pub fn effect(&self, effect: Effect) -> Effect {
        Effect { to: self.value(effect.to), from: effect.from }
    }

    /// What an unknown operation's effect amounts to; none if it can serve nobody any more.
    pub fn chance(&self, effect: Effect) -> Option<Effect> {
        let effect = self.effect(effect);
        (effect.to != FORGOTTEN || self.negatives > 0).then_some(effect)
    }

    /// Will any answered operation say that it found "some other value"?
    pub fn has_negatives(&self) -> bool {
        self.negatives > 0
    }

    /// Answered operations, not yet returned, that found the value.
    pub fn waiting(&self, value: ValueId) -> u32 {
        self.waiting[at(value)]
    }

    /// Operations that write the value, but for answered ones that have returned.
    pub fn writers(&self, value: ValueId) -> u32 {
        self.writers[at(value)]
    }

    /// An operation has returned. True if something died of it, so that equal things may have become alike.
    pub fn returned(&mut self, step: Step) -> bool {
        self.changed = false;
        if let Step::Did(effect) = step {
            self.writers[at(effect.to)] -= 1;
        }
        if let Some(value) = found(step) {
            self.waiting[at(value)] -= 1;
            self.release(vec![value]);
        }
        if let Step::SawNot(value) = step {
            self.negatives -= 1;
            let mut freed = vec![value];
            if self.negatives == 0 {
                self.changed = true;
                freed.append(&mut self.parked);
            }
            self.release(freed);
        }
        self.changed
    }

    fn release(&mut self, mut freed: Vec<ValueId>) {
        while let Some(value) = freed.pop() {
            self.holds[at(value)] -= 1;
            if self.is_dead(value) {
                self.changed = true;
                let starts = std::mem::take(&mut self.swaps_into[at(value)]);
                if self.negatives == 0 { freed.extend(starts) } else { self.parked.extend(starts) }
            }
        }
    }

    /// The value has been dead from the beginning.
    fn bury(&mut self, value: ValueId) {
        let starts = std::mem::take(&mut self.swaps_into[at(value)]);
        if self.negatives == 0 { self.release(starts) } else { self.parked.extend(starts) }
    }
}

/// The value that an answered operation needed to find.
pub(super) fn found(step: Step) -> Option<ValueId> {
    match step {
        Step::Saw(value) => Some(value),
        Step::SawNot(_) => None,
        Step::Did(effect) => effect.from,
    }
}

fn at(value: ValueId) -> usize {
    value.0 as usize
}
