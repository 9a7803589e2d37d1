//! Sets of configurations: what may be, at one point of the history, after everything that has returned.

use super::timeline::{Cells, Effect};
use std::collections::BTreeMap;

/// Unknown operations that have been given a moment: how many of each like sort.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    /// By effect.
    sorts: Vec<(Effect, u32)>,
    total: u32,
}

impl Used {
    pub fn add(&mut self, effect: Effect, count: u32) {
        self.total += count;
        match self.sorts.binary_search_by_key(&effect, |entry| entry.0) {
            Ok(place) => self.sorts[place].1 += count,
            Err(place) => self.sorts.insert(place, (effect, count)),
        }
    }

    pub fn count(&self, effect: Effect) -> u32 {
        self.sorts.binary_search_by_key(&effect, |entry| entry.0).map_or(0, |place| self.sorts[place].1)
    }

    pub fn iter(&self) -> impl Iterator<Item = (Effect, u32)> {
        self.sorts.iter().copied()
    }

    /// All of them.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// Has nothing been used here that was not used there?
    fn within(&self, other: &Used) -> bool {
        self.total <= other.total
            && self.sorts.len() <= other.sorts.len()
            && self.iter().all(|(effect, count)| count <= other.count(effect))
    }
}

/// One way in which things may stand.
#[derive(Clone, Debug)]
pub(super) struct Configuration {
    /// Operations under way that have had their moment, by bit.
    pub done: u128,
    /// What the registers hold.
    pub state: Cells,
    /// Unknown operations that have had theirs.
    pub used: Used,
}

/// Configurations, but for those that another makes needless: what can follow when more of the unknown
/// operations are used up can also follow when fewer are, since none of them ever has to happen.
#[derive(Debug, Default)]
pub(super) struct Frontier {
    best: BTreeMap<(u128, Cells), Vec<Used>>,
    len: usize,
}

impl Frontier {
    /// False if it was needless.
    pub fn insert(&mut self, configuration: &Configuration) -> bool {
        let rivals = self.best.entry((configuration.done, configuration.state)).or_default();
        if rivals.iter().any(|rival| rival.within(&configuration.used)) {
            return false;
        }
        let before = rivals.len();
        rivals.retain(|rival| !configuration.used.within(rival));
        rivals.push(configuration.used.clone());
        self.len = self.len + rivals.len() - before;
        true
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn states(&self) -> impl Iterator<Item = Cells> {
        self.best.keys().map(|(_, state)| *state)
    }
}

impl IntoIterator for Frontier {
    type Item = Configuration;
    type IntoIter = Box<dyn Iterator<Item = Configuration>>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.best.into_iter().flat_map(|((done, state), rivals)| {
            rivals.into_iter().map(move |used| Configuration { done, state, used })
        }))
    }
}

impl FromIterator<Configuration> for Frontier {
    fn from_iter<I: IntoIterator<Item = Configuration>>(configurations: I) -> Frontier {
        let mut frontier = Frontier::default();
        for configuration in configurations {
            frontier.insert(&configuration);
        }
        frontier
    }
}

#[cfg(test)]
mod tests {
    use super::super::timeline::{ITEMS_MAX, ValueId};
    use super::*;

    #[test]
    fn fewer_used_makes_more_used_needless_and_nothing_else_does() {
        let cells = |value| Cells([ValueId(value); ITEMS_MAX]);
        let effect = |to| Effect { to: cells(to), from: Cells::NONE };
        let configuration = |used: &[(u32, u32)], state| {
            let mut configuration = Configuration { done: 0, state: cells(state), used: Used::default() };
            used.iter().for_each(|(to, count)| configuration.used.add(effect(*to), *count));
            configuration
        };
        let mut frontier = Frontier::default();
        assert!(frontier.insert(&configuration(&[(3, 2), (4, 1)], 3)));
        assert!(!frontier.insert(&configuration(&[(3, 2), (4, 1)], 3)), "the same");
        assert!(!frontier.insert(&configuration(&[(5, 1), (3, 2), (4, 1)], 3)), "one more");
        assert!(frontier.insert(&configuration(&[(5, 1)], 3)), "fewer, but another");
        assert!(frontier.insert(&configuration(&[(3, 3)], 3)), "fewer of one, more of the other");
        assert!(frontier.insert(&configuration(&[(3, 3)], 4)), "another state");
        assert_eq!(frontier.len(), 4);
        assert!(frontier.insert(&configuration(&[(3, 1)], 3)), "fewer than two of them");
        assert_eq!(frontier.len(), 3);
    }
}
