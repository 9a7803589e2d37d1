//! Full copies, for a syncing replica whose log is too far behind its predecessor's.
//! One page at a time; each is taken before the next is sent.

use super::command::{Command, Environment, Out};
use super::message::{Body, CopyId};
use super::overlay::Overlay;
use super::replica::{REPEAT, Replica};
use bytes::Bytes;
use types::{HybridTime, MemberState, Monotonic, Record, ReplicaId, Seq, Version};

/// The sending side.
#[derive(Debug)]
pub(super) struct CopyOut {
    copy: CopyId,
    peer: ReplicaId,
    index: u32,
    /// The page under way; none while it is being read.
    page: Option<(Bytes, Option<(Version, HybridTime)>)>,
    sent: Monotonic,
    /// When this page was sent for the first time.
    first_sent: Monotonic,
}

impl CopyOut {
    /// A page was sent, and again, and not taken.
    pub(super) fn unwanted(&self, env: &Environment) -> bool {
        self.page.is_some() && env.now - self.first_sent >= 6 * REPEAT
    }
}

/// The receiving side.
#[derive(Debug)]
pub(super) struct CopyIn {
    copy: CopyId,
    /// The page expected next.
    index: u32,
    step: Step,
    end: Option<(Version, HybridTime)>,
    /// When anything was last heard of it.
    heard: Monotonic,
}

#[derive(Debug)]
enum Step {
    /// The reset is on its way into the log; then the first page is taken.
    Resetting { append: u64, rows: Bytes },
    /// The tables are being emptied.
    Clearing { rows: Bytes },
    /// A page is being taken.
    Importing,
    /// Waiting for the next page.
    Waiting,
    /// The tables are being made durable.
    Installing,
}

impl Replica {
    /// Begins to send a full copy to the syncing neighbour below.
    pub(super) fn begin_copy(&mut self, env: &Environment, out: &mut Vec<Command>) {
        self.copies += 1;
        let copy = CopyId { epoch: self.epoch, number: self.copies };
        let Some(role) = &mut self.role else { return };
        let Some(link) = &role.downstream else { return };
        role.copy_out =
            Some(CopyOut { copy, peer: link.peer, index: 0, page: None, sent: env.now, first_sent: env.now });
        out.push(Command::ReadPage { copy, index: 0 });
    }

    /// A page asked for with [`Command::ReadPage`]; `end` on the last one. None: it could not be read.
    pub fn page_read(
        &mut self,
        env: &Environment,
        copy: CopyId,
        index: u32,
        page: Option<(Bytes, Option<(Version, HybridTime)>)>,
        out: &mut Vec<Command>,
    ) {
        let Some(role) = &mut self.role else { return };
        let Some(going) = role.copy_out.as_mut().filter(|c| c.copy == copy && c.index == index && c.page.is_none())
        else {
            return;
        };
        let Some((rows, end)) = page else {
            role.copy_out = None;
            return self.copy_ended(env, None, out);
        };
        going.page = Some((rows.clone(), end));
        (going.sent, going.first_sent) = (env.now, env.now);
        let peer = going.peer;
        out.send(self.message(peer, Body::Page { copy, index, rows, end }));
    }

    pub(super) fn repeat_page(&mut self, env: &Environment, out: &mut Vec<Command>) {
        let declined = self.declined(env);
        let Some(going) = self.role.as_mut().and_then(|role| role.copy_out.as_mut()) else { return };
        if let Some((rows, end)) = going.page.clone()
            && env.now - going.sent >= 5 * REPEAT
            && !declined
        {
            going.sent = env.now;
            let (copy, index, peer) = (going.copy, going.index, going.peer);
            out.send(self.message(peer, Body::Page { copy, index, rows, end }));
        }
    }

    pub(super) fn on_page_taken(
        &mut self,
        env: &Environment,
        from: ReplicaId,
        copy: CopyId,
        index: u32,
        out: &mut Vec<Command>,
    ) {
        let Some(role) = &mut self.role else { return };
        let Some(going) =
            role.copy_out.as_mut().filter(|c| c.peer == from && c.copy == copy && c.index == index && c.page.is_some())
        else {
            return;
        };
        match going.page.take() {
            Some((_, Some((version, _)))) => {
                role.copy_out = None;
                self.copy_ended(env, Some(version), out);
            }
            _ => {
                going.index += 1;
                out.push(Command::ReadPage { copy, index: going.index });
            }
        }
    }

