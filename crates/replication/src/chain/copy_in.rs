//! Copies, the receiving side. What the tables hold counts no more from the first step on, but stays: rows
//! that are found to be the sender's too need not come again. Nor need those that came before a crash.

use super::command::{Command, Environment, Out};
use super::message::{Body, CopyId, Step};
use super::overlay::Overlay;
use super::replica::{REPEAT, Replica};
use types::{Found, HybridTime, MemberState, Monotonic, Record, ReplicaId, Version};

#[derive(Debug)]
pub(super) struct CopyIn {
    copy: CopyId,
    /// The step expected next, or in hand.
    index: u32,
    doing: Doing,
    /// What was said of the step before.
    found: Found,
    /// When anything was last heard of it.
    heard: Monotonic,
}

#[derive(Debug)]
enum Doing {
    /// The reset is on its way into the log; then the first step is taken.
    Resetting { append: u64, first: Step },
    /// The tables are told that they count no more.
    Voiding { first: Step },
    /// A step is being taken.
    Taking,
    /// Waiting for the next.
    Waiting,
    /// The tables are being made durable.
    Installing,
}

impl Replica {
    pub(super) fn on_step(
        &mut self,
        env: &Environment,
        from: ReplicaId,
        copy: CopyId,
        index: u32,
        step: Step,
        out: &mut Vec<Command>,
    ) {
        let declines = self.declines(env);
        let Some(role) = &mut self.role else { return };
        if role.upstream != Some(from) || declines {
            return;
        }
        if role.copied == Some(copy) {
            // All of it was taken; the word of it was lost.
            return out.send(self.message(from, Body::StepTaken { copy, index, found: Found::default() }));
        }
        // Invariant 8: only the predecessor may have a *syncing* replica drop what it has; or one that was promoted,
        // turned out to be too far behind, and is not counted on yet.
        let expendable = role.state == MemberState::Syncing || !(role.listed || role.reported.is_some());
        if role.copied > Some(copy) {
            return;
        }
        if !expendable {
            // The sender was misled by something old: where this log really ends, it should hear.
            return self.throttled_position(env, out);
        }
        match &mut role.copy_in {
            Some(coming) if coming.copy == copy => {
                coming.heard = env.now;
                if !matches!(coming.doing, Doing::Waiting) {
                    return;
                }
                if index + 1 == coming.index {
                    // It was taken; the word of it was lost.
                    let found = coming.found;
                    out.send(self.message(from, Body::StepTaken { copy, index, found }));
                } else if index == coming.index {
                    self.take(copy, index, step, out);
                }
            }
            // What the applier has in hand of the old one comes first.
            Some(coming) if coming.copy > copy || !matches!(coming.doing, Doing::Waiting) => {}
            _ if index == 0 => self.begin_reset(env, copy, step, out),
            _ => {}
        }
    }

    fn begin_reset(&mut self, env: &Environment, copy: CopyId, first: Step, out: &mut Vec<Command>) {
        // The applier's work rests on the log as it is: let it end first. The step will come again.
        if self.installing.is_some() || self.applying() {
            return;
        }
        self.abandon_copy();
        self.incomplete = true;
        // It has nothing now: it answers nothing, and speaks for nobody below, before it has caught up again.
        if let Some(role) = &mut self.role {
            (role.complete, role.upstream_complete) = (false, None);
        }
        self.begin_at(Version::ZERO, HybridTime::default());
        let append = self.append(Record::Reset { partition: self.partition }, out);
        if let Some(role) = &mut self.role {
            let doing = Doing::Resetting { append, first };
            role.copy_in = Some(CopyIn { copy, index: 0, doing, found: Found::default(), heard: env.now });
        }
    }

    /// Appends up to `number` are durable: a reset may be among them.
    pub(super) fn reset_durable(&mut self, number: u64, out: &mut Vec<Command>) {
        let Some(coming) = self.role.as_mut().and_then(|role| role.copy_in.as_mut()) else { return };
        if let Doing::Resetting { append, first } = &coming.doing
            && *append <= number
        {
            coming.doing = Doing::Voiding { first: first.clone() };
            out.push(Command::Void { copy: coming.copy });
        }
    }

