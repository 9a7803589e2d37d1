//! A node's lives, as `node::life` leads them around the real decisions ([`replication::node`]).

use super::World;
use super::event::{Call, CallKind, CallReply, Local, Packet};
use crate::invariants::Observed;
use crate::scenario::MS;
use replication::node::{Life, Next, Report, Step};
use rpc::wire::{Holding, Presence, RegisterRequest, SyncedReport};
use std::sync::Arc;
use std::time::Duration;
use types::{Layout, PartitionId};

/// How often the controller is told again what it has not acted upon.
const REPORT_AGAIN: u64 = 150 * MS;

impl World {
    /// What a life is to do next.
    pub(crate) fn live(&mut self, m: usize, next: Next) {
        let Some(process) = &mut self.machines[m].process else { return };
        if process.stopped {
            process.life.end();
        }
        match next {
            _ if process.life.ended() => {}
            Next::Register => self.begin_life(m),
            Next::Renew => self.call(m, CallKind::Lease, self.scenario.lease / 2),
            Next::End => {}
        }
    }

    fn then(&mut self, m: usize, step: Step) {
        let after = (step.after.as_nanos() as u64).max(1000);
        self.local(m, after, Local::Live(step.next));
    }

    /// A new incarnation, which has left all chains.
    fn begin_life(&mut self, m: usize) {
        let machine = &mut self.machines[m];
        let wall = machine.clock.wall(self.now);
        let reuse = self.bugs.incarnation_reused() && machine.incarnation.0 > 0;
        let Some(process) = &mut machine.process else { return };
        let boot = process.boot;
        let me = if reuse { process.life.me() } else { process.life.begin(wall) };
        machine.incarnation = me.incarnation;
        process.me = me;
        let partitions = process.hosted.len();
        self.observe(Observed::Life { replica: me, boot });
        if reuse {
            return self.local(m, 1000, Local::Live(Next::Renew));
        }
        for index in 0..partitions {
            self.step(m, PartitionId(index as u16), |replica, _, _, out| replica.begin_life(me, out));
        }
        let machine = &self.machines[m];
        let Some(process) = &machine.process else { return };
        let holding = |(index, hosted): (usize, &super::machine::Hosted)| Holding {
            partition: PartitionId(index as u16),
            last: hosted.replica.progress().last,
            torn: hosted.replica.torn(),
            incomplete: hosted.replica.incomplete(),
        };
        let holdings = process.hosted.iter().enumerate().map(holding).collect();
        let presence = Presence {
            address: format!("machine-{m}"),
            grpc: String::new(),
            web: String::new(),
            zone: machine.zone.clone(),
            capacity: 100,
            release: String::new(),
            protocols: (1, 1),
        };
        let request = RegisterRequest { node: me.node, incarnation: me.incarnation, presence, holdings };
        self.log(format_args!("{} begins life {}", me.node, me.incarnation));
        self.call(m, CallKind::Register(Box::new(request)), Duration::from_secs(2));
    }

    fn call(&mut self, m: usize, what: CallKind, timeout: Duration) {
        let now = self.machines[m].clock.monotonic(self.now);
        let Some(process) = &mut self.machines[m].process else { return };
        process.call += 1;
        process.call_open = true;
        process.call_sent = now;
        process.registering = matches!(what, CallKind::Register(_));
        let (call, boot, replica) = (process.call, process.boot, process.me);
        self.call_leader(m, Call { from: m, boot, call, replica, what });
        self.local(m, timeout.as_nanos() as u64, Local::CallTimeout(call));
    }

    /// To whoever leads the control plane, as far as one can tell.
    fn call_leader(&mut self, m: usize, call: Call) {
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
        let late = self.bugs.lease_from_answer();
        let machine = &mut self.machines[m];
        let now = machine.clock.monotonic(self.now);
        let Some(process) = machine.process.as_mut().filter(|p| p.boot == boot && p.call == call && p.call_open) else {
            return;
        };
        process.call_open = false;
        if process.stopped {
            return process.life.end();
        }
        let life = &mut process.life;
        let step = match reply {
            CallReply::Registered => life.registered(),
            CallReply::Granted(length) => {
                let sent = process.call_sent;
                let step = life.granted(if late { now } else { sent }, length);
                let (replica, until) = (process.me, life.lease().until());
                let true_until = machine.clock.true_time(until);
                self.observe(Observed::Leased { replica, sent, length, true_until });
                step
            }
            CallReply::Void => life.voided(),
            CallReply::Denied => {
                life.end();
                return self.dismissed(m);
            }
            CallReply::NotLeader if process.registering => life.not_registered(),
            CallReply::NotLeader => life.unanswered(),
        };
        self.then(m, step);
    }

    /// The node was removed from its cluster, and hears it: its process ends.
    fn dismissed(&mut self, m: usize) {
        let node = self.machines[m].node;
        self.log(format_args!("{node} hears that it was removed"));
        self.strike("a removed node heard it");
        self.stop(m, false);
    }

    /// A replica has something to report to the controller.
    pub(crate) fn report(&mut self, m: usize, report: Report) {
        let Some(process) = &mut self.machines[m].process else { return };
        let first = process.unheard.is_empty();
        process.unheard.add(report);
        if first {
            self.local(m, 1000, Local::Report);
        }
    }

    /// Says what was not heard yet.
    pub(crate) fn say_reports(&mut self, m: usize) {
        let Some(process) = &mut self.machines[m].process else { return };
        let me = process.me;
        let mut report = SyncedReport { node: me.node, incarnation: me.incarnation, ..SyncedReport::default() };
        for one in process.unheard.news(me, &process.layout) {
            match one {
                Report::Synced(partition, epoch) => report.synced.push((partition, epoch)),
                Report::Departed(partition, epoch) => report.departed.push((partition, epoch)),
                Report::Whole(partition, epoch) => report.whole.push((partition, epoch)),
                Report::Verified(leaving) => report.verified.push(leaving),
                Report::Held { partition, epoch, last, torn, incomplete } => {
                    report.held.push((epoch, Holding { partition, last, torn, incomplete }));
                }
            }
        }
        if process.unheard.is_empty() {
            return;
        }
        let call = Call { from: m, boot: process.boot, call: 0, replica: me, what: CallKind::Report(report) };
        self.call_leader(m, call);
        self.local(m, REPORT_AGAIN, Local::Report);
    }

    /// Takes up a map, unless it is older than the one at hand (invariant 24).
    pub(crate) fn learn(&mut self, m: usize, layout: Arc<Layout>) {
        let Some(process) = &mut self.machines[m].process else { return };
        if layout.version <= process.layout.version {
            return;
        }
        process.layout = layout.clone();
        for (index, chain) in layout.chains.iter().enumerate() {
            let partition = PartitionId(index as u16);
            if let Some(process) = &mut self.machines[m].process
                && chain.epoch > process.hosted[index].replica.progress().epoch
            {
                process.upkeep.scan(partition);
            }
            self.step(m, partition, |replica, env, _, out| replica.adopt(env, chain, out));
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

    /// A life of which nothing is known but its number begins with nothing granted.
    pub(crate) fn life(&self, m: usize) -> Life {
        let machine = &self.machines[m];
        let last = types::ReplicaId { node: machine.node, incarnation: machine.incarnation };
        Life::new(last, self.scenario.lease)
    }
}
