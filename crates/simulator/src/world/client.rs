//! Clients: each has one operation under way, retries it under the same id, asks what became of it
//! when it cannot tell, and writes into the history what it knows in the end.

use super::World;
use super::event::{ClientEvent, Event, Packet, Reply, Request};
use super::load::Plan;
use super::uploads::Upload;
use crate::history::{Call, Outcome, Reply as Told, Ticket};
use crate::invariants::Observed;
use crate::scenario::{MS, SECOND};
use replication::chain::{Answer, Failure};
use std::collections::BTreeMap;
use std::sync::Arc;
use types::{BlockHash, Layout, OperationId, PartitionId, Read, Refusal, Seq, Transaction, TransactionResult, Verdict};

/// A client.
pub(crate) struct Client {
    pub layout: Arc<Layout>,
    pub attempts: u64,
    pub doing: Option<Doing>,
    /// What it last saw of each key, for compare-and-set.
    pub seen: BTreeMap<String, Option<bytes::Bytes>>,
    /// Operations that must still succeed after healing.
    pub owed: u32,
    pub finished: u64,
    pub upload: Option<Upload>,
    /// Of the last write that it knows was applied.
    pub version: Seq,
}

/// An operation under way.
pub(crate) struct Doing {
    pub what: What,
    pub tickets: Vec<(Ticket, Call)>,
    /// The attempt whose answer is awaited.
    pub attempt: u64,
    pub deadline: u64,
    pub begun: u64,
    pub partition: PartitionId,
    /// An attempt may have been carried out.
    pub open: bool,
    pub verifying: bool,
    /// It was answered; now the same is sent again, and must be answered the same.
    pub echo: Option<TransactionResult>,
    pub asynchronous: bool,
}

pub(crate) enum What {
    Write {
        transaction: Arc<Transaction>,
        counter: Option<String>,
    },
    Read {
        read: Read,
        keys: Vec<String>,
        pair: bool,
    },
    /// A block, on enough nodes.
    Store(BlockHash),
}

impl Client {
    pub fn new() -> Client {
        let seen = BTreeMap::new();
        Client {
            layout: Arc::default(),
            attempts: 0,
            doing: None,
            seen,
            owed: 0,
            finished: 0,
            upload: None,
            version: Seq(0),
        }
    }
}

impl World {
    pub(crate) fn client_event(&mut self, c: usize, what: ClientEvent) {
        match what {
            ClientEvent::Begin => {
                if self.clients[c].doing.is_none() && !self.load_ended(c) {
                    self.refresh(c);
                    let plan = match self.plan_upload(c) {
                        Some(plan) => plan,
                        None => self.plan_operation(c),
                    };
                    self.begin(c, plan);
                }
            }
            ClientEvent::Again => self.attempt(c),
            ClientEvent::Timeout(attempt) => {
                if self.clients[c].doing.as_ref().is_some_and(|doing| doing.attempt == attempt) {
                    self.unanswered(c);
                }
            }
        }
    }

    fn begin(&mut self, c: usize, plan: Plan) {
        let now = self.now;
        let tickets =
            plan.calls.into_iter().map(|(key, call)| (self.history.invoke(c as u64, key, call.clone(), now), call));
        let tickets = tickets.collect();
        let patience = if self.healed { 60 * SECOND } else { self.random.between(500, 5000) * MS };
        self.clients[c].doing = Some(Doing {
            what: plan.what,
            tickets,
            attempt: 0,
            deadline: now + patience,
            begun: now,
            partition: plan.partition,
            open: false,
            verifying: false,
            echo: None,
            asynchronous: plan.asynchronous,
        });
        self.attempt(c);
    }

    /// Hears of the map from some node; not always the newest.
    pub(crate) fn refresh(&mut self, c: usize) {
        let known: Vec<_> = self.machines.iter().filter_map(|m| Some(m.process.as_ref()?.layout.clone())).collect();
        if let Some(layout) = self.random.pick(&known)
            && layout.version > self.clients[c].layout.version
        {
            self.clients[c].layout = layout.clone();
        }
    }

