//! What the leader of the control plane does, as `control::controller::service` does it: leases,
//! registrations, reports, and the plan, whose decisions are the real ones.

use super::World;
use super::control::{Commit, Key};
use super::event::{Call, CallKind, CallReply, Event, Local, Packet};
use crate::scenario::MS;
use control::controller::{Knowledge, LeaseBook, Reports, plan};
use types::{Epoch, Incarnation, Monotonic, NodeInfo, PartitionId};

/// One leadership, in the leader's memory.
pub(crate) struct Leading {
    pub term: u64,
    /// When a majority last said so.
    pub confirmed: Monotonic,
    pub leases: LeaseBook,
    pub reports: Reports,
    /// A batch of the controller is under way.
    pub committing: bool,
}

impl World {
    /// Proves leadership now; a new one begins with an empty lease book, and so does one that was
    /// without a majority for long.
    fn confirm(&mut self, m: usize) -> Option<u64> {
        let term = self.confirmed(m)?;
        let lease = self.scenario.lease;
        let machine = &mut self.machines[m];
        let now = machine.clock.monotonic(self.now);
        let process = machine.process.as_mut()?;
        match process.leading.as_mut().filter(|leading| leading.term == term) {
            Some(leading) => {
                if now - leading.confirmed > lease {
                    leading.leases.begin_again(now);
                }
                leading.confirmed = now;
            }
            None => {
                let leases = LeaseBook::new(lease, now);
                let reports = Reports::default();
                process.leading = Some(Leading { term, confirmed: now, leases, reports, committing: false });
            }
        }
        Some(term)
    }

    /// The controller looks at everything, and writes what it decides.
    pub(crate) fn lead(&mut self, m: usize) {
        self.local(m, 30 * MS + self.now % 7 * MS, Local::Lead);
        let leads = self.control.leader.is_some_and(|leader| {
            leader.machine == m && self.machines[m].process.as_ref().is_some_and(|process| process.boot == leader.boot)
        });
        if !leads {
            if let Some(process) = &mut self.machines[m].process {
                process.leading = None;
            }
            return;
        }
        let led = self.machines[m].process.as_ref().is_some_and(|process| process.leading.is_some());
        // What is to be done is decided again once leadership is proved.
        if (!led && self.confirm(m).is_none()) || self.decide(m, false).is_none() || self.confirm(m).is_none() {
            return;
        }
        let Some(commit) = self.decide(m, true) else { return };
        if let Some(leading) = self.leading(m) {
            leading.committing = true;
        }
        self.commit_soon(commit);
    }

    /// What is to be written now, by what is known. `final_word`: it will be tried, so no voided life may get a grant.
    fn decide(&mut self, m: usize, final_word: bool) -> Option<Commit> {
        let now = self.machines[m].clock.monotonic(self.now);
        let mut layout = self.control.layout.clone();
        if self.bugs.anyone_restarts {
            let layout = std::sync::Arc::make_mut(&mut layout);
            let everybody: std::collections::BTreeSet<_> = layout.nodes.keys().copied().collect();
            layout.chains.iter_mut().for_each(|chain| chain.complete = everybody.clone());
        }
        let process = self.machines[m].process.as_mut()?;
        let leading = process.leading.as_mut().filter(|leading| !leading.committing)?;
        // There are no blocks here that anybody would wait for.
        for (index, chain) in layout.chains.iter().enumerate() {
            let whole = chain.serving().map(|replica| (types::PartitionId(index as u16), chain.epoch, replica));
            leading.reports.whole.extend(whole);
        }
        let knowledge = Knowledge {
            layout: &layout,
            leases: &leading.leases,
            reports: &leading.reports,
            holdings: &self.control.holdings,
            now,
        };
        let plan = plan::plan(knowledge);
        if final_word {
            plan.voided.iter().for_each(|replica| leading.leases.void(*replica));
        }
        let current =
            |partition: &PartitionId, epoch: Epoch| layout.chain(*partition).is_some_and(|chain| chain.epoch == epoch);
        leading.reports.synced.retain(|(partition, epoch, _)| current(partition, *epoch));
        leading.reports.departed.retain(|(partition, epoch, _)| current(partition, *epoch));
        leading.reports.whole.retain(|(partition, epoch, _)| current(partition, *epoch));
        let process = self.machines[m].process.as_ref()?;
        self.batch(m, process.leading.as_ref()?, &plan)
    }

