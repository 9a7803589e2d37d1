//! A replica: its place in the chain, and how far its log is.

use super::command::{Answer, Command, Environment, Failure, Holdings, Out, Progress, RequestId};
use super::copy_in::CopyIn;
use super::copy_out::CopyOut;
use super::head::Head;
use super::link::Link;
use super::message::{Body, CopyId, Message};
use super::overlay::Overlay;
use std::collections::VecDeque;
use std::time::Duration;
use types::{Chain, Epoch, HybridTime, MemberState, Monotonic, PartitionId, Record, ReplicaId, Seq, Version};

/// One partition's replica on one node, in one of the node's lives.
///
/// A new life makes a new `Replica` from what the log holds; it has left every chain
/// until the controller's map names it again.
#[derive(Debug)]
pub struct Replica {
    pub(super) me: ReplicaId,
    pub(super) partition: PartitionId,
    pub(super) epoch: Epoch,
    pub(super) role: Option<Role>,
    pub(super) overlay: Overlay,
    /// Entries up to here are durable in the local log.
    pub(super) durable: Seq,
    /// Entries up to here are durable on every acknowledging replica of some epoch.
    pub(super) committed: Seq,
    /// Entries up to here have been handed out to be applied.
    applying: Seq,
    /// A copy began and has not ended: nothing here counts.
    pub(super) incomplete: bool,
    /// The log's end was torn, and no epoch was adopted since.
    torn: bool,
    /// Copies begun, as the sender.
    pub(super) copies: u64,
    /// A copy that is being made durable. Until it is, the log takes no other.
    pub(super) installing: Option<(CopyId, Version, HybridTime)>,
    appends: u64,
    /// Appends not yet durable: number, and last sequence in the log by then.
    unsynced: VecDeque<(u64, Seq)>,
}

/// The replica's place in the epoch that it has adopted.
#[derive(Debug)]
pub(super) struct Role {
    pub(super) state: MemberState,
    pub(super) head: Option<ReplicaId>,
    pub(super) upstream: Option<ReplicaId>,
    /// The neighbour below, and whether its acknowledgement counts.
    pub(super) downstream: Option<Link>,
    pub(super) acking: u8,
    /// The append that made the epoch durable.
    epoch_append: u64,
    epoch_durable: bool,
    /// The predecessor has adopted the epoch and sent everything before it (ruling 1).
    pub(super) complete: bool,
    /// The predecessor has spoken in this epoch.
    pub(super) linked: bool,
    /// Entries up to here are the predecessor's too, in this epoch. What is above came from
    /// an older history: not acknowledged, not committed, not sent on.
    pub(super) verified: Seq,
    pub(super) position_sent: Monotonic,
    /// Last sequence of the predecessor, as it last said.
    pub(super) upstream_last: Seq,
    pub(super) upstream_complete: Option<Seq>,
    pub(super) acked_up: Seq,
    /// When it last said that a disk is full.
    pub(super) full_told: Monotonic,
    /// The metadata knows that this replica holds every acknowledged write.
    pub(super) listed: bool,
    /// When it last said so, and how often.
    pub(super) reported: Option<(Monotonic, u32)>,
    /// The entry, below the end of the log, that the predecessor may have too.
    pub(super) rewound: Option<Seq>,
    pub(super) heads: Option<Head>,
    pub(super) questions: super::read::Questions,
    pub(super) copy_in: Option<CopyIn>,
    /// The last copy taken.
    pub(super) copied: Option<CopyId>,
    pub(super) copy_out: Option<CopyOut>,
}

/// How often a thing that may have been lost is said again.
pub(super) const REPEAT: Duration = Duration::from_millis(100);