    fn target(&mut self, c: usize, write: bool, partition: PartitionId) -> Option<usize> {
        if self.random.permille(30) {
            return Some(self.random.below(self.machines.len() as u64) as usize);
        }
        let chain = self.clients[c].layout.chain(partition)?.clone();
        let node = if write {
            chain.head()?.node
        } else {
            let serving: Vec<_> = chain.serving().map(|replica| replica.node).collect();
            *self.random.pick(&serving)?
        };
        self.machine_of(node)
    }

    /// Sends what is to be sent, to whom it should go by this client's map.
    fn attempt(&mut self, c: usize) {
        let Some(doing) = &self.clients[c].doing else { return };
        let (deadline, partition, verifying) = (doing.deadline, doing.partition, doing.verifying);
        if self.now > deadline {
            return self.give_up(c);
        }
        let (write, request) = match &doing.what {
            What::Store(_) => return self.store_attempt(c),
            What::Write { transaction, .. } if verifying => (true, Request::Verify(transaction.operation)),
            What::Write { transaction, .. } => {
                let asynchronous = doing.asynchronous && doing.echo.is_none();
                (true, Request::Transact { transaction: transaction.clone(), asynchronous })
            }
            What::Read { read, .. } => (false, Request::Read { partition, read: read.clone() }),
        };
        self.clients[c].attempts += 1;
        let attempt = self.clients[c].attempts;
        if let Some(doing) = &mut self.clients[c].doing {
            doing.attempt = attempt;
        }
        let Some(target) = self.target(c, write, partition) else {
            return self.try_later(c);
        };
        if let Request::Transact { transaction, .. } = &request {
            self.observe(Observed::Asked { client: c, attempt, operation: transaction.operation });
        }
        let node = self.machines[target].node;
        self.log(format_args!("client {c} asks {node} ({attempt}): {}", brief(&request)));
        let lost = self.random.permille(self.scenario.drop);
        if self.machines[target].process.is_none() {
            // The connection is refused: surely not carried out.
            if let Request::Transact { transaction, .. } = &request {
                self.observe(Observed::Refused { client: c, attempt, operation: transaction.operation });
            }
            return self.try_later(c);
        }
        if !lost {
            let at = self.now + self.delay();
            let packet = Packet::Request { client: c, attempt, request };
            self.at(at, Event::Packet { machine: target, packet });
        }
        let timeout = self.random.between(200, 1500) * MS + self.scenario.delay * 4;
        self.at(self.now + timeout, Event::Client { client: c, what: ClientEvent::Timeout(attempt) });
    }

    fn try_later(&mut self, c: usize) {
        if let Some(doing) = &mut self.clients[c].doing {
            // No answer to an earlier attempt counts any more.
            doing.attempt = 0;
        }
        self.refresh(c);
        let after = self.random.between(20, 200) * MS;
        self.at(self.now + after, Event::Client { client: c, what: ClientEvent::Again });
    }

    /// No answer came: it may have been carried out.
    fn unanswered(&mut self, c: usize) {
        let verify = self.random.permille(400);
        let hasty = !self.healed && self.random.permille(80);
        let lies = self.bugs.timeout_is_failure() && self.random.permille(500);
        let Some(doing) = &mut self.clients[c].doing else { return };
        doing.attempt = 0;
        if let What::Store(_) = doing.what {
            return self.store_timeout(c);
        }
        if let What::Write { transaction, .. } = &doing.what {
            let operation = transaction.operation;
            if lies {
                let attempt = self.clients[c].attempts;
                self.observe(Observed::Refused { client: c, attempt, operation });
                return self.settle(c, Outcome::Refused);
            }
            doing.open |= !doing.verifying && doing.echo.is_none();
            doing.verifying |= verify && doing.echo.is_none();
        }
        if hasty {
            return self.give_up(c);
        }
        self.try_later(c);
    }

