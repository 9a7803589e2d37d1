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
}

/// The receiving side.
#[derive(Debug)]
pub(super) struct CopyIn {
    copy: CopyId,
    /// The page expected next.
    index: u32,
    step: Step,
    end: Option<(Version, HybridTime)>,
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
        role.copy_out = Some(CopyOut { copy, peer: link.peer, index: 0, page: None, sent: env.now });
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
        going.sent = env.now;
        let peer = going.peer;
        out.send(self.message(peer, Body::Page { copy, index, rows, end }));
    }

    pub(super) fn repeat_page(&mut self, env: &Environment, out: &mut Vec<Command>) {
        let Some(going) = self.role.as_mut().and_then(|role| role.copy_out.as_mut()) else { return };
        if let Some((rows, end)) = going.page.clone()
            && env.now - going.sent >= 5 * REPEAT
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
        let Some(role) = &mut self.role else { return };
        // Invariant 8: only the predecessor may have a *syncing* replica drop what it has.
        if role.upstream != Some(from) || role.state != MemberState::Syncing {
            return;
        }
        match &mut role.copy_in {
            Some(coming) if coming.copy == copy => {
                if index + 1 == coming.index && matches!(coming.step, Step::Waiting) {
                    // It was taken; the word of it was lost.
                    out.send(self.message(from, Body::PageTaken { copy, index }));
                } else if index == coming.index && matches!(coming.step, Step::Waiting) {
                    coming.step = Step::Importing;
                    coming.end = end;
                    out.push(Command::Import { copy, index, rows });
                }
            }
            Some(coming) if coming.copy > copy => {}
            _ if index == 0 => self.begin_reset(env, copy, rows, end, out),
            _ => {}
        }
    }

    fn begin_reset(
        &mut self,
        _env: &Environment,
        copy: CopyId,
        rows: Bytes,
        end: Option<(Version, HybridTime)>,
        out: &mut Vec<Command>,
    ) {
        self.incomplete = true;
        self.begin_at(Version::ZERO, HybridTime::default());
        let append = self.append(Record::Reset { partition: self.partition }, out);
        if let Some(role) = &mut self.role {
            role.copy_in = Some(CopyIn { copy, index: 0, step: Step::Resetting { append, rows }, end });
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
        let Some(coming) = self.coming(copy) else { return };
        let (Some((version, time)), index) = (coming.end, coming.index) else { return };
        self.begin_at(version, time);
        self.incomplete = false;
        let Some(role) = &mut self.role else { return };
        role.copy_in = None;
        role.position_sent = Monotonic(0);
        if let Some(upstream) = role.upstream {
            out.send(self.message(upstream, Body::PageTaken { copy, index: index - 1 }));
        }
        self.send_position(env, out);
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
        }
    }
}
