//! Faults: when, where, for how long.

use super::World;
use super::acts::Rot;
use super::event::Event;
use super::machine::Machine;
use crate::scenario::{FaultKind, MS, SECOND};
use rpc::wire::Edit;
use types::NodeId;

/// Machines that join besides those of the beginning.
const SPARES: usize = 2;

impl World {
    /// Something goes wrong; the next of its kind is due later.
    pub(crate) fn fault(&mut self, kind: FaultKind) {
        let Some((_, every)) = self.scenario.faults.iter().find(|(known, _)| *known == kind).copied() else { return };
        let next = self.now + self.random.below(2 * every) + MS;
        self.at(next, Event::Fault(kind));
        if self.loss_under_way() {
            return;
        }
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
                self.strike_if(spare.is_none(), "power lost by all");
                if self.random.permille(700) {
                    self.rot(other, Rot::LogEnd);
                }
                for one in (0..self.machines.len()).filter(|one| Some(*one) != spare) {
                    self.end_process(one, true);
                }
            }
            FaultKind::Pause => {
                if self.machines[m].process.is_some() && !self.machines[m].frozen {
                    self.machines[m].frozen = true;
                    let long = self.random.between(50, 4000) * MS;
                    self.strike("machines frozen");
                    self.strike_if(long > 2 * self.scenario.lease.as_nanos() as u64, "frozen beyond their lease");
                    self.at(self.now + long, Event::Resume(m));
                }
            }
            FaultKind::Cut => {
                self.strike("links cut");
                self.cut(&[(m, other), (other, m)]);
                let life = self.machines[other].process.as_ref().map(|process| process.me);
                if let Some(life) = life.filter(|_| self.bugs.death_guessed()) {
                    self.tell_of_death(m, life);
                }
            }
            FaultKind::CutOneWay => {
                self.strike("links cut one way");
                self.cut(&[(m, other)]);
            }
            FaultKind::Isolate => {
                self.strike("machines cut off");
                let others = (0..self.machines.len()).filter(|one| *one != m);
                let links: Vec<_> = others.flat_map(|one| [(m, one), (one, m)]).collect();
                self.cut(&links);
            }
            FaultKind::SyncFails => self.machines[m].engine.fail_next_sync(),
            FaultKind::NewLeader => {
                self.strike("leaders changed");
                self.elect();
            }
            FaultKind::SlowDisk => {
                self.strike("slow disks");
                self.machines[m].slow_disk = true;
                let long = self.random.between(200, 3000) * MS;
                self.at(self.now + long, Event::FastDisk(m));
            }
            FaultKind::FullDisk => {
                self.strike("full disks");
                self.machines[m].engine.set_full(true);
                let long = self.random.between(200, 4000) * MS;
                self.at(self.now + long, Event::Room(m));
            }
            FaultKind::Wipe => self.wipe(m),
            FaultKind::RotLog => self.rot(m, Rot::Log),
            FaultKind::RotTables => self.rot(m, Rot::Tables),
            FaultKind::RotBlock => self.rot_block(m),
            FaultKind::Join if self.machines.len() < self.scenario.machines + SPARES => {
                let machine = Machine::new(NodeId(0), &self.scenario, &mut self.random);
                self.machines.push(machine);
                self.strike("machines joined late");
                self.at(self.now + MS, Event::Join(self.machines.len() - 1));
            }
            FaultKind::Join => {}
            FaultKind::Drain => self.drain(node),
            FaultKind::Capacity => {
                let share = *self.random.pick(&[20, 50, 100, 100, 200]).unwrap_or(&100);
                self.wish(Edit::Capacity(node, share), false);
            }
            FaultKind::Copies => {
                let copies = if self.scenario.replicas == 2 { [2, 3] } else { [3, 4] };
                let copies = *self.random.pick(&copies).unwrap_or(&3);
                self.wish(Edit::Replicas(copies), false);
            }
            FaultKind::Zone => {
                let zone = format!("z{}", self.random.below(self.scenario.zones + 1));
                let moved = std::mem::replace(&mut self.machines[m].zone, zone.clone()) != zone;
                if moved && self.machines[m].process.is_some() {
                    self.strike("zones changed");
                    self.end_process(m, false);
                }
            }
        }
    }

    pub(crate) fn end_process(&mut self, m: usize, power: bool) {
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
            if self.machines[m].rotten {
                self.at(self.now + after + SECOND, Event::Replace(m));
            }
        }
        self.at(self.now + 100 * MS, Event::Converged);
    }
}
