//! The link to the neighbour above: taking what it sends.

use super::command::{Command, Environment, Out};
use super::message::Body;
use super::replica::{REPEAT, Replica};
use std::sync::Arc;
use types::{LogEntry, MemberState, Record, ReplicaId, Seq, Version};

/// Entries that a syncing member may lack when it asks to be promoted. Under steady load it always lacks some;
/// it is counted as complete only when it has them.
const PROMOTION_LAG: u64 = 64;

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
        let last = self.overlay.last().seq;
        let behind = self.committed < last;
        let Some(role) = &mut self.role else { return };
        if role.upstream.is_none() || role.copy_in.is_some() {
            return;
        }
        let waiting = !role.linked || !role.complete || behind || last < role.upstream_last;
        let first = role.position_sent.0 == 0;
        if !waiting || !(first || env.now - role.position_sent >= REPEAT) {
            return;
        }
        // What was acknowledged may not have arrived either: the tick ends by saying it again.
        role.acked_up = Seq(0);
        self.position_now(env, out);
    }

    /// The last entry here that is the predecessor's too, as far as is known; before
    /// anything is known, the last.
    fn position(&self) -> Version {
        let last = self.overlay.last();
        let Some(role) = &self.role else { return last };
        let end = if role.linked { role.verified } else { role.rewound.unwrap_or(last.seq) };
        // What is committed is in every history.
        self.overlay.version(end.min(last.seq).max(self.committed)).unwrap_or(last)
    }

    fn position_now(&mut self, env: &Environment, out: &mut Vec<Command>) {
        let last = self.position();
        if let Some(role) = &mut self.role
            && let Some(upstream) = role.upstream
        {
            role.position_sent = env.now;
            let body = if self.incomplete { Body::NeedCopy } else { Body::Position { last } };
            out.send(self.message(upstream, body));
        }
    }

    fn is_upstream(&self, from: ReplicaId) -> bool {
        self.role.as_ref().is_some_and(|role| role.upstream == Some(from))
    }

    /// The neighbour above has another history at the position given: both go back until they meet. Nothing
    /// is cut before the neighbour's entries come in its place: some of it may be committed, which
    /// this replica is counted on to hold.
    pub(super) fn on_rewind(&mut self, env: &Environment, from: ReplicaId, to: Version, out: &mut Vec<Command>) {
        if !self.is_upstream(from) || self.role.as_ref().is_some_and(|role| role.linked || role.copy_in.is_some()) {
            return;
        }
        let met = self.overlay.version(to.seq) == Some(to);
        let seq = if met { to.seq } else { self.before(to).seq }.max(self.committed);
        if let Some(role) = &mut self.role {
            role.rewound = Some(seq);
        }
        self.position_now(env, out);
    }

    pub(super) fn on_probe(&mut self, env: &Environment, from: ReplicaId, out: &mut Vec<Command>) {
        let Some(role) = self.role.as_mut().filter(|role| role.upstream == Some(from) && role.copy_in.is_none()) else {
            return;
        };
        // Whatever was acknowledged may not have arrived.
        role.acked_up = Seq(0);
        if !self.incomplete {
            self.position_now(env, out);
            self.advance(env, out);
        }
    }

    pub(super) fn on_append(&mut self, env: &Environment, from: ReplicaId, batch: Batch, out: &mut Vec<Command>) {
        if !self.is_upstream(from) || self.role.as_ref().is_some_and(|role| role.copy_in.is_some()) {
            return;
        }
        if self.incomplete {
            return self.throttled_position(env, out);
        }
        if self.declines(env) && !batch.entries.is_empty() {
            return;
        }
        // A syncing member's word holds nobody back: what its tables cannot follow it asks for again.
        let lags = self.lags(env) && !batch.entries.is_empty();
        if let Some(role) = self.role.as_mut().filter(|role| lags && role.state == MemberState::Syncing) {
            role.upstream_last = role.upstream_last.max(batch.last);
            return;
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
            return match self.role.as_ref().is_some_and(|role| role.linked) {
                // What lies between was lost.
                true => self.throttled_position(env, out),
                false => self.on_rewind(env, from, self.before(batch.previous), out),
            };
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
        self.cut_void(out);
        self.answer_early_position(env, out);
        self.commit(env, batch.committed, out);
        self.advance(env, out);
    }

    /// Once everything from before this epoch is here, what is left of an older history will never count.
    fn cut_void(&mut self, out: &mut Vec<Command>) {
        if let Some(verified) = self.role.as_ref().filter(|role| role.complete).map(|role| role.verified) {
            self.truncate(verified.max(self.committed), out);
        }
    }

    pub(super) fn throttled_position(&mut self, env: &Environment, out: &mut Vec<Command>) {
        let recently = self.role.as_ref().is_some_and(|role| env.now - role.position_sent < REPEAT / 4);
        if !recently {
            self.position_now(env, out);
        }
    }

    /// The last entry here, before `other`'s place, that may belong to a history in which `other` is.
    pub(super) fn before(&self, other: Version) -> Version {
        let mut seq = Seq(other.seq.0.saturating_sub(1)).min(self.overlay.last().seq).max(self.overlay.base().seq);
        while seq > self.overlay.base().seq && self.overlay.version(seq).is_some_and(|here| here.epoch > other.epoch) {
            seq = Seq(seq.0 - 1);
        }
        self.overlay.version(seq).unwrap_or(self.overlay.base())
    }

    /// A syncing member that has, durably, all that its complete predecessor had, or nearly, says so to the
    /// controller; and so does one that was promoted and has, durably, all that was before its epoch.
    pub(super) fn report_synced(&mut self, env: &Environment, out: &mut Vec<Command>) {
        let durable = self.durable;
        let Some(role) = &mut self.role else { return };
        let here = durable.min(role.verified);
        let syncing = role.state == MemberState::Syncing;
        let caught_up = (syncing || !role.listed)
            && role.complete
            && role.linked
            && role.copy_in.is_none()
            && (!syncing || here.0 + PROMOTION_LAG >= role.upstream_last.0)
            && role.upstream_complete.is_some_and(|complete| here >= complete);
        // The controller's word that it was heard does not come here: say it less and less often.
        let every = |times: u32| REPEAT * 2 * if syncing { 1 } else { 1 << times.min(5) };
        let recently = role.reported.is_some_and(|(at, times)| env.now - at < every(times));
        if caught_up && !recently {
            role.reported = Some((env.now, role.reported.map_or(0, |(_, times)| times + 1)));
            out.push(Command::ReportSynced(self.epoch));
        }
    }
}
