//! The search for an order that explains one key's answers.
//!
//! It walks the history once and keeps every configuration (who, of those under way, has had his moment; what
//! the registers hold; which unknown operations are used up) that explains all answers so far. At an
//! operation's return, configurations in which it has had no moment are followed through every order of
//! moments that ends in its own; at the end of the history, any configuration left means that it is good.
//!
//! Five things keep the configurations few, and none of them can lose the last good one:
//! 1. *Reads at once.* A pending operation that changes nothing has its moment as soon as the registers hold
//!    what it found: moving it forward to there disturbs nobody.
//! 2. *Unknown writes for a purpose.* One is used only right before an operation that needs what it writes (or
//!    before another unknown one that leads there); used for nobody, it may as well never have happened. One that
//!    is about several registers may be used at any moment: whoever needs what it wrote into one may come only
//!    after what it wrote into another is gone.
//! 3. *Likes in line.* Of pending writes with the same effect, the one that returns first goes first.
//! 4. *Dead writes in passing.* When an unconditional write has its moment, pending ones of dead values into the
//!    same registers have theirs right before it, where nobody sees them. Not while somebody may need "some other
//!    value".
//! 5. *No deserting.* A register does not leave a value that somebody has yet to find and nobody can write
//!    again.

use super::Effort;
use super::frontier::{Configuration, Frontier, Used};
use super::future::{Future, found};
use super::timeline::{ANY, Cells, Effect, Event, FORGOTTEN, Step, Timeline, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// Configurations that narrow searches keep.
const NARROW: [usize; 3] = [16, 32, 128];

/// Why the search ended before the history did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// No order explains it.
    Stuck,
    /// It became too large.
    TooMuch(&'static str),
}

/// An answered operation under way.
struct Pending {
    step: Step,
    index: usize,
    bit: u128,
}

/// An operation that may have its moment next. Answered ones have a bit.
struct Candidate {
    effect: Effect,
    bit: Option<u128>,
}

/// Of a value that a register holds.
#[derive(Clone, Copy, Default)]
struct Stake {
    /// Those that have yet to find it.
    waiting: u32,
    /// Those that can write it again.
    writers: u32,
}

pub(super) struct Search<'a> {
    timeline: &'a Timeline,
    effort: Effort,
    future: Future,
    /// By deadline.
    pending: Vec<Pending>,
    /// Unknown operations invoked so far, used or not, by what they amount to.
    chances: BTreeMap<Effect, u32>,
    frontier: Frontier,
    /// Configurations kept at each return.
    width: usize,
    visited: usize,
}

