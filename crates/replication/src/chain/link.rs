//! The link to the neighbour below: what it has, what to send next.

use super::command::{Command, Environment, Out};
use super::message::Body;
use super::replica::{REPEAT, Replica};
use std::sync::Arc;
use types::{Epoch, LogEntry, Monotonic, NodeId, ReplicaId, Seq, Version};

/// Entries in one message, at most.
const BATCH_ENTRIES: usize = 512;
/// Bytes in one message, about.
const BATCH_BYTES: usize = 1024 * 1024;
/// Entries sent and not acknowledged, at most.
const WINDOW_ENTRIES: u64 = 8192;

#[derive(Debug)]
pub(super) struct Link {
    pub(super) peer: ReplicaId,
    /// Its acknowledgement is needed.
    pub(super) counts: bool,
    /// Durable there and below.
    pub(super) acked: Seq,
    state: State,
    /// Where its log ended when it last said so.
    position: Version,
    /// It said so before this replica was ready to send.
    early: bool,
    /// It needs a copy, and this replica was not ready to send one.
    copy_wanted: bool,
    /// Last thing heard or first thing sent after a silence.
    progress: Monotonic,
    /// A disk there or below is full, and when that was said.
    pub(super) full: Option<(NodeId, Monotonic)>,
    told_committed: Seq,
    told_last: Seq,
    told_complete: Option<Seq>,
}

#[derive(Debug)]
enum State {
    /// It has not said where its log ends.
    Silent,
    /// Everything before `next` was sent.
    Streaming { next: Version },
    /// Reading the log, because the entries are no longer in memory; `next` is the last sent.
    /// `check`: its claim to have `next` is still to be compared. `reading`: where the read begins that is under way,
    /// which may be for an earlier claim. There is one at a time: each waits its turn behind all others of this node, and
    /// whoever waits says its position again and again.
    Fetching { next: Version, check: bool, reading: Seq },
    /// It is receiving a copy.
    Copying,
}

/// The first entry that is read for a neighbour that has, or says that it has, `next`.
fn first_read(next: Version, check: bool) -> Seq {
    if check { next.seq } else { next.seq.next() }
}

impl Link {
    pub(super) fn new(peer: ReplicaId, counts: bool) -> Link {
        Link {
            peer,
            counts,
            acked: Seq(0),
            state: State::Silent,
            position: Version::ZERO,
            early: false,
            copy_wanted: false,
            progress: Monotonic(0),
            full: None,
            told_committed: Seq(0),
            told_last: Seq(0),
            told_complete: None,
        }
    }

    /// Reads the log from there on, once what is being read has come.
    fn fetch(&mut self, epoch: Epoch, next: Version, check: bool, out: &mut Vec<Command>) {
        let from = first_read(next, check);
        let reading = match self.state {
            State::Fetching { reading, .. } => reading,
            _ => {
                out.push(Command::Fetch { epoch, from });
                from
            }
        };
        self.state = State::Fetching { next, check, reading };
    }

    /// Nothing was heard for long while something is outstanding.
    fn stalled(&mut self, env: &Environment) -> bool {
        let outstanding = matches!(self.state, State::Streaming { next } if next.seq > self.acked);
        let stalled = outstanding && env.now - self.progress >= 3 * REPEAT;
        if stalled {
            self.progress = env.now;
        }
        stalled
    }
}