    #[allow(clippy::too_many_arguments)] // The fields of one message.
    pub(super) fn on_page(
        &mut self,
        env: &Environment,
        from: ReplicaId,
        copy: CopyId,
        index: u32,
        rows: Bytes,
        end: Option<(Version, HybridTime)>,
        out: &mut Vec<Command>,
    ) {
        let declines = self.declines(env);
        let Some(role) = &mut self.role else { return };
        if role.upstream != Some(from) || declines {
            return;
        }
        if role.copied == Some(copy) {
            // All of it was taken; the word of it was lost.
            return out.send(self.message(from, Body::PageTaken { copy, index }));
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
                if index + 1 == coming.index && matches!(coming.step, Step::Waiting) {
                    // It was taken; the word of it was lost.
                    out.send(self.message(from, Body::PageTaken { copy, index }));
                } else if index == coming.index && matches!(coming.step, Step::Waiting) {
                    coming.step = Step::Importing;
                    coming.end = end;
                    out.push(Command::Import { copy, index, rows });
                }
            }
            // What the applier has in hand of the old one comes first.
            Some(coming) if coming.copy > copy || !matches!(coming.step, Step::Waiting) => {}
            _ if index == 0 => self.begin_reset(env, copy, rows, end, out),
            _ => {}
        }
    }

    fn begin_reset(
        &mut self,
        env: &Environment,
        copy: CopyId,
        rows: Bytes,
        end: Option<(Version, HybridTime)>,
        out: &mut Vec<Command>,
    ) {
        // The applier's work rests on the log as it is: let it end first. The page will come again.
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
            role.copy_in = Some(CopyIn { copy, index: 0, step: Step::Resetting { append, rows }, end, heard: env.now });
        }
    }

    /// Appends up to `number` are durable: a reset may be among them.
    pub(super) fn reset_durable(&mut self, number: u64, out: &mut Vec<Command>) {
        let Some(coming) = self.role.as_mut().and_then(|role| role.copy_in.as_mut()) else { return };
        if let Step::Resetting { append, rows } = &coming.step
            && *append <= number
        {
            coming.step = Step::Clearing { rows: rows.clone() };
            out.push(Command::Clear { copy: coming.copy });
        }
    }

    /// The tables are empty.
    pub fn cleared(&mut self, copy: CopyId, out: &mut Vec<Command>) {
        let Some(coming) = self.coming(copy) else { return };
        if let Step::Clearing { rows } = &coming.step {
            let rows = rows.clone();
            coming.step = Step::Importing;
            out.push(Command::Import { copy, index: 0, rows });
        }
    }

    /// A page is in the tables.
    pub fn page_imported(&mut self, copy: CopyId, index: u32, out: &mut Vec<Command>) {
        let Some(coming) = self.coming(copy) else { return };
        if !matches!(coming.step, Step::Importing) || coming.index != index {
            return;
        }
        coming.index += 1;
        if let Some((version, time)) = coming.end {
            coming.step = Step::Installing;
            self.installing = Some((copy, version, time));
            out.push(Command::Install { copy, version, time });
            return;
        }
        coming.step = Step::Waiting;
        if let Some(upstream) = self.role.as_ref().and_then(|role| role.upstream) {
            out.send(self.message(upstream, Body::PageTaken { copy, index }));
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
            out.send(self.message(upstream, Body::PageTaken { copy, index: coming.index - 1 }));
        }
        self.send_position(env, out);
    }

    /// Nothing was heard for long of a copy that is being received: ask for another.
    pub(super) fn copy_missing(&mut self, env: &Environment, out: &mut Vec<Command>) {
        let Some(role) = &mut self.role else { return };
        let (Some(coming), Some(upstream)) = (&mut role.copy_in, role.upstream) else { return };
        if matches!(coming.step, Step::Waiting) && env.now - coming.heard >= 12 * REPEAT {
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
            role.verified = Seq(0);
            role.linked = false;
            role.rewound = None;
        }
    }
}
