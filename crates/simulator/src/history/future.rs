//! What the rest of the history still asks: which values matter, and which can still be written.
//!
//! A value that no operation from here on can tell from another is *dead*, for good, and all dead values become
//! [`FORGOTTEN`]. That is what keeps the search narrow: an unknown write whose value is never seen, or no more,
//! is one of a heap of like writes and soon not even that.

use super::timeline::{Cells, Effect, Event, FORGOTTEN, Step, Timeline, ValueId};
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
    /// Swaps of unknown outcome. Such a swap asks about what it starts from only while something that it leads to
    /// matters.
    swaps: Vec<Swap>,
    /// By value: the swaps that may lead to it.
    swaps_into: Vec<Vec<usize>>,
    /// Starts of unknown swaps to dead values, which matter while there are negatives.
    parked: Vec<ValueId>,
    /// Something died since last asked.
    changed: bool,
}

struct Swap {
    from: Cells,
    /// Values that it leads to and that matter.
    living: usize,
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
            swaps: Vec::new(),
            swaps_into: vec![Vec::new(); count],
            parked: Vec::new(),
            changed: false,
        };
        for value in kept {
            future.holds[at(*value)] += 1;
        }
        for step in &timeline.steps {
            for value in found(*step).said() {
                future.waiting[at(value)] += 1;
                future.holds[at(value)] += 1;
            }
            match step {
                Step::Saw(_) => {}
                Step::SawNot(cells) => {
                    future.negatives += 1;
                    cells.said().for_each(|value| future.holds[at(value)] += 1);
                }
                Step::Did(effect) => effect.to.said().for_each(|value| future.writers[at(value)] += 1),
            }
        }
        let mut swaps = BTreeSet::new();
        for event in &timeline.events {
            if let Event::Maybe(effect) = event {
                effect.to.said().for_each(|value| future.writers[at(value)] += 1);
                if effect.from != Cells::NONE && swaps.insert(*effect) {
                    effect.to.said().for_each(|value| future.swaps_into[at(value)].push(future.swaps.len()));
                    effect.from.said().for_each(|value| future.holds[at(value)] += 1);
                    future.swaps.push(Swap { from: effect.from, living: effect.to.said().count() });
                }
            }
        }
        for value in timeline.numbered().filter(|value| future.is_dead(*value)).collect::<Vec<_>>() {
            let freed = future.bury(value);
            future.release(freed);
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
        Effect { to: effect.to.map(|value| self.value(value)), from: effect.from }
    }

    /// What an unknown operation's effect amounts to; none if it can serve nobody any more.
    pub fn chance(&self, effect: Effect) -> Option<Effect> {
        let effect = self.effect(effect);
        (self.negatives > 0 || effect.to.said().any(|value| value != FORGOTTEN)).then_some(effect)
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
            effect.to.said().for_each(|value| self.writers[at(value)] -= 1);
        }
        let found: Vec<ValueId> = found(step).said().collect();
        found.iter().for_each(|value| self.waiting[at(*value)] -= 1);
        self.release(found);
        if let Step::SawNot(cells) = step {
            self.negatives -= 1;
            let mut freed: Vec<ValueId> = cells.said().collect();
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
                freed.extend(self.bury(value));
            }
        }
    }

    /// The value is dead: what is no longer asked about because of that.
    fn bury(&mut self, value: ValueId) -> Vec<ValueId> {
        let mut freed = Vec::new();
        for swap in std::mem::take(&mut self.swaps_into[at(value)]) {
            self.swaps[swap].living -= 1;
            if self.swaps[swap].living == 0 {
                let starts = self.swaps[swap].from.said();
                if self.negatives == 0 { freed.extend(starts) } else { self.parked.extend(starts) }
            }
        }
        freed
    }
}

/// The values that an answered operation needed to find.
pub(super) fn found(step: Step) -> Cells {
    match step {
        Step::Saw(cells) => cells,
        Step::SawNot(_) => Cells::NONE,
        Step::Did(effect) => effect.from,
    }
}

fn at(value: ValueId) -> usize {
    value.0 as usize
}
