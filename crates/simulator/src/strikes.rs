//! How often each fault really struck: one that never does proves nothing.

use std::collections::BTreeMap;

/// Every fault that a sweep of many seeds is to contain, and what else must come about for it to prove anything. What is counted is the effect, not the attempt.
pub const FAULTS: [&str; 40] = [
    "packets lost",
    "packets repeated",
    "packets late",
    "links cut",
    "links cut one way",
    "machines cut off",
    "machines frozen",
    "frozen beyond their lease",
    "leases run out",
    "processes killed",
    "deaths witnessed",
    "power lost",
    "power lost by all",
    "unsynced records lost",
    "torn log ends",
    "tables set back",
    "syncs failed",
    "slow disks",
    "full disks",
    "disks wiped",
    "lost machines given up",
    "log records rotten",
    "log ends rotten",
    "table items rotten",
    "rot found in use",
    "rot found at a start",
    "rot cut off like a torn end",
    "blocks rotten",
    "clocks at the edge",
    "leaders changed",
    "machines joined late",
    "nodes drained",
    "drains called off",
    "nodes removed",
    "shares changed",
    "zones changed",
    "ranges that differed",
    "ranges that agreed",
    "copies of everything",
    "copies broken off",
];

/// Counts, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strikes(BTreeMap<&'static str, u64>);

impl Strikes {
    /// One more.
    pub fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Strikes) {
        for (what, times) in &other.0 {
            *self.0.entry(what).or_default() += times;
        }
    }

    /// How often.
    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }

    /// Faults that never struck.
    pub fn missing(&self) -> Vec<&'static str> {
        FAULTS.into_iter().filter(|fault| self.of(fault) == 0).collect()
    }

    /// All of them, faults and what else was counted.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let others = self.0.keys().filter(|what| !FAULTS.contains(what));
        FAULTS.iter().chain(others).map(|what| format!("{:>9} {what}", self.of(what)))
    }
}