impl Replica {
    /// The neighbour below says where its log ends.
    pub(super) fn on_position(&mut self, env: &Environment, from: ReplicaId, last: Version, out: &mut Vec<Command>) {
        let base = self.overlay.base();
        let known = self.overlay.version(last.seq);
        let epoch = self.epoch;
        let Some(role) = &mut self.role else { return };
        let mine = self.overlay.last().seq.min(role.verified).max(base.seq);
        let linked = role.linked;
        let Some(link) = role.downstream.as_mut().filter(|link| link.peer == from) else { return };
        // From before what it has acknowledged since: overtaken on its way.
        if last.seq < link.acked {
            return;
        }
        link.position = last;
        link.early = !linked;
        if !linked {
            // Nothing goes down before it is known to be the predecessor's too.
            return;
        }
        if matches!(link.state, State::Copying) {
            // It asks again because a copy is slow; unless one was sent and sent again, and it will not have it.
            if !role.copy_out.as_ref().is_some_and(|copy| copy.unwanted(env)) {
                return;
            }
            role.copy_out = None;
        }
        link.progress = env.now;
        (link.told_last, link.told_committed, link.told_complete) = (Seq(0), Seq(0), None);
        match known {
            Some(version) if version == last && last.seq <= mine => link.state = State::Streaming { next: last },
            // It has more: whether what this replica has is among it, the first message will tell.
            _ if last.seq > mine => match self.overlay.version(mine) {
                Some(end) => link.state = State::Streaming { next: end },
                None => return,
            },
            Some(_) => {
                let to = self.before(last);
                return out.send(self.message(from, Body::Rewind { to }));
            }
            // What follows its last entry, which came from here, is being read: there is nothing to compare.
            None if matches!(link.state, State::Fetching { next, check: false, .. } if next == last) => return,
            None => {
                debug_assert!(last.seq < base.seq);
                let check = last.seq > Seq(0);
                return link.fetch(epoch, last, check, out);
            }
        }
        self.pump(env, out);
    }

    /// Entries that were asked for with [`Command::Fetch`]; none when the log no longer reaches back.
    pub fn fetched(&mut self, env: &Environment, epoch: Epoch, entries: Option<Vec<LogEntry>>, out: &mut Vec<Command>) {
        let Some(role) = self.role.as_mut().filter(|_| epoch == self.epoch) else { return };
        let verified = self.overlay.last().seq.min(role.verified);
        let Some(link) = role.downstream.as_mut() else { return };
        let State::Fetching { next, check, reading } = link.state else { return };
        let peer = link.peer;
        // Not what was asked for last: from another time. The neighbour will say again where it is.
        if entries.iter().flatten().next().is_some_and(|entry| entry.version.seq != reading) {
            link.state = State::Silent;
            return;
        }
        let wanted = first_read(next, check);
        if reading != wanted {
            // The neighbour has said another position since.
            link.state = State::Fetching { next, check, reading: wanted };
            return out.push(Command::Fetch { epoch, from: wanted });
        }
        let Some(mut entries) = entries else {
            link.state = State::Copying;
            link.acked = Seq(0);
            return self.begin_copy(env, out);
        };
        link.progress = env.now;
        // The log on disk may be behind: what is not in the tables yet counts as it is in memory.
        let stands = |entry: &LogEntry| match self.overlay.version(entry.version.seq) {
            Some(version) => entry.version.seq <= verified && version == entry.version,
            None => entry.version.seq <= verified,
        };
        entries.truncate(entries.iter().take_while(|entry| stands(entry)).count());
        if check {
            match entries.first() {
                Some(entry) if entry.version == next => drop(entries.remove(0)),
                _ => {
                    // Below the tables, where all is committed: it has nothing that goes with this history.
                    link.state = State::Silent;
                    return out.send(self.message(peer, Body::Rewind { to: Version::ZERO }));
                }
            }
        }
        let batch: Vec<_> = entries.into_iter().map(Arc::new).collect();
        let next_after = batch.last().map_or(next, |entry| entry.version);
        link.state = State::Streaming { next: next_after };
        if !batch.is_empty() {
            let body = self.append_body(next, batch);
            out.send(self.message(peer, body));
        }
        self.pump(env, out);
    }

    /// The copy that the neighbour was receiving has ended at `version`, or was given up (none).
    pub(super) fn copy_ended(&mut self, env: &Environment, version: Option<Version>, out: &mut Vec<Command>) {
        if let Some(link) = self.role.as_mut().and_then(|role| role.downstream.as_mut())
            && matches!(link.state, State::Copying)
        {
            link.progress = env.now;
            link.state = State::Silent;
            if let Some(version) = version {
                let peer = link.peer;
                self.on_position(env, peer, version, out);
            }
        }
    }

    /// The neighbour below has nothing that counts.
    pub(super) fn on_need_copy(&mut self, env: &Environment, from: ReplicaId, out: &mut Vec<Command>) {
        let Some(role) = &mut self.role else { return };
        let Some(link) = role.downstream.as_mut().filter(|link| link.peer == from) else { return };
        if !role.linked {
            link.copy_wanted = true;
        } else if role.copy_out.is_none() {
            link.copy_wanted = false;
            link.state = State::Copying;
            link.acked = Seq(0);
            self.begin_copy(env, out);
        }
    }