impl<'a> Search<'a> {
    fn new(timeline: &'a Timeline, effort: Effort) -> Search<'a> {
        Search::keeping(timeline, effort, &BTreeSet::new())
    }

    /// Is the history good? First by narrow searches that keep few configurations: where one reaches the end,
    /// that is proof enough, and quick. Only where none does is everything kept, which alone can prove that a
    /// history is bad.
    pub fn decide(timeline: &'a Timeline, effort: Effort) -> Result<(), Stopped> {
        let less = Effort { in_all: effort.in_all / 4, ..effort };
        let narrow = |width| Search { width, ..Search::new(timeline, less) };
        if NARROW.into_iter().any(|width| narrow(width).run().is_ok()) {
            return Ok(());
        }
        Search::new(timeline, effort).run().map(drop)
    }

    /// A search that tells `kept` values apart to the end.
    pub fn keeping(timeline: &'a Timeline, effort: Effort, kept: &BTreeSet<ValueId>) -> Search<'a> {
        let future = Future::new(timeline, kept);
        let start =
            Configuration { done: 0, state: timeline.start.map(|value| future.value(value)), used: Used::default() };
        Search {
            timeline,
            effort,
            future,
            pending: Vec::new(),
            chances: BTreeMap::new(),
            frontier: Frontier::from_iter([start]),
            width: usize::MAX,
            visited: 0,
        }
    }

    /// Walks the history; gives what the registers may hold at its end.
    pub fn run(mut self) -> Result<BTreeSet<Cells>, Stopped> {
        for event in &self.timeline.events {
            match *event {
                Event::Invoke(index) => self.invoke(index)?,
                Event::Return(index) => self.complete(index)?,
                Event::Maybe(effect) => {
                    if let Some(effect) = self.future.chance(effect) {
                        *self.chances.entry(effect).or_default() += 1;
                    }
                }
            }
        }
        Ok(self.frontier.states().collect())
    }

    fn invoke(&mut self, index: usize) -> Result<(), Stopped> {
        let taken = self.pending.iter().fold(0u128, |bits, pending| bits | pending.bit);
        if taken == u128::MAX {
            return Err(Stopped::TooMuch("more than 128 of its operations overlap"));
        }
        let (bit, step) = (1u128 << taken.trailing_ones(), self.timeline.steps[index]);
        let deadline = self.timeline.deadlines[index];
        let place = self.pending.partition_point(|pending| self.timeline.deadlines[pending.index] < deadline);
        self.pending.insert(place, Pending { step, index, bit });
        if !matches!(step, Step::Did(_)) {
            let frontier = std::mem::take(&mut self.frontier);
            self.frontier = frontier.into_iter().map(|configuration| self.settled(configuration)).collect();
        }
        Ok(())
    }

    /// An operation returns: it has had its moment, in every configuration that goes on.
    fn complete(&mut self, index: usize) -> Result<(), Stopped> {
        let bit = self.pending.iter().find(|pending| pending.index == index).map_or(0, |pending| pending.bit);
        let placed = self.place(bit)?;
        self.pending.retain(|pending| pending.index != index);
        let changed = self.future.returned(self.timeline.steps[index]);
        if changed {
            let mut chances = BTreeMap::new();
            for (effect, count) in std::mem::take(&mut self.chances) {
                if let Some(effect) = self.future.chance(effect) {
                    *chances.entry(effect).or_default() += count;
                }
            }
            self.chances = chances;
        }
        self.frontier = placed
            .into_iter()
            .map(|mut configuration| {
                configuration.done &= !bit;
                if changed {
                    configuration.state = configuration.state.map(|value| self.future.value(value));
                    let mut used = Used::default();
                    for (effect, count) in configuration.used.iter() {
                        self.future.chance(effect).into_iter().for_each(|effect| used.add(effect, count));
                    }
                    configuration.used = used;
                }
                configuration
            })
            .collect();
        Ok(())
    }

    /// All configurations in which `bit` has had its moment, none of them after it. Those that use fewer unknown
    /// operations are followed first: they make the others needless, and they are what a narrow search keeps.
    fn place(&mut self, bit: u128) -> Result<Frontier, Stopped> {
        let (mut placed, mut seen) = (Frontier::default(), Frontier::default());
        let mut open: BTreeMap<u32, Vec<Configuration>> = BTreeMap::new();
        let mut open_len = self.frontier.len();
        for configuration in std::mem::take(&mut self.frontier) {
            open.entry(configuration.used.total()).or_default().push(configuration);
        }
        while let Some(mut cheapest) = open.first_entry() {
            let Some(configuration) = cheapest.get_mut().pop() else {
                cheapest.remove();
                continue;
            };
            self.visited += 1;
            open_len -= 1;
            if configuration.done & bit != 0 {
                placed.insert(&configuration);
            } else if seen.insert(&configuration) {
                for next in self.successors(&configuration) {
                    open_len += 1;
                    open.entry(next.used.total()).or_default().push(next);
                }
            }
            if placed.len() >= self.width {
                break;
            }
            if placed.len() + seen.len() + open_len > self.effort.at_once {
                return Err(Stopped::TooMuch("too many configurations to hold at one time"));
            }
            if self.visited > self.effort.in_all {
                return Err(Stopped::TooMuch("too many configurations to visit"));
            }
        }
        if placed.len() == 0 { Err(Stopped::Stuck) } else { Ok(placed) }
    }

    /// One moment further.
    fn successors(&self, configuration: &Configuration) -> Vec<Configuration> {
        let held = configuration.state.0.map(|value| self.stake(configuration, value));
        let mut candidates = self.answered(configuration);
        candidates.extend(self.unknown(configuration));
        candidates.retain(|Candidate { effect, bit }| {
            let deserts = |item: usize| {
                let Stake { waiting, writers } = held[item];
                // Whoever leaves with a swap has found the value himself.
                let himself = bit.is_some() && effect.from.0[item] != ANY;
                effect.to.0[item] != ANY && waiting > u32::from(himself) && writers == 0
            };
            effect.from.hold_in(&configuration.state) && !(0..held.len()).any(deserts)
        });
        candidates.into_iter().map(|candidate| self.after(configuration, &candidate)).collect()
    }

    /// Who, in this configuration, has yet to find or to write what a register holds.
    fn stake(&self, configuration: &Configuration, value: ValueId) -> Stake {
        if value == ANY || value == FORGOTTEN {
            return Stake::default();
        }
        let (mut waiting, mut writers) = (self.future.waiting(value), self.future.writers(value));
        for pending in self.pending.iter().filter(|pending| configuration.done & pending.bit != 0) {
            waiting -= u32::from(found(pending.step).said().any(|found| found == value));
            writers -= u32::from(matches!(pending.step, Step::Did(effect) if effect.to.said().any(|to| to == value)));
        }
        let used = configuration.used.iter().filter(|(effect, _)| effect.to.said().any(|to| to == value));
        writers -= used.map(|(_, count)| count).sum::<u32>();
        Stake { waiting, writers }
    }

    /// Pending operations that may be next: of likes, the one with the first deadline.
    fn answered(&self, configuration: &Configuration) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = Vec::new();
        for pending in self.pending.iter().filter(|pending| configuration.done & pending.bit == 0) {
            if let Step::Did(effect) = pending.step {
                let effect = self.future.effect(effect);
                if candidates.iter().all(|other| other.effect != effect) {
                    candidates.push(Candidate { effect, bit: Some(pending.bit) });
                }
            }
        }
        candidates
    }

    /// Unknown operations that lead, at once or through others, to what a pending operation needs; and all that are
    /// about several registers.
    fn unknown(&self, configuration: &Configuration) -> Vec<Candidate> {
        let is_left = |(effect, count): &(&Effect, &u32)| configuration.used.count(**effect) < **count;
        let left: Vec<Effect> = self.chances.iter().filter(is_left).map(|(effect, _)| *effect).collect();
        if left.is_empty() {
            return Vec::new();
        }
        let mut wanted = Vec::new();
        for pending in self.pending.iter().filter(|pending| configuration.done & pending.bit == 0) {
            match pending.step {
                // Reads were settled: what has not had its moment needs anything but this.
                Step::SawNot(_) => {
                    let changing = left.into_iter().filter(|effect| !effect.to.hold_in(&configuration.state));
                    return changing.map(|effect| Candidate { effect, bit: None }).collect();
                }
                step => wanted.extend(missing(found(step), &configuration.state)),
            }
        }
        let mut candidates: Vec<Effect> = left.iter().filter(|effect| effect.is_wide()).copied().collect();
        wanted.extend(candidates.iter().flat_map(|effect| missing(effect.from, &configuration.state)));
        wanted.sort_unstable();
        wanted.dedup();
        let mut next = 0;
        while let Some(&to) = wanted.get(next) {
            next += 1;
            for effect in left.iter().filter(|effect| !effect.is_wide() && effect.to.said().any(|value| value == to)) {
                candidates.push(*effect);
                for from in missing(effect.from, &configuration.state) {
                    if !wanted.contains(&from) {
                        wanted.push(from);
                    }
                }
            }
        }
        candidates.into_iter().map(|effect| Candidate { effect, bit: None }).collect()
    }

    fn after(&self, configuration: &Configuration, candidate: &Candidate) -> Configuration {
        let mut next = configuration.clone();
        let Candidate { effect, bit } = *candidate;
        match bit {
            Some(bit) => next.done |= bit,
            None => next.used.add(effect, 1),
        }
        next.state = configuration.state.overlaid(&effect.to);
        if !self.future.has_negatives() {
            let covers = |item: usize| effect.to.0[item] != ANY && effect.from.0[item] == ANY;
            for pending in &self.pending {
                let Step::Did(Effect { to, from: Cells::NONE }) = pending.step else { continue };
                let unseen = |(item, value): (usize, &ValueId)| {
                    *value == ANY || covers(item) && self.future.value(*value) == FORGOTTEN
                };
                if to.0.iter().enumerate().all(unseen) {
                    next.done |= pending.bit;
                }
            }
        }
        self.settled(next)
    }

    /// With a moment for every pending operation that only looks, and finds what it found.
    fn settled(&self, mut configuration: Configuration) -> Configuration {
        for pending in &self.pending {
            let sees = match pending.step {
                Step::Saw(cells) => cells.hold_in(&configuration.state),
                Step::SawNot(cells) => !cells.hold_in(&configuration.state),
                Step::Did(_) => false,
            };
            if sees {
                configuration.done |= pending.bit;
            }
        }
        configuration
    }
}

/// What is said, and is not so in `state`.
fn missing(said: Cells, state: &Cells) -> Vec<ValueId> {
    let differ = said.0.iter().zip(&state.0).filter(|(wanted, held)| **wanted != ANY && wanted != held);
    differ.map(|(wanted, _)| *wanted).collect()
}