impl Replica {
    /// A replica that is in no chain yet.
    pub fn new(me: ReplicaId, partition: PartitionId, holdings: Holdings) -> Replica {
        let mut overlay = Overlay::new(holdings.applied, holdings.time);
        for entry in holdings.unapplied {
            overlay.push(entry.into());
        }
        Replica {
            me,
            partition,
            epoch: holdings.epoch,
            role: None,
            durable: overlay.last().seq,
            committed: holdings.applied.seq,
            applying: holdings.applied.seq,
            overlay,
            incomplete: holdings.incomplete,
            torn: holdings.torn,
            copies: 0,
            installing: None,
            appends: 0,
            unsynced: VecDeque::new(),
        }
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        Progress {
            epoch: self.epoch,
            last: self.overlay.last(),
            durable: self.durable,
            committed: self.committed,
            applied: self.overlay.base().seq,
        }
    }

    /// Its state in the epoch adopted; none when it is not a member.
    pub fn state(&self) -> Option<MemberState> {
        self.role.as_ref().map(|role| role.state)
    }

    /// True for a serving member that has everything and may answer strong reads, lease permitting.
    pub fn ready(&self) -> bool {
        !self.incomplete
            && self
                .role
                .as_ref()
                .is_some_and(|role| role.state == MemberState::Serving && role.complete && role.epoch_durable)
    }

    /// True when it orders the partition's writes.
    pub fn is_head(&self) -> bool {
        self.role.as_ref().is_some_and(|role| role.heads.is_some())
    }

    /// Takes up a newer epoch. Older ones, and the present one, change nothing (invariant 24).
    pub fn adopt(&mut self, env: &Environment, chain: &Chain, out: &mut Vec<Command>) {
        if chain.epoch == self.epoch {
            return self.hear_of_complete(chain);
        }
        if chain.epoch < self.epoch {
            return;
        }
        let place = chain.members.iter().position(|member| member.replica == self.me);
        let is_head = chain.head() == Some(self.me);
        // A head that stays head keeps its clients: their entries commit under the new epoch.
        let stays = self.role.as_mut().filter(|_| is_head).and_then(|role| role.heads.take());
        self.leave(out);
        self.epoch = chain.epoch;
        let Some(place) = place else { return self.report_held(chain, out) };
        // Whoever is made the head was judged by what it holds, torn end and all; anybody else is not counted
        // as complete before it has caught up. Either way the cut says nothing any more; the log forgets it too.
        self.torn = false;
        let state = chain.members[place].state;
        // Invariant 1: in the log before any entry under it.
        let record = Record::Epoch { partition: self.partition, epoch: self.epoch };
        let epoch_append = self.append(record, out);
        let downstream = chain.members.get(place + 1);
        self.role = Some(Role {
            state,
            head: chain.head(),
            upstream: place.checked_sub(1).map(|above| chain.members[above].replica),
            downstream: downstream.map(|below| Link::new(below.replica, below.state != MemberState::Syncing)),
            acking: chain.acking().count() as u8,
            epoch_append,
            epoch_durable: false,
            complete: is_head,
            linked: is_head,
            verified: if is_head { Seq(u64::MAX) } else { Seq(0) },
            position_sent: Monotonic(0),
            upstream_last: Seq(0),
            upstream_complete: None,
            acked_up: Seq(0),
            listed: chain.complete.contains(&self.me.node),
            full_told: Monotonic(0),
            reported: None,
            rewound: None,
            heads: is_head.then(|| Head::new(self.overlay.last().seq, stays)),
            questions: super::read::Questions::default(),
            copy_in: None,
            copied: None,
            copy_out: None,
        });
        self.send_position(env, out);
    }

    /// The lease was lost: the old life is over, and with it every membership. What the log
    /// holds stays, for the next life to bring along.
    pub fn begin_life(&mut self, me: ReplicaId, out: &mut Vec<Command>) {
        self.leave(out);
        self.me = me;
    }

    /// Nobody serves the partition: what is here may be all that is left of it, and stays as it is until the
    /// next epoch.
    fn report_held(&self, chain: &Chain, out: &mut Vec<Command>) {
        if chain.members.is_empty() {
            let (last, torn, incomplete) = (self.overlay.last(), self.torn, self.incomplete);
            out.push(Command::ReportHeld { epoch: self.epoch, last, torn, incomplete });
        }
    }