    /// Patience is at its end.
    fn give_up(&mut self, c: usize) {
        let Some(doing) = &mut self.clients[c].doing else { return };
        let read = matches!(doing.what, What::Read { .. });
        if doing.echo.is_some() {
            return self.end(c);
        }
        let outcome = if read || doing.open { Outcome::Unknown } else { Outcome::Refused };
        if self.healed && doing.begun >= self.healed_at {
            let waited = (self.now - doing.begun) / MS;
            self.fail(format!("liveness: client {c} had no answer in {waited} ms after all faults had ended"));
        }
        self.settle(c, outcome);
    }

    /// What a client knows in the end goes into the history.
    pub(crate) fn settle(&mut self, c: usize, outcome: Outcome) {
        self.log(format_args!("client {c} knows: {outcome:?}"));
        let Some(doing) = &self.clients[c].doing else { return };
        for (ticket, call) in &doing.tickets {
            let outcome = match (&outcome, call) {
                (Outcome::Ok(Told::Done), Call::CompareAndSet { .. }) => Outcome::Ok(Told::Swapped),
                (other, _) => (*other).clone(),
            };
            self.history.settle(*ticket, outcome, self.now);
        }
        self.upload_settled(c, &outcome);
        self.end(c);
    }

    pub(crate) fn end(&mut self, c: usize) {
        let client = &mut self.clients[c];
        client.doing = None;
        client.finished += 1;
        let mean = if self.healed { self.scenario.think / 4 } else { self.scenario.think };
        let after = self.random.below(2 * mean + 1);
        self.at(self.now + after, Event::Client { client: c, what: ClientEvent::Begin });
    }

    pub(crate) fn answer(&mut self, c: usize, attempt: u64, reply: Reply) {
        let Some(doing) = self.clients[c].doing.as_ref().filter(|doing| doing.attempt == attempt) else { return };
        match (&doing.what, reply) {
            (What::Read { .. }, Reply::Items(items)) => {
                let found = items.into_iter().map(|item| item.map(|item| item.value)).collect();
                self.read_done(c, found);
            }
            (What::Read { keys, .. }, Reply::Page(items)) => {
                let found: BTreeMap<_, _> =
                    items.iter().map(|at| (at.sort_key.clone(), at.item.value.clone())).collect();
                let sort_key = |key: &String| key.split('/').next_back().unwrap_or_default().as_bytes().to_vec();
                let found = keys.iter().map(|key| found.get(&sort_key(key)[..]).cloned()).collect();
                self.read_done(c, found);
            }
            (What::Read { .. }, _) => self.try_later(c),
            (What::Store(_), Reply::Block { node, here }) => self.stored(c, node, here),
            (What::Store(_), _) => {}
            (What::Write { transaction, .. }, reply) => {
                let operation = transaction.operation;
                self.write_answered(c, attempt, operation, reply);
            }
        }
    }

    fn read_done(&mut self, c: usize, found: Vec<Option<bytes::Bytes>>) {
        let Some(doing) = &self.clients[c].doing else { return };
        let What::Read { keys, pair, .. } = &doing.what else { return };
        if *pair && found.len() >= 2 && found[found.len() - 1] != found[found.len() - 2] {
            let what = format!("a snapshot shows half of a transaction: {found:?} of {keys:?}");
            return self.fail(what);
        }
        let (keys, tickets) = (keys.clone(), doing.tickets.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>());
        for ((key, ticket), value) in keys.into_iter().zip(tickets).zip(found) {
            let told = Told::Read { found: value.clone().map(crate::history::Value) };
            self.history.settle(ticket, Outcome::Ok(told), self.now);
            self.clients[c].seen.insert(key, value);
        }
        self.end(c);
    }