    fn commit_soon(&mut self, commit: Commit) {
        let after = self.delay() + self.random.below(self.scenario.sync * 2 + 1);
        self.at(self.now + after, Event::Commit(Box::new(commit)));
    }

    /// A call to the control plane arrives.
    pub(crate) fn called(&mut self, m: usize, call: Call) {
        match call.what {
            CallKind::Synced(partition, epoch) => {
                if let Some(leading) = self.leading(m) {
                    leading.reports.synced.insert((partition, epoch, call.replica));
                }
            }
            CallKind::Departed(partition, epoch) => {
                if let Some(leading) = self.leading(m) {
                    leading.reports.departed.insert((partition, epoch, call.replica));
                }
            }
            CallKind::Register(_) | CallKind::Lease => {
                let after = self.delay();
                self.local(m, after, Local::Confirm(Box::new(call)));
            }
        }
    }

    fn leading(&mut self, m: usize) -> Option<&mut Leading> {
        self.machines[m].process.as_mut()?.leading.as_mut()
    }

    fn answer_call(&mut self, m: usize, call: &Call, reply: CallReply) {
        self.send(m, call.from, Packet::Reply { boot: call.boot, call: call.call, reply });
    }

    /// Leadership is proved for a call that has arrived before.
    pub(crate) fn confirm_call(&mut self, m: usize, call: Call) {
        let Some(term) = self.confirm(m) else { return self.answer_call(m, &call, CallReply::NotLeader) };
        match &call.what {
            CallKind::Register(holdings) => {
                let replica = call.replica;
                let Some(old) = self.control.layout.nodes.get(&replica.node).cloned() else { return };
                if old.incarnation >= replica.incarnation && old.incarnation != Incarnation(0) {
                    // Refused for good: the process tries again as a later life.
                    return self.answer_call(m, &call, CallReply::NotLeader);
                }
                let now = self.machines[m].clock.monotonic(self.now);
                if let Some(leading) = self.leading(m) {
                    leading.leases.grant(replica, now);
                }
                let capacity = if old.incarnation == Incarnation(0) { 100 } else { old.capacity };
                let key = Key::Node(replica.node);
                let node = NodeInfo { incarnation: replica.incarnation, alive: true, capacity, ..old };
                self.commit_soon(Commit {
                    machine: m,
                    boot: self.machines[m].boots,
                    term,
                    guards: vec![(key, self.control.revision(key))],
                    nodes: vec![node],
                    chains: Vec::new(),
                    replicas_min: None,
                    holdings: Some((replica.node, holdings.clone())),
                    step: false,
                    caller: Some((call.from, call.boot, call.call)),
                });
            }
            _ => {
                let after = self.random.below(200_000);
                self.local(m, after, Local::Grant(Box::new(call), term));
            }
        }
    }

    /// Writes the grant into the book of the leadership that was confirmed.
    pub(crate) fn grant(&mut self, m: usize, call: Call, term: u64) {
        let replica = call.replica;
        let alive = self
            .control
            .layout
            .nodes
            .get(&replica.node)
            .is_some_and(|node| node.incarnation == replica.incarnation && node.alive);
        let (now, lease) = (self.machines[m].clock.monotonic(self.now), self.scenario.lease);
        let reply = match self.leading(m).filter(|leading| leading.term == term) {
            None => CallReply::NotLeader,
            Some(leading) => {
                let granted = alive && leading.leases.grant(replica, now);
                if granted { CallReply::Granted(lease) } else { CallReply::Void }
            }
        };
        self.answer_call(m, &call, reply);
    }
}