    /// The tables count no more.
    pub fn voided(&mut self, copy: CopyId, out: &mut Vec<Command>) {
        let Some(coming) = self.coming(copy) else { return };
        if let Doing::Voiding { first } = &coming.doing {
            let first = first.clone();
            self.take(copy, 0, first, out);
        }
    }

    fn take(&mut self, copy: CopyId, index: u32, step: Step, out: &mut Vec<Command>) {
        let Some(coming) = self.coming(copy) else { return };
        coming.doing = Doing::Taking;
        match step {
            Step::Outline { after, pieces } => out.push(Command::Compare { copy, index, after, pieces }),
            Step::Rows { range, rows } => out.push(Command::Import { copy, index, range, rows }),
            Step::End { version, time } => {
                coming.doing = Doing::Installing;
                self.installing = Some((copy, version, time));
                out.push(Command::Install { copy, version, time });
            }
        }
    }

    /// The outline was compared with what is here.
    pub fn compared(&mut self, copy: CopyId, index: u32, found: Found, out: &mut Vec<Command>) {
        self.taken(copy, index, found, out);
    }

    /// Rows are in the tables.
    pub fn imported(&mut self, copy: CopyId, index: u32, out: &mut Vec<Command>) {
        self.taken(copy, index, Found::default(), out);
    }

    fn taken(&mut self, copy: CopyId, index: u32, found: Found, out: &mut Vec<Command>) {
        let Some(coming) = self.coming(copy) else { return };
        if !matches!(coming.doing, Doing::Taking) || coming.index != index {
            return;
        }
        (coming.index, coming.doing, coming.found) = (index + 1, Doing::Waiting, found);
        if let Some(upstream) = self.role.as_ref().and_then(|role| role.upstream) {
            out.send(self.message(upstream, Body::StepTaken { copy, index, found }));
        }
    }

    /// The copy is durable, and so is the word of it.
    pub fn installed(&mut self, env: &Environment, copy: CopyId, out: &mut Vec<Command>) {
        let Some((_, version, time)) = self.installing.filter(|(installing, ..)| *installing == copy) else { return };
        // It counts, whatever became of this replica's place meanwhile.
        self.installing = None;
        self.begin_at(version, time);
        self.incomplete = false;
        let Some(role) = &mut self.role else { return };
        role.position_sent = Monotonic(0);
        if let Some(coming) = role.copy_in.take()
            && let Some(upstream) = role.upstream
        {
            role.copied = Some(copy);
            let body = Body::StepTaken { copy, index: coming.index, found: Found::default() };
            out.send(self.message(upstream, body));
        }
        self.send_position(env, out);
    }

    /// Nothing was heard for long of a copy that is being received: ask for another.
    pub(super) fn copy_missing(&mut self, env: &Environment, out: &mut Vec<Command>) {
        let Some(role) = &mut self.role else { return };
        let (Some(coming), Some(upstream)) = (&mut role.copy_in, role.upstream) else { return };
        if matches!(coming.doing, Doing::Waiting) && env.now - coming.heard >= 12 * REPEAT {
            coming.heard = env.now;
            out.send(self.message(upstream, Body::NeedCopy));
        }
    }

    fn coming(&mut self, copy: CopyId) -> Option<&mut CopyIn> {
        self.role.as_mut()?.copy_in.as_mut().filter(|coming| coming.copy == copy)
    }

    /// The log begins anew after `version`.
    fn begin_at(&mut self, version: Version, time: HybridTime) {
        self.overlay = Overlay::new(version, time);
        self.set_all(version.seq);
        if let Some(role) = &mut self.role {
            role.verified = types::Seq(0);
            role.linked = false;
            role.rewound = None;
        }
    }
}