    /// The same epoch, with more replicas known as complete: this one need not say any more that it is.
    /// Nobody is taken off that list within an epoch, and an older map is not shown to a replica.
    fn hear_of_complete(&mut self, chain: &Chain) {
        if let Some(role) = &mut self.role {
            role.listed |= chain.complete.contains(&self.me.node);
        }
    }

    /// The log's end was torn and cut, and it is not known yet whether anything is missing here.
    pub fn torn(&self) -> bool {
        self.torn
    }

    /// Bytes of entries that are not in the tables yet.
    pub fn under_way(&self) -> usize {
        self.overlay.weight()
    }

    /// An unfinished copy: nothing here counts.
    pub fn incomplete(&self) -> bool {
        self.incomplete
    }

    /// Ends the present role. Whoever waits for a write hears *unknown*, never *failed* (invariant 6).
    fn leave(&mut self, out: &mut Vec<Command>) {
        let Some(role) = self.role.take() else { return };
        if let Some(head) = role.heads {
            head.abandon(out);
        }
        for request in role.questions.into_waiting() {
            out.reply(request, Answer::Failed(Failure::NotReady("the chain is changing")));
        }
    }

    /// Hands a record to the node log; gives its number.
    pub(super) fn append(&mut self, record: Record, out: &mut Vec<Command>) -> u64 {
        self.appends += 1;
        let number = self.appends;
        self.unsynced.push_back((number, self.overlay.last().seq));
        out.push(Command::Append { number, record });
        number
    }

    /// Everything appended up to `number` is durable.
    pub fn durable(&mut self, env: &Environment, number: u64, out: &mut Vec<Command>) {
        while let Some((_, last)) = self.unsynced.front().filter(|(n, _)| *n <= number) {
            // After a cut the log may end below what an older append reached.
            self.durable = (*last).min(self.overlay.last().seq);
            self.unsynced.pop_front();
        }
        if let Some(role) = &mut self.role {
            role.epoch_durable |= role.epoch_append <= number;
        }
        self.reset_durable(number, out);
        self.advance(env, out);
    }

    /// Everything up to `seq` is in the tables.
    pub fn applied(&mut self, env: &Environment, seq: Seq, out: &mut Vec<Command>) {
        self.overlay.applied(seq.min(self.committed));
        // What was held back for the tables' sake need not wait any more.
        if self.role.as_ref().is_some_and(|role| role.upstream.is_some()) {
            self.advance(env, out);
        }
        self.pump(env, out);
    }

    /// Durability moved, here or below: acknowledge, commit, report.
    pub(super) fn advance(&mut self, env: &Environment, out: &mut Vec<Command>) {
        self.apply_committed(out);
        let lags = self.lags(env);
        let Some(role) = &mut self.role else { return };
        // Invariants 1 and 2: the epoch is durable, and the lease counts, before anything is acknowledged.
        if !role.epoch_durable || !env.leased() || self.incomplete {
            return;
        }
        let below = match &role.downstream {
            Some(link) if link.counts => link.acked,
            _ => Seq(u64::MAX),
        };
        let through = self.durable.min(below).min(role.verified);
        match role.upstream {
            Some(upstream) => {
                let through = if lags { through.min(self.applying) } else { through };
                if role.linked && through > role.acked_up {
                    role.acked_up = through;
                    let body = Body::Ack { through };
                    out.send(Message {
                        partition: self.partition,
                        epoch: self.epoch,
                        from: self.me,
                        to: upstream,
                        body,
                    });
                }
                self.report_synced(env, out);
            }
            None if role.heads.is_some() => self.commit(env, through, out),
            None => {}
        }
    }

    /// Everything up to `seq` is committed.
    pub(super) fn commit(&mut self, env: &Environment, seq: Seq, out: &mut Vec<Command>) {
        let verified = self.role.as_ref().map_or(Seq(0), |role| role.verified);
        let seq = seq.min(verified).min(self.overlay.last().seq);
        if seq > self.committed {
            self.committed = seq;
        }
        self.apply_committed(out);
        if let Some(head) = self.role.as_mut().and_then(|role| role.heads.as_mut()) {
            head.settle(self.committed, &self.overlay, out);
        }
        self.pump(env, out);
    }