    fn write_answered(&mut self, c: usize, attempt: u64, operation: OperationId, reply: Reply) {
        let echo = self.random.permille(100) && self.clients[c].upload.is_none();
        let refused_before = self.random.permille(150);
        let Some(doing) = &mut self.clients[c].doing else { return };
        let (open, echoed) = (doing.open, doing.echo.clone());
        match reply {
            Reply::Write(Answer::Committed(result)) => {
                if let Some(first) = echoed {
                    if first != result {
                        self.fail(format!("{operation:?} was answered {first:?}, and then {result:?}"));
                    }
                    return self.end(c);
                }
                self.clients[c].version = result.version.seq;
                self.observe(Observed::Told { operation, result: Some(&result) });
                self.counted(c, &result);
                if echo && let Some(doing) = &mut self.clients[c].doing {
                    // The history has it now; the repetition is for the answer alone.
                    doing.echo = Some(result);
                    doing.attempt = 0;
                    let tickets = std::mem::take(&mut doing.tickets);
                    for (ticket, call) in tickets {
                        let told = if let Call::CompareAndSet { .. } = call { Told::Swapped } else { Told::Done };
                        self.history.settle(ticket, Outcome::Ok(told), self.now);
                    }
                    return self.try_later(c);
                }
                self.settle(c, Outcome::Ok(Told::Done));
            }
            Reply::Write(Answer::Accepted) => {
                doing.open = true;
                doing.verifying = true;
                self.try_later(c);
            }
            Reply::Write(Answer::Unknown) => self.unanswered(c),
            Reply::Write(Answer::Failed(Failure::Refused(refusal))) => {
                let surely = matches!(refusal, Refusal::Fenced | Refusal::OperationReused);
                if echoed.is_some() || (matches!(refusal, Refusal::OperationReused)) {
                    return self.fail(format!("{operation:?} was answered before, and is now refused: {refusal}"));
                }
                if open && !surely {
                    doing.verifying = true;
                    return self.try_later(c);
                }
                self.observe(Observed::Refused { client: c, attempt, operation });
                let mismatch = matches!(refusal, Refusal::Condition { .. });
                let told = Outcome::Ok(Told::Mismatch { observed: None });
                self.settle(c, if mismatch { told } else { Outcome::Refused });
            }
            Reply::Verdict(Verdict::Applied { version, .. }) => {
                self.clients[c].version = version.seq;
                self.observe(Observed::Told { operation, result: None });
                self.settle(c, Outcome::Ok(Told::Done));
            }
            Reply::Verdict(Verdict::NotApplied) => {
                let stubborn = refused_before && !self.healed;
                if stubborn {
                    // Sends it again all the same.
                    (doing.verifying, doing.open) = (false, true);
                }
                self.observe(Observed::NeverApplied { operation });
                if stubborn {
                    return self.try_later(c);
                }
                self.settle(c, Outcome::Refused);
            }
            Reply::Verdict(Verdict::Unknown) => self.settle(c, Outcome::Unknown),
            Reply::Write(Answer::Failed(_)) | Reply::NotHere => {
                if !doing.verifying {
                    self.observe(Observed::Refused { client: c, attempt, operation });
                }
                self.try_later(c);
            }
            _ => self.try_later(c),
        }
    }

    /// A counter's result: no two additions may have the same.
    fn counted(&mut self, c: usize, result: &TransactionResult) {
        let Some(Doing { what: What::Write { counter: Some(key), .. }, begun, .. }) = &self.clients[c].doing else {
            return;
        };
        let (key, begun) = (key.clone(), *begun);
        if let Some(value) = result.counters.first()
            && let Err(why) = self.counters.added(&key, *value, begun, self.now)
        {
            self.fail(why);
        }
    }
}

fn brief(request: &Request) -> String {
    match request {
        Request::Transact { transaction, asynchronous } => format!(
            "{}{:?} if {:?} as {}",
            if *asynchronous { "async " } else { "" },
            transaction.updates,
            transaction.conditions,
            transaction.operation.nonce
        ),
        Request::Verify(operation) => format!("verify {}", operation.nonce),
        Request::Read { read, .. } => format!("{read:?}"),
        Request::Block(request) => format!("{request:?}"),
    }
}
