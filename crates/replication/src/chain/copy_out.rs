//! Copies, the sending side: for a syncing neighbour whose log is too far behind. What it has is compared
//! with a snapshot range by range, and only what differs is sent. One step at a time; each is taken before
//! the next is sent.

use super::command::{Command, Environment, Out};
use super::message::{Body, CopyId, Step};
use super::plan::{Plan, Want};
use super::replica::{REPEAT, Replica};
use std::time::Duration;
use types::{Found, Monotonic, ReplicaId};

#[derive(Debug)]
pub(super) struct CopyOut {
    copy: CopyId,
    peer: ReplicaId,
    plan: Plan,
    index: u32,
    want: Want,
    /// The step under way; none while it is being read.
    step: Option<Step>,
    sent: Monotonic,
    /// When this step was sent for the first time.
    first_sent: Monotonic,
}

impl CopyOut {
    /// A step was sent, and again, and not taken.
    pub(super) fn unwanted(&self, env: &Environment) -> bool {
        self.step.is_some() && env.now - self.first_sent >= 6 * REPEAT
    }

    /// Who takes long over a step is told it less and less often: it is large.
    fn repeats_after(&self) -> Duration {
        (self.sent - self.first_sent).clamp(5 * REPEAT, 50 * REPEAT)
    }
}

impl Replica {
    /// Begins to copy to the syncing neighbour below.
    pub(super) fn begin_copy(&mut self, env: &Environment, out: &mut Vec<Command>) {
        self.copies += 1;
        let copy = CopyId { epoch: self.epoch, number: self.copies };
        let Some(role) = &mut self.role else { return };
        let Some(link) = &role.downstream else { return };
        let mut plan = Plan::new();
        let want = plan.next();
        out.push(Command::ReadStep { copy, index: 0, want: want.clone() });
        let (peer, sent, first_sent) = (link.peer, env.now, env.now);
        role.copy_out = Some(CopyOut { copy, peer, plan, index: 0, want, step: None, sent, first_sent });
    }

    /// What was asked for with [`Command::ReadStep`]. None: it could not be read.
    pub fn step_read(
        &mut self,
        env: &Environment,
        copy: CopyId,
        index: u32,
        step: Option<Step>,
        out: &mut Vec<Command>,
    ) {
        let Some(role) = &mut self.role else { return };
        let Some(going) = role.copy_out.as_mut().filter(|c| c.copy == copy && c.index == index && c.step.is_none())
        else {
            return;
        };
        let Some(step) = step else {
            role.copy_out = None;
            return self.copy_ended(env, None, out);
        };
        going.plan.read(&going.want, &step);
        going.step = Some(step.clone());
        (going.sent, going.first_sent) = (env.now, env.now);
        let peer = going.peer;
        out.send(self.message(peer, Body::Step { copy, index, step }));
    }

    pub(super) fn repeat_step(&mut self, env: &Environment, out: &mut Vec<Command>) {
        let declined = self.declined(env);
        let Some(going) = self.role.as_mut().and_then(|role| role.copy_out.as_mut()) else { return };
        if let Some(step) = going.step.clone()
            && env.now - going.sent >= going.repeats_after()
            && !declined
        {
            going.sent = env.now;
            let (copy, index, peer) = (going.copy, going.index, going.peer);
            out.send(self.message(peer, Body::Step { copy, index, step }));
        }
    }

    pub(super) fn on_step_taken(
        &mut self,
        env: &Environment,
        from: ReplicaId,
        copy: CopyId,
        index: u32,
        found: Found,
        out: &mut Vec<Command>,
    ) {
        let Some(role) = &mut self.role else { return };
        let Some(going) = role.copy_out.as_mut().filter(|c| c.peer == from && c.copy == copy && c.index == index)
        else {
            return;
        };
        match going.step.take() {
            None => {}
            Some(Step::End { version, .. }) => {
                role.copy_out = None;
                self.copy_ended(env, Some(version), out);
            }
            Some(step) => {
                going.plan.found(&going.want, &step, found);
                going.want = going.plan.next();
                going.index += 1;
                out.push(Command::ReadStep { copy, index: going.index, want: going.want.clone() });
            }
        }
    }
}
