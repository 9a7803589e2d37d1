//! A node's lives, as `node::life` leads them: register, renew, begin anew when the lease was lost.

use super::World;
use super::event::{Call, CallKind, CallReply, Local, Packet};
use crate::invariants::Observed;
use crate::scenario::MS;
use rpc::wire::Holding;
use std::sync::Arc;
use types::{Incarnation, Layout, PartitionId, ReplicaId};

impl World {
    fn lease_nanos(&self) -> u64 {
        self.scenario.lease.as_nanos() as u64
    }

    /// A new incarnation, which has left all chains.
    pub(crate) fn begin_life(&mut self, m: usize) {
        let reuse = self.bugs.incarnation_reused;
        let machine = &mut self.machines[m];
        let wall = Incarnation(machine.clock.wall(self.now).0);
        let Some(process) = machine.process.as_mut().filter(|process| !process.stopped) else { return };
        process.lease.surrender();
        process.registered = false;
        let again = reuse && machine.incarnation.0 > 0;
        if !again {
            machine.incarnation = wall.max(Incarnation(machine.incarnation.0 + 1));
        }
        let me = ReplicaId { node: machine.node, incarnation: machine.incarnation };
        process.me = me;
        let boot = process.boot;
        let partitions = process.hosted.len();
        self.observe(Observed::Life { replica: me, boot });
        if again {
            if let Some(process) = &mut self.machines[m].process {
                process.registered = true;
            }
            return self.local(m, 1000, Local::Renew);
        }
        for index in 0..partitions {
            self.step(m, PartitionId(index as u16), |replica, _, _, out| replica.begin_life(me, out));
        }
        let Some(process) = &mut self.machines[m].process else { return };
        let holdings: Vec<Holding> = process
            .hosted
            .iter()
            .enumerate()
            .map(|(index, hosted)| Holding {
                partition: PartitionId(index as u16),
                last: hosted.replica.progress().last,
                torn: hosted.replica.torn(),
                incomplete: hosted.replica.incomplete(),
            })
            .collect();
        self.log(format_args!("{} begins life {}", me.node, me.incarnation));
        self.call(m, CallKind::Register(holdings), 2000 * MS);
    }

    /// Asks for the lease again.
    pub(crate) fn renew(&mut self, m: usize) {
        if self.machines[m].process.as_ref().is_some_and(|process| !process.stopped) {
            self.call(m, CallKind::Lease, self.lease_nanos() / 2);
        } else if let Some(process) = &mut self.machines[m].process {
            process.lease.surrender();
        }
    }

    fn call(&mut self, m: usize, what: CallKind, timeout: u64) {
        let now = self.machines[m].clock.monotonic(self.now);
        let Some(process) = &mut self.machines[m].process else { return };
        process.call += 1;
        process.call_open = true;
        process.call_sent = now;
        let (call, boot, replica) = (process.call, process.boot, process.me);
        self.call_leader(m, Call { from: m, boot, call, replica, what });
        self.local(m, timeout, Local::CallTimeout(call));
    }

    /// To whoever leads the control plane, as far as one can tell.
    pub(crate) fn call_leader(&mut self, m: usize, call: Call) {
        if let Some(leader) = self.control.leader.map(|leader| leader.machine) {
            self.send(m, leader, Packet::Call(Box::new(call)));
        }
    }

    pub(crate) fn call_timeout(&mut self, m: usize, call: u64) {
        let Some(process) = &self.machines[m].process else { return };
        if process.call == call && process.call_open {
            self.call_answered(m, process.boot, call, CallReply::NotLeader);
        }
    }

    pub(crate) fn call_answered(&mut self, m: usize, boot: u64, call: u64, reply: CallReply) {
        let late = self.bugs.lease_from_answer;
        let lease = self.lease_nanos();
        let machine = &mut self.machines[m];
        let now = machine.clock.monotonic(self.now);
        let Some(process) = machine.process.as_mut().filter(|p| p.boot == boot && p.call == call && p.call_open) else {
            return;
        };
        process.call_open = false;
        if process.stopped {
            return process.lease.surrender();
        }
        let registering = !process.registered;
        match reply {
            CallReply::Registered => {
                process.registered = true;
                self.local(m, 1000, Local::Renew);
            }
            CallReply::Granted(length) => {
                let sent = if late { now } else { process.call_sent };
                process.lease.granted(sent, length);
                let (replica, sent) = (process.me, process.call_sent);
                let until = process.lease.until();
                let true_until = machine.clock.true_time(until);
                self.observe(Observed::Leased { replica, sent, length, true_until });
                self.local(m, lease / 4, Local::Renew);
            }
            CallReply::Void => {
                process.lease.surrender();
                process.registered = false;
                self.local(m, 1000, Local::BeginLife);
            }
            CallReply::NotLeader if registering => self.local(m, lease / 8, Local::BeginLife),
            CallReply::NotLeader => self.local(m, lease / 16, Local::Renew),
        }
    }

    /// Takes up a map, unless it is older than the one at hand (invariant 24).
    pub(crate) fn learn(&mut self, m: usize, layout: Arc<Layout>) {
        let Some(process) = &mut self.machines[m].process else { return };
        if layout.version <= process.layout.version {
            return;
        }
        process.layout = layout.clone();
        for (index, chain) in layout.chains.iter().enumerate() {
            self.step(m, PartitionId(index as u16), |replica, env, _, out| {
                replica.adopt(env, chain, out);
            });
        }
    }

    /// Looks for a newer map: whoever hears the voters hears it.
    pub(crate) fn poll(&mut self, m: usize) {
        let again = 40 * MS + self.random.below(80 * MS);
        self.local(m, again, Local::Poll);
        let Some(process) = &self.machines[m].process else { return };
        let behind = process.layout.version < self.control.layout.version;
        let reached = self.control.leader.is_some_and(|leader| self.network.up(leader.machine, m));
        if behind && reached && !self.random.permille(self.scenario.drop * 4) {
            let layout = self.control.layout.clone();
            let from = self.control.leader.map_or(m, |leader| leader.machine);
            self.send(from, m, Packet::Layout(layout));
        }
    }
}
