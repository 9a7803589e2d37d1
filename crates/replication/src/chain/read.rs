//! Strong reads at any serving replica (CRAQ, section 3): what is clean is
//! read here; what has writes under way, after asking the head what is committed.
//!
//! The head is asked, not the tail: fsyncs of a chain overlap, so the head is the
//! first to know that a write is durable everywhere.

use super::command::{Answer, Command, Environment, Failure, Out, RequestId};
use super::message::Body;
use super::replica::{REPEAT, Replica};
use std::collections::BTreeMap;
use types::{Item, ItemKey, MemberState, Monotonic, Read, ReplicaId, Seq};

/// Questions at most, per partition; beyond it readers hear *busy*.
const QUESTIONS_MAX: usize = 10_000;

/// Questions to the head that have no answer yet. Readers that come while one is
/// under way share the next.
#[derive(Debug, Default)]
pub(super) struct Questions {
    number: u64,
    asked_at: Monotonic,
    /// By the number of the question that answers them.
    waiting: BTreeMap<u64, Vec<RequestId>>,
    answered: BTreeMap<Seq, Vec<RequestId>>,
    count: usize,
}

impl Questions {
    pub(super) fn into_waiting(self) -> impl Iterator<Item = RequestId> {
        self.waiting.into_values().flatten().chain(self.answered.into_values().flatten())
    }
}

/// What a reader has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadPlan {
    /// Read the tables as they are once everything up to this sequence is applied
    /// ([`Replica::committed_item`] knows what is on its way).
    Clean(Seq),
    /// Writes are under way: [`Replica::ask`], then read what is committed by then.
    Ask,
}

impl Replica {
    /// How to read, strongly. The lease is to be checked again after reading,
    /// before replying (invariant 3): [`Self::check_read`].
    pub fn plan_read(&self, env: &Environment, read: &Read) -> Result<ReadPlan, Failure> {
        self.check_read(env)?;
        match self.overlay.touched(read) {
            Some(seq) if seq > self.committed => match self.role.as_ref().and_then(|role| role.heads.as_ref()) {
                // The head knows what is committed, once all that it found has committed under it.
                Some(head) if self.committed >= head.floor => Ok(ReadPlan::Clean(self.committed)),
                Some(_) => Err(Failure::NotReady("what the last head left is not committed yet")),
                None => Ok(ReadPlan::Ask),
            },
            Some(seq) => Ok(ReadPlan::Clean(seq)),
            None => Ok(ReadPlan::Clean(Seq(0))),
        }
    }

    /// Whether this replica may answer strong reads at this moment.
    pub fn check_read(&self, env: &Environment) -> Result<(), Failure> {
        let role = self.role.as_ref().ok_or(Failure::NotServing)?;
        if role.state != MemberState::Serving {
            return Err(Failure::NotServing);
        }
        if !env.leased() {
            return Err(Failure::NotReady("the node's lease has run out"));
        }
        if !self.ready() {
            return Err(Failure::NotReady("the predecessor has not sent everything yet"));
        }
        Ok(())
    }

    /// An item among the entries that are committed and not yet in the tables.
    pub fn committed_item(&self, key: &ItemKey) -> Option<&Option<Item>> {
        self.overlay.committed(key, self.committed)
    }

    /// Asks the head what is committed; the answer is [`Answer::CommittedThrough`].
    pub fn ask(&mut self, env: &Environment, request: RequestId, out: &mut Vec<Command>) {
        let Some(role) = &mut self.role else { return self.refuse(request, Failure::NotServing, out) };
        let questions = &mut role.questions;
        if questions.count >= QUESTIONS_MAX {
            return self.refuse(request, Failure::Busy, out);
        }
        questions.count += 1;
        // A question already sent may have been answered before this reader came: it needs the next.
        let idle = questions.waiting.is_empty();
        let number = questions.number + 1;
        questions.waiting.entry(number).or_default().push(request);
        if idle {
            self.send_question(env, out);
        }
    }

    fn send_question(&mut self, env: &Environment, out: &mut Vec<Command>) {
        let Some(role) = &mut self.role else { return };
        let Some(head) = role.head else { return };
        role.questions.number += 1;
        role.questions.asked_at = env.now;
        let number = role.questions.number;
        out.send(self.message(head, Body::Question { number }));
    }

    pub(super) fn repeat_questions(&mut self, env: &Environment, out: &mut Vec<Command>) {
        let Some(role) = &mut self.role else { return };
        if !role.questions.waiting.is_empty() && env.now - role.questions.asked_at >= REPEAT {
            self.send_question(env, out);
        }
    }

    pub(super) fn on_question(&mut self, env: &Environment, from: ReplicaId, number: u64, out: &mut Vec<Command>) {
        let Some(head) = self.role.as_ref().and_then(|role| role.heads.as_ref()) else { return };
        // Without a lease, or before the last head's entries are committed, silence: the asker repeats.
        if env.leased() && self.ready() && self.committed >= head.floor {
            let body = Body::Answer { number, committed: self.committed };
            out.send(self.message(from, body));
        }
    }

    pub(super) fn on_answer(
        &mut self,
        env: &Environment,
        from: ReplicaId,
        number: u64,
        committed: Seq,
        out: &mut Vec<Command>,
    ) {
        let Some(role) = self.role.as_mut().filter(|role| role.head == Some(from)) else { return };
        let later = role.questions.waiting.split_off(&(number + 1));
        let answered = std::mem::replace(&mut role.questions.waiting, later);
        let more = !role.questions.waiting.is_empty();
        role.questions.answered.entry(committed).or_default().extend(answered.into_values().flatten());
        if more && number == role.questions.number {
            self.send_question(env, out);
        }
        self.commit(env, committed, out);
        self.release_readers(out);
    }

    /// Lets those go on whose committed sequence has arrived here.
    fn release_readers(&mut self, out: &mut Vec<Command>) {
        let committed = self.committed;
        let Some(role) = &mut self.role else { return };
        while let Some(entry) = role.questions.answered.first_entry().filter(|entry| *entry.key() <= committed) {
            for request in entry.remove() {
                role.questions.count -= 1;
                out.reply(request, Answer::CommittedThrough(committed));
            }
        }
    }
}
