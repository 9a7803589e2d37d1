//! Links between machines: cut in either direction, slow, lossy, repeating.

use super::World;
use super::event::{Event, Packet};
use crate::scenario::MS;
use std::collections::BTreeMap;

/// Which directed links are cut, and how often over.
#[derive(Debug, Default)]
pub(crate) struct Network {
    cut: BTreeMap<(usize, usize), u32>,
}

impl Network {
    pub fn up(&self, from: usize, to: usize) -> bool {
        from == to || !self.cut.contains_key(&(from, to))
    }

    /// In both directions.
    pub fn both(&self, one: usize, other: usize) -> bool {
        self.up(one, other) && self.up(other, one)
    }

    /// Nothing is cut.
    pub fn whole(&self) -> bool {
        self.cut.is_empty()
    }

    pub fn cut(&mut self, from: usize, to: usize) {
        *self.cut.entry((from, to)).or_default() += 1;
    }

    pub fn mend(&mut self, from: usize, to: usize) {
        if let Some(times) = self.cut.get_mut(&(from, to)) {
            *times -= 1;
            if *times == 0 {
                self.cut.remove(&(from, to));
            }
        }
    }

    pub fn mend_all(&mut self) {
        self.cut.clear();
    }
}

impl World {
    /// Sends from machine to machine; may fail silently.
    pub(crate) fn send(&mut self, from: usize, to: usize, packet: Packet) {
        if !self.network.up(from, to) {
            return;
        }
        if from != to && self.random.permille(self.scenario.drop) {
            return self.strike("packets lost");
        }
        // Only the chain's messages may be repeated by those who carry them.
        if matches!(packet, Packet::Chain(_)) && self.random.permille(self.scenario.duplicate) {
            self.strike("packets repeated");
            let at = self.now + self.delay() + self.random.below(50 * MS);
            self.at(at, Event::Packet { machine: to, packet: packet.clone() });
        }
        let at = self.now + if from == to { 1000 } else { self.delay() };
        self.at(at, Event::Packet { machine: to, packet });
    }

    /// Time on the way.
    pub(crate) fn delay(&mut self) -> u64 {
        let mean = self.scenario.delay;
        let straggles = self.random.permille(self.scenario.straggle);
        self.strike_if(straggles, "packets late");
        let extra = if straggles { self.random.below(1500 * MS) } else { 0 };
        mean / 2 + self.random.below(mean + 1) + extra
    }
}