    /// This replica's own tables are about to be emptied: what it copies from them ends.
    pub(super) fn abandon_copy(&mut self) {
        let Some(role) = &mut self.role else { return };
        let copying = role.copy_out.take().is_some();
        if let Some(link) = &mut role.downstream {
            link.copy_wanted |= copying;
            link.state = State::Silent;
        }
    }

    /// This replica is linked to its predecessor now: answer what was asked before.
    pub(super) fn answer_early_position(&mut self, env: &Environment, out: &mut Vec<Command>) {
        let wanted = self.role.as_ref().and_then(|role| role.downstream.as_ref()).filter(|link| link.copy_wanted);
        if let Some(peer) = wanted.map(|link| link.peer) {
            return self.on_need_copy(env, peer, out);
        }
        if let Some(link) = self.role.as_ref().and_then(|role| role.downstream.as_ref()).filter(|link| link.early) {
            self.on_position(env, link.peer, link.position, out);
        }
    }

    pub(super) fn probe(&mut self, env: &Environment, out: &mut Vec<Command>) {
        let Some(link) = self.role.as_mut().and_then(|role| role.downstream.as_mut()) else { return };
        let peer = link.peer;
        if link.stalled(env) {
            out.send(self.message(peer, Body::Probe));
        }
    }

    /// An acknowledgement from below.
    pub(super) fn on_ack(&mut self, env: &Environment, from: ReplicaId, through: Seq, out: &mut Vec<Command>) {
        let Some(link) = self.role.as_mut().and_then(|role| role.downstream.as_mut()).filter(|l| l.peer == from) else {
            return;
        };
        if through > link.acked {
            link.acked = through;
            link.progress = env.now;
        }
        self.advance(env, out);
        self.pump(env, out);
    }

    fn append_body(&self, previous: Version, entries: Vec<Arc<LogEntry>>) -> Body {
        let (verified, ready) = self.role.as_ref().map_or((Seq(0), false), |role| (role.verified, role.complete));
        let last = self.overlay.last().seq.min(verified);
        Body::Append { previous, entries, committed: self.committed, last, complete: ready.then_some(last) }
    }

    /// Sends below whatever is new: entries, or else how far things are.
    pub(super) fn pump(&mut self, env: &Environment, out: &mut Vec<Command>) {
        let (base, committed, epoch) = (self.overlay.base(), self.committed, self.epoch);
        if self.declined(env) {
            return;
        }
        loop {
            let Some(role) = self.role.as_mut() else { return };
            let last = self.overlay.last().seq.min(role.verified);
            let complete = role.complete.then_some(last);
            let Some(link) = role.downstream.as_mut() else { return };
            let State::Streaming { next } = link.state else { return };
            let peer = link.peer;
            let nothing_new = link.told_committed == committed
                && link.told_last == last
                && link.told_complete.is_some() == complete.is_some();
            let window_open = next.seq.0 < link.acked.max(link.position.seq).0 + WINDOW_ENTRIES;
            if next.seq >= last || !window_open {
                if nothing_new {
                    return;
                }
                (link.told_committed, link.told_last, link.told_complete) = (committed, last, complete);
                let body = self.append_body(next, Vec::new());
                return out.send(self.message(peer, body));
            }
            if next.seq < base.seq {
                return link.fetch(epoch, next, false, out);
            }
            let mut weight = 0;
            let batch: Vec<_> = self
                .overlay
                .range(next.seq.next(), last)
                .take(BATCH_ENTRIES)
                .take_while(|entry| {
                    let fits = weight < BATCH_BYTES;
                    weight += entry.weight();
                    fits
                })
                .cloned()
                .collect();
            let after = batch.last().map_or(next, |entry| entry.version);
            if link.acked >= next.seq {
                link.progress = env.now;
            }
            link.state = State::Streaming { next: after };
            (link.told_committed, link.told_last, link.told_complete) = (committed, last, complete);
            let body = self.append_body(next, batch);
            out.send(self.message(peer, body));
        }
    }
}
