//! Which faults, when: a seed decides everything. Pure.
//!
//! Time passes in *storms* of a few faults that overlap. After some of them all is mended and the cluster must become
//! whole; after the others the next one follows while nodes may still be catching up. Kinds are drawn like cards, so
//! that each comes up before any comes up again.

use crate::fault::{Act, CLIENTS, Fault, Kind, SERVERS, Way};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::time::Duration;

/// What rates of two clocks may differ by is 5 %: these are the extremes of one.
const DRIFT_MAX: i32 = 24_000;
/// Faults of one storm.
const TOGETHER_MAX: usize = 5;

/// Some faults that overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storm {
    /// By time.
    pub faults: Vec<Fault>,
    /// Afterwards the cluster must become whole before the next.
    pub calm_after: bool,
}

/// Storms without end.
pub struct Schedule {
    rng: StdRng,
    nodes: u16,
    kinds: Vec<Kind>,
    deck: Vec<Kind>,
}

impl Schedule {
    /// For so many nodes, with these sorts of faults.
    pub fn new(seed: u64, nodes: u16, kinds: &[Kind]) -> Schedule {
        Schedule { rng: StdRng::seed_from_u64(seed), nodes, kinds: kinds.to_vec(), deck: Vec::new() }
    }

    /// The next one.
    pub fn storm(&mut self) -> Storm {
        let together = self.kinds.len().min(self.rng.random_range(2..=TOGETHER_MAX));
        let mut faults: Vec<Fault> = Vec::new();
        // When each node's process may be touched again.
        let mut free: BTreeMap<u16, Duration> = BTreeMap::new();
        for place in 0..together {
            let kind = self.draw();
            if kind == Kind::Wipe {
                // Only alone, and with everything else whole.
                let act = Act::Wipe { node: self.node() };
                let fault = Fault { at: Duration::ZERO, lasts: Duration::ZERO, kind, act };
                if place == 0 {
                    return Storm { faults: vec![fault], calm_after: true };
                }
                self.deck.push(kind);
                break;
            }
            let act = self.act(kind);
            let touched = act.processes();
            let earliest = touched.iter().filter_map(|node| free.get(node)).max().copied().unwrap_or_default();
            let at = earliest + self.millis(0, 4_000);
            let lasts = match kind {
                Kind::Pause => self.millis(200, 6_000),
                Kind::AllAtOnce | Kind::Blackout => self.millis(50, 1_500),
                _ => self.millis(500, 9_000),
            };
            for node in touched {
                free.insert(node, at + lasts);
            }
            faults.push(Fault { at, lasts, kind, act });
        }
        faults.sort_by_key(|fault| fault.at);
        Storm { faults, calm_after: self.rng.random_bool(0.5) }
    }

    fn draw(&mut self) -> Kind {
        if self.deck.is_empty() {
            self.deck = self.kinds.clone();
            self.deck.shuffle(&mut self.rng);
        }
        self.deck.pop().unwrap_or(Kind::Kill)
    }

    fn node(&mut self) -> u16 {
        self.rng.random_range(1..=self.nodes)
    }

    fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.rng.random_range(least..=most))
    }

    fn all(&self) -> Vec<u16> {
        (1..=self.nodes).collect()
    }

    fn act(&mut self, kind: Kind) -> Act {
        let node = self.node();
        let others: Vec<u16> = self.all().into_iter().filter(|other| *other != node).collect();
        let other = others.choose(&mut self.rng).copied().unwrap_or(CLIENTS);
        let between = |some: &[u16], rest: &[u16]| -> Vec<Way> {
            some.iter().flat_map(|from| rest.iter().map(move |to| (*from, *to))).collect()
        };
        let both = |mut ways: Vec<Way>| {
            ways.extend(ways.clone().into_iter().map(|(from, to)| (to, from)));
            Act::Cut { ways }
        };
        match kind {
            // Often more than one, so that there is no majority.
            Kind::Kill => {
                let count = if self.rng.random_bool(0.7) { 1 } else { self.rng.random_range(1..=self.nodes) };
                let mut nodes: Vec<u16> = self.all().choose_multiple(&mut self.rng, count.into()).copied().collect();
                nodes.sort_unstable();
                Act::Kill { nodes }
            }
            Kind::AllAtOnce => Act::Kill { nodes: self.all() },
            Kind::Stop => Act::Stop { node },
            Kind::Pause => Act::Pause { node },
            Kind::Cut => both(vec![(node, other)]),
            Kind::OneWay => Act::Cut { ways: vec![(node, other)] },
            Kind::Isolate => {
                let mut ways = between(&[node], &others);
                match self.rng.random_range(0..3) {
                    0 => Act::Cut { ways },
                    1 => {
                        ways.iter_mut().for_each(|(from, to)| std::mem::swap(from, to));
                        Act::Cut { ways }
                    }
                    _ => both(ways),
                }
            }
            Kind::Split => {
                let mut nodes = self.all();
                nodes.shuffle(&mut self.rng);
                let (some, rest) = nodes.split_at((nodes.len() / 2).max(1));
                let ways = between(some, rest);
                if self.rng.random_bool(0.3) { Act::Cut { ways } } else { both(ways) }
            }
            Kind::Unreachable => match self.rng.random_range(0..3) {
                0 => Act::Cut { ways: vec![(CLIENTS, node)] },
                1 => Act::Cut { ways: vec![(node, CLIENTS)] },
                _ => both(vec![(CLIENTS, node)]),
            },
            Kind::Flaky => Act::Flaky { node, percent: self.rng.random_range(5..=50) },
            Kind::Slow => Act::Slow { node, kilobits: 1 << self.rng.random_range(7..=12) },
            Kind::Fill => Act::Fill { node },
            Kind::Power | Kind::Blackout => {
                let nodes = if kind == Kind::Power { vec![node] } else { self.all() };
                let outlived = if self.rng.random_bool(0.5) { Duration::ZERO } else { self.millis(1, 1_500) };
                Act::Power { nodes, outlived }
            }
            Kind::Jump => {
                // From a second to some hours, as often of each magnitude.
                let magnitude = 10f64.powf(self.rng.random_range(0.0..4.3)) as i64;
                Act::Jump { node, seconds: if self.rng.random_bool(0.5) { magnitude } else { -magnitude } }
            }
            Kind::Drift => Act::Drift { node, millionths: self.rng.random_range(-DRIFT_MAX..=DRIFT_MAX) },
            Kind::Server => Act::Server { server: self.rng.random_range(0..SERVERS) },
            Kind::Wipe => Act::Wipe { node },
        }
    }
}
