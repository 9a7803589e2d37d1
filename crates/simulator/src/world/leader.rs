//! What the leader of the control plane does: the real [`Leading`], driven as `control::controller::service`
//! drives it.

use super::World;
use super::control::Why;
use super::event::{Call, CallKind, CallReply, Local, Packet};
use crate::scenario::MS;
use control::controller::lost::Told;
use control::controller::{ControllerError, Known, Leading, keys, leading};
use control::{Batch, LeaderToken};
use rpc::wire::RegisterRequest;
use std::collections::BTreeSet;
use types::ReplicaId;

impl World {
    /// Proves leadership now.
    fn confirm(&mut self, m: usize) -> Option<LeaderToken> {
        let token = self.confirmed(m)?;
        let lease = self.scenario.lease;
        let machine = &mut self.machines[m];
        let now = machine.clock.monotonic(self.now);
        let process = machine.process.as_mut()?;
        if Leading::confirm(&mut process.leading, token, lease, now)
            && let Some(leading) = &mut process.leading
        {
            process.deaths.tell(leading);
        }
        Some(token)
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
        if (!led && self.confirm(m).is_none()) || self.decide(m, false).is_none() {
            return;
        }
        let Some(token) = self.confirm(m) else { return };
        let Some(batch) = self.decide(m, true) else { return };
        if let Some(process) = &mut self.machines[m].process {
            process.committing = Some(token);
        }
        self.commit_soon(m, token, batch.fenced(token), Why::Step);
    }

    /// What is to be written now; none when nothing is.
    fn decide(&mut self, m: usize, final_word: bool) -> Option<Batch> {
        let known = self.known_to_the_controller();
        let machine = &mut self.machines[m];
        let now = machine.clock.monotonic(self.now);
        let process = machine.process.as_mut()?;
        let committing = process.committing;
        let leading = process.leading.as_mut().filter(|leading| committing != Some(leading.token()))?;
        let (_, batch) = leading.decide(&known, now, final_word);
        (!batch.operations.is_empty()).then_some(batch)
    }

    /// The metadata; bugs make the controller see what is not so.
    fn known_to_the_controller(&self) -> std::sync::Arc<Known> {
        let known = self.control.known.clone();
        if !self.bugs.anyone_restarts() && !self.bugs.complete_too_wide() {
            return known;
        }
        let mut layout = known.layout.clone();
        let everybody: BTreeSet<_> = layout.nodes.keys().copied().collect();
        for chain in &mut layout.chains {
            match self.bugs.anyone_restarts() {
                true => chain.complete.clone_from(&everybody),
                false if chain.members.is_empty() => {}
                false => chain.complete.extend(chain.acking().map(|member| member.replica.node).collect::<Vec<_>>()),
            }
        }
        Known { all: known.all.clone(), layout, holdings: known.holdings.clone() }.into()
    }

    /// A call to the control plane arrives.
    pub(crate) fn called(&mut self, m: usize, call: Call) {
        match call.what {
            CallKind::Report(report) => {
                if let Some(leading) = self.leading(m) {
                    leading.hears(report);
                }
            }
            CallKind::Register(_) | CallKind::Lease => {
                let after = self.delay();
                self.local(m, after, Local::Confirm(Box::new(call)));
            }
        }
    }

    /// What the leader knows of the copies of partitions that nobody serves.
    pub(crate) fn copies_known(&self, m: usize, known: &Known) -> Told {
        let process = self.machines[m].process.as_ref();
        process.and_then(|process| process.leading.as_ref()).map(|leading| leading.told(known)).unwrap_or_default()
    }

    /// A witness is heard.
    pub(crate) fn heard_of_death(&mut self, m: usize, life: ReplicaId) {
        let Some(process) = &mut self.machines[m].process else { return };
        process.deaths.hear(life);
        if let Some(leading) = &mut process.leading {
            leading.surrenders(life);
        }
        self.strike("deaths witnessed");
        let of_leader = self.control.leader.is_some_and(|leader| self.machines[leader.machine].node == life.node);
        let votes = self.control.voters.contains(&self.machines[m].node);
        if of_leader && votes && self.control.leader.is_some_and(|leader| self.confirmed(leader.machine).is_none()) {
            self.elect();
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
        let Some(token) = self.confirm(m) else { return self.answer_call(m, &call, CallReply::NotLeader) };
        match &call.what {
            CallKind::Register(request) => self.registration(m, token, &call, request),
            _ => {
                let after = self.random.below(200_000);
                self.local(m, after, Local::Grant(Box::new(call), token));
            }
        }
    }

    fn registration(&mut self, m: usize, token: LeaderToken, call: &Call, request: &RegisterRequest) {
        let pair = self.control.state.get(&keys::node(request.node));
        match leading::registration(pair.as_ref(), request) {
            Ok(batch) => {
                let now = self.machines[m].clock.monotonic(self.now);
                if let Some(leading) = self.leading(m) {
                    leading.registers(call.replica, now);
                }
                let why = Why::Call { from: call.from, boot: call.boot, call: call.call };
                self.commit_soon(m, token, batch, why);
            }
            Err(ControllerError::Denied(_)) => self.answer_call(m, call, CallReply::Denied),
            // The process tries again as a later life.
            Err(_) => self.answer_call(m, call, CallReply::NotLeader),
        }
    }

    /// Writes the grant into the book of the leadership that was confirmed.
    pub(crate) fn grant(&mut self, m: usize, call: Call, token: LeaderToken) {
        let replica = call.replica;
        let node = self.control.layout.nodes.get(&replica.node);
        let alive = node.is_some_and(|node| node.incarnation == replica.incarnation && node.alive);
        let (now, lease) = (self.machines[m].clock.monotonic(self.now), self.scenario.lease);
        let reply = match self.leading(m).filter(|leading| leading.token() == token) {
            None => CallReply::NotLeader,
            Some(leading) => match leading.renews(replica, alive, now) {
                true => CallReply::Granted(lease),
                false => CallReply::Void,
            },
        };
        self.answer_call(m, &call, reply);
    }
}
