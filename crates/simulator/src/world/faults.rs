//! Faults: when, where, for how long.

use super::World;
use super::event::Event;
use crate::scenario::{FaultKind, MS, SECOND};
use std::sync::Arc;
use types::{LayoutVersion, NodeId};

impl World {
    /// Something goes wrong; the next of its kind is due later.
    pub(crate) fn fault(&mut self, kind: FaultKind) {
        let Some((_, every)) = self.scenario.faults.iter().find(|(known, _)| *known == kind).copied() else { return };
        let next = self.now + self.random.below(2 * every) + MS;
        self.at(next, Event::Fault(kind));
        let count = self.machines.len() as u64;
        let m = self.random.below(count) as usize;
        let other = (m + 1 + self.random.below(count - 1) as usize) % self.machines.len();
        let node = self.machines[m].node;
        self.log(format_args!("fault: {kind:?} at {node}"));
        match kind {
            FaultKind::Crash => self.end_process(m, true),
            FaultKind::Kill => self.end_process(m, false),
            FaultKind::CrashMany => {
                let spare = if self.random.permille(500) { None } else { Some(m) };
                for one in (0..self.machines.len()).filter(|one| Some(*one) != spare) {
                    self.end_process(one, true);
                }
            }
            FaultKind::Pause => {
                if self.machines[m].process.is_some() && !self.machines[m].frozen {
                    self.machines[m].frozen = true;
                    let long = self.random.between(50, 4000) * MS;
                    self.at(self.now + long, Event::Resume(m));
                }
            }
            FaultKind::Cut => self.cut(&[(m, other), (other, m)]),
            FaultKind::CutOneWay => self.cut(&[(m, other)]),
            FaultKind::Isolate => {
                let others = (0..self.machines.len()).filter(|one| *one != m);
                let links: Vec<_> = others.flat_map(|one| [(m, one), (one, m)]).collect();
                self.cut(&links);
            }
            FaultKind::SyncFails => self.machines[m].engine.fail_next_sync(),
            FaultKind::NewLeader => self.elect(),
            FaultKind::Capacity => {
                let node = self.machines[m].node;
                let capacity = *self.random.pick(&[0, 50, 100, 100, 200]).unwrap_or(&100);
                self.set_capacity(node, capacity);
            }
            FaultKind::SlowDisk => {
                self.machines[m].slow_disk = true;
                let long = self.random.between(200, 3000) * MS;
                self.at(self.now + long, Event::FastDisk(m));
            }
            FaultKind::FullDisk => {
                self.machines[m].engine.set_full(true);
                let long = self.random.between(200, 4000) * MS;
                self.at(self.now + long, Event::Room(m));
            }
            FaultKind::Wipe => {
                if self.machines[m].process.is_some() {
                    self.stop(m, true);
                    let long = self.random.between(2000, 6000) * MS;
                    self.at(self.now + long, Event::Wiped(m));
                }
            }
        }
    }

    /// A machine lost its disk: it joins as another node. Not while the cluster counts on what it had.
    pub(crate) fn wiped(&mut self, m: usize) {
        let old = self.machines[m].node;
        let counted_on = self.control.layout.chains.iter().any(|chain| chain.complete.contains(&old));
        if self.machines[m].process.is_none() && !counted_on {
            let layout = Arc::make_mut(&mut self.control.layout);
            let id = NodeId(layout.nodes.keys().next_back().map_or(1, |last| last.0 + 1));
            // An administrator removes the old one.
            let unborn = layout.nodes.remove(&old).map(|info| types::NodeInfo {
                id,
                incarnation: types::Incarnation(0),
                alive: false,
                capacity: 0,
                ..info
            });
            layout.nodes.extend(unborn.map(|info| (id, info)));
            layout.version = LayoutVersion(layout.version.0 + 1);
            let revision = layout.version.0;
            self.control.revisions.insert(super::control::Key::Node(old), revision);
            self.control.holdings.remove(&old);
            let machine = &mut self.machines[m];
            machine.node = id;
            machine.incarnation = types::Incarnation(0);
            machine.engine.wipe();
            self.log(format_args!("{old} lost its disk, and is {id} now"));
        }
        self.at(self.now + MS, Event::Start(m));
    }

    /// An administrator's act: the node should hold so much.
    pub(crate) fn set_capacity(&mut self, node: NodeId, capacity: u64) {
        let layout = Arc::make_mut(&mut self.control.layout);
        let others = layout.nodes.values().filter(|other| other.id != node && other.capacity > 0).count();
        let Some(info) = layout.nodes.get_mut(&node).filter(|info| info.incarnation.0 > 0) else { return };
        if info.capacity == capacity || (others == 0 && capacity == 0) {
            return;
        }
        info.capacity = capacity;
        layout.version = LayoutVersion(layout.version.0 + 1);
        let revision = layout.version.0;
        self.control.revisions.insert(super::control::Key::Node(node), revision);
        self.log(format_args!("{node} has capacity {capacity}"));
    }

    fn end_process(&mut self, m: usize, power: bool) {
        self.stop(m, power);
        let quick = self.random.permille(600);
        let after = if quick { self.random.between(20, 600) } else { self.random.between(600, 6000) } * MS;
        self.at(self.now + after, Event::Start(m));
    }

    fn cut(&mut self, links: &[(usize, usize)]) {
        let long = self.random.between(100, 5000) * MS;
        for (from, to) in links {
            self.network.cut(*from, *to);
            self.at(self.now + long, Event::Mend(*from, *to));
        }
    }

    /// A frozen process goes on: what came meanwhile comes now.
    pub(crate) fn resume(&mut self, m: usize) {
        self.machines[m].frozen = false;
        for (index, event) in std::mem::take(&mut self.machines[m].deferred).into_iter().enumerate() {
            self.at(self.now + index as u64, event);
        }
    }

    /// All faults end; from now on everything must come right again.
    pub(crate) fn heal(&mut self) {
        self.log(format_args!("all faults end"));
        self.healed = true;
        self.healed_at = self.now;
        self.scenario.heal();
        self.network.mend_all();
        for m in 0..self.machines.len() {
            self.machines[m].slow_disk = false;
            self.machines[m].engine.set_full(false);
            if self.machines[m].frozen {
                self.resume(m);
            }
            // A node that stopped after a failed disk is started again by somebody.
            if self.machines[m].process.as_ref().is_some_and(|process| process.stopped) {
                self.stop(m, false);
            }
            let after = self.random.below(SECOND);
            self.at(self.now + after, Event::Start(m));
        }
        for m in 0..self.machines.len() {
            let node = self.machines[m].node;
            if self.control.layout.nodes.get(&node).is_some_and(|node| node.capacity == 0) {
                self.set_capacity(node, 100);
            }
        }
        self.at(self.now + 100 * MS, Event::Converged);
    }
}
