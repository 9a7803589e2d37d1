//! The link to the neighbour above: taking what it sends.

use super::command::{Command, Environment, Out};
use super::message::Body;
use super::replica::{REPEAT, Replica};
use std::sync::Arc;
use types::{LogEntry, MemberState, Record, ReplicaId, Seq, Version};

/// The contents of [`Body::Append`].
pub(super) struct Batch {
    pub(super) previous: Version,
    pub(super) entries: Vec<Arc<LogEntry>>,
    pub(super) committed: Seq,
    pub(super) last: Seq,
    pub(super) complete: Option<Seq>,
}

impl Replica {
    /// Says to the neighbour above where this log ends, until it has answered, and
    /// again when it has been silent while something is under way.
    pub(super) fn send_position(&mut self, env: &Environment, out: &mut Vec<Command>) {
        let last = self.overlay.last();
        let behind = self.committed < last.seq;
        let incomplete = self.incomplete;
        let Some(role) = &mut self.role else { return };
        let Some(upstream) = role.upstream else { return };
        if role.copy_in.is_some() {
            return;
        }
        let waiting = !role.linked || !role.complete || behind || last.seq < role.upstream_last;
        let first = role.position_sent.0 == 0;
        if !waiting || !(first || env.now - role.position_sent >= REPEAT) {
            return;
        }
        role.position_sent = env.now;
        // What was acknowledged may not have arrived either: this event ends by saying it again.
        role.acked_up = Seq(0);
        // An unfinished copy counts for nothing: ask from the beginning.
        let last = if incomplete { Version::ZERO } else { last };
        out.send(self.message(upstream, Body::Position { last }));
    }

    fn position_now(&mut self, env: &Environment, last: Version, out: &mut Vec<Command>) {
        if let Some(role) = &mut self.role
            && let Some(upstream) = role.upstream
        {
            role.position_sent = env.now;
            out.send(self.message(upstream, Body::Position { last }));
        }
    }

    fn is_upstream(&self, from: ReplicaId) -> bool {
        self.role.as_ref().is_some_and(|role| role.upstream == Some(from))
    }

    /// The neighbour above has another history at this log's end. What is not committed goes.
    pub(super) fn on_rewind(&mut self, env: &Environment, from: ReplicaId, out: &mut Vec<Command>) {
        if !self.is_upstream(from) || self.role.as_ref().is_some_and(|role| role.linked || role.copy_in.is_some()) {
            return;
        }
        self.truncate(self.committed, out);
        self.position_now(env, self.overlay.last(), out);
    }

    pub(super) fn on_probe(&mut self, env: &Environment, from: ReplicaId, out: &mut Vec<Command>) {
        let last = self.overlay.last();
        let Some(role) = self.role.as_mut().filter(|role| role.upstream == Some(from) && role.copy_in.is_none()) else {
            return;
        };
        // Whatever was acknowledged may not have arrived.
        role.acked_up = Seq(0);
        if !self.incomplete {
            self.position_now(env, last, out);
            self.advance(env, out);
        }
    }

    pub(super) fn on_append(&mut self, env: &Environment, from: ReplicaId, batch: Batch, out: &mut Vec<Command>) {
        if !self.is_upstream(from) || self.role.as_ref().is_some_and(|role| role.copy_in.is_some()) {
            return;
        }
        if self.incomplete {
            return self.position_now(env, Version::ZERO, out);
        }
        // Entries follow each other without holes, or the message is nonsense.
        let mut expected = batch.previous.seq;
        let follows = batch.entries.iter().all(|entry| {
            expected = expected.next();
            entry.version.seq == expected
        });
        if !follows {
            debug_assert!(false, "a neighbour sends entries with holes");
            return;
        }
        // A gap: something was lost on the way. Another history at `previous`: so is ours.
        let here = self.overlay.version(batch.previous.seq);
        let below_tables = batch.previous.seq < self.overlay.base().seq;
        if batch.previous.seq > self.overlay.last().seq {
            return self.throttled_position(env, out);
        }
        if !below_tables && here != Some(batch.previous) {
            return self.on_rewind(env, from, out);
        }
        let verified = batch.entries.last().map_or(batch.previous.seq, |entry| entry.version.seq);
        let repeated = batch.entries.last().is_some_and(|entry| entry.version.seq <= self.overlay.last().seq);
        for entry in batch.entries {
            let seq = entry.version.seq;
            // Already here.
            if seq <= self.overlay.base().seq || self.overlay.version(seq) == Some(entry.version) {
                continue;
            }
            if seq <= self.overlay.last().seq {
                if Seq(seq.0 - 1) < self.committed {
                    // Never: what is committed is in every history. Do not act on nonsense.
                    debug_assert!(false, "a neighbour contradicts what is committed");
                    return;
                }
                self.truncate(Seq(seq.0 - 1), out);
            }
            self.overlay.push(entry.clone());
            self.append(Record::Entry { partition: self.partition, entry }, out);
        }
        if let Some(role) = &mut self.role {
            role.linked = true;
            role.verified = role.verified.max(verified);
            role.position_sent = env.now;
            role.upstream_last = role.upstream_last.max(batch.last);
            if repeated {
                // The first acknowledgement may have been lost.
                role.acked_up = Seq(0);
            }
            if role.upstream_complete.is_none() {
                role.upstream_complete = batch.complete;
            }
            role.complete |= role.upstream_complete.is_some_and(|complete| role.verified >= complete);
        }
        self.answer_early_position(env, out);
        self.commit(env, batch.committed, out);
        self.advance(env, out);
    }

    fn throttled_position(&mut self, env: &Environment, out: &mut Vec<Command>) {
        let recently = self.role.as_ref().is_some_and(|role| env.now - role.position_sent < REPEAT / 4);
        if !recently {
            self.position_now(env, self.overlay.last(), out);
        }
    }

    /// A syncing member that has, durably, all that its complete predecessor had says so to the controller.
    pub(super) fn report_synced(&mut self, env: &Environment, out: &mut Vec<Command>) {
        let durable = self.durable;
        let Some(role) = &mut self.role else { return };
        let caught_up = role.state == MemberState::Syncing
            && role.complete
            && role.linked
            && durable >= role.upstream_last
            && role.upstream_complete.is_some_and(|complete| durable >= complete);
        let recently = role.reported.is_some_and(|at| env.now - at < 2 * REPEAT);
        if caught_up && !recently {
            role.reported = Some(env.now);
            out.push(Command::ReportSynced(self.epoch));
        }
    }
}