    /// The tables follow the local log, never lead it: what is committed is applied
    /// once it is durable here too.
    fn apply_committed(&mut self, out: &mut Vec<Command>) {
        let upto = self.committed.min(self.durable);
        if upto > self.applying {
            let entries = self.overlay.range(self.applying.next(), upto).cloned().collect();
            self.applying = upto;
            out.push(Command::Apply(entries));
        }
    }

    /// Cuts the log after `seq`: what was above belongs to no history.
    pub(super) fn truncate(&mut self, seq: Seq, out: &mut Vec<Command>) {
        assert!(seq >= self.committed, "what is committed stays");
        if self.overlay.last().seq <= seq {
            return;
        }
        self.overlay.truncate(seq);
        self.durable = self.durable.min(seq);
        for (_, last) in &mut self.unsynced {
            *last = (*last).min(seq);
        }
        self.append(Record::Truncate { partition: self.partition, after: seq }, out);
    }

    /// The tables are far behind, and at it.
    pub(super) fn lags(&self, env: &Environment) -> bool {
        self.overlay.lags(self.applying, env)
    }

    /// Entries have been handed out to be applied that are not in the tables yet.
    pub(super) fn applying(&self) -> bool {
        self.applying > self.overlay.base().seq
    }

    /// Everything up to `seq`, and nothing else, is here: before and after a copy.
    pub(super) fn set_all(&mut self, seq: Seq) {
        (self.durable, self.committed, self.applying) = (seq, seq, seq);
        for (_, last) in &mut self.unsynced {
            *last = seq;
        }
    }

    /// Time passed: say again what may have been lost.
    pub fn tick(&mut self, env: &Environment, out: &mut Vec<Command>) {
        if self.role.is_none() {
            return;
        }
        self.send_position(env, out);
        self.copy_missing(env, out);
        self.repeat_questions(env, out);
        self.tell_full(env, out);
        self.probe(env, out);
        if self.role.as_ref().is_some_and(|role| role.state == MemberState::Departing && role.epoch_durable) {
            out.push(Command::ReportDeparted(self.epoch));
        }
        self.advance(env, out);
        self.repeat_step(env, out);
        self.pump(env, out);
    }

    /// A message from a replica of this partition.
    pub fn receive(&mut self, env: &Environment, message: Message, out: &mut Vec<Command>) {
        if message.to != self.me || message.partition != self.partition {
            return;
        }
        if message.epoch > self.epoch {
            out.push(Command::RefreshLayout);
        }
        if message.epoch != self.epoch || self.role.is_none() {
            return;
        }
        let from = message.from;
        match message.body {
            Body::Position { last } => self.on_position(env, from, last, out),
            Body::Rewind { to } => self.on_rewind(env, from, to, out),
            Body::NeedCopy => self.on_need_copy(env, from, out),
            Body::Probe => self.on_probe(env, from, out),
            Body::Append { previous, entries, committed, last, complete } => {
                self.on_append(env, from, super::follow::Batch { previous, entries, committed, last, complete }, out);
            }
            Body::Ack { through } => self.on_ack(env, from, through, out),
            Body::Question { number } => self.on_question(env, from, number, out),
            Body::Answer { number, committed } => self.on_answer(env, from, number, committed, out),
            Body::Step { copy, index, step } => self.on_step(env, from, copy, index, step, out),
            Body::Full { node } => self.on_full(env, from, node, out),
            Body::StepTaken { copy, index, found } => self.on_step_taken(env, from, copy, index, found, out),
        }
    }

    pub(super) fn message(&self, to: ReplicaId, body: Body) -> Message {
        Message { partition: self.partition, epoch: self.epoch, from: self.me, to, body }
    }

    pub(super) fn refuse(&self, request: RequestId, failure: Failure, out: &mut Vec<Command>) {
        out.reply(request, Answer::Failed(failure));
    }
}
