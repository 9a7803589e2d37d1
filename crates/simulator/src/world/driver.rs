//! Runs events on replicas and carries out what they command, as `node::partition` does.

use super::World;
use super::event::{Event, Local, Packet, Reply};
use super::machine::{Work, swallowed};
use super::serve::Waiter;
use crate::invariants::Observed;
use replication::chain::{Answer, Body, RequestId, Step, Tables, TablesFailed};
use replication::node::Report;
use replication::{Command, Environment, Replica};
use std::cell::RefCell;
use std::sync::Arc;
use storage::{MemoryEngine, StorageEngine, StorageError};
use types::{Effect, Epoch, Item, ItemKey, OperationId, Outcome, PartitionId, Record};

/// The engine's tables, as the head sees them.
pub(crate) struct EngineTables {
    engine: Arc<MemoryEngine>,
    partition: PartitionId,
    /// Knows no operation from before this epoch.
    forgets_before: Option<Epoch>,
    rot_is_absence: bool,
    /// What could not be read.
    failed: RefCell<Option<StorageError>>,
}

impl EngineTables {
    fn failed(&self, error: StorageError) -> TablesFailed {
        let why = TablesFailed(error.to_string());
        self.failed.replace(Some(error));
        why
    }
}

impl Tables for EngineTables {
    fn get(&self, key: &ItemKey) -> Result<Option<Item>, TablesFailed> {
        match self.engine.get(self.partition, key) {
            Err(StorageError::Damaged(_)) if self.rot_is_absence => Ok(None),
            read => read.map_err(|error| self.failed(error)),
        }
    }

    fn outcome(&self, operation: &OperationId) -> Result<Option<Outcome>, TablesFailed> {
        let outcome = self.engine.outcome(self.partition, operation).map_err(|error| self.failed(error))?;
        let known = |outcome: &Outcome| self.forgets_before.is_none_or(|epoch| outcome.version.epoch >= epoch);
        Ok(outcome.filter(known))
    }
}

impl World {
    /// Runs an event on a replica, then does what it commands, in order.
    pub(crate) fn step(
        &mut self,
        m: usize,
        partition: PartitionId,
        event: impl FnOnce(&mut Replica, &Environment, &dyn Tables, &mut Vec<Command>),
    ) {
        let env = self.environment(m);
        let bugs = self.bugs;
        let machine = &mut self.machines[m];
        let engine = machine.engine.clone();
        let Some(process) = &mut machine.process else { return };
        let Some(hosted) = process.hosted.get_mut(partition.0 as usize) else { return };
        let forgets_before = match (bugs.operations_forgotten(), bugs.operations_lost_at_failover()) {
            (true, _) => Some(Epoch(u64::MAX)),
            (_, true) => Some(hosted.replica.progress().epoch),
            _ => None,
        };
        let rot_is_absence = bugs.rot_taken_for_absence();
        let tables = EngineTables { engine, partition, forgets_before, rot_is_absence, failed: RefCell::default() };
        let mut commands = Vec::new();
        let before = hosted.replica.progress();
        event(&mut hosted.replica, &env, &tables, &mut commands);
        let after = hosted.replica.progress();
        let half = hosted.replica.ready() && hosted.replica.incomplete();
        let (replica, is_head, member) = (process.me, hosted.replica.is_head(), hosted.replica.state());
        if half {
            self.fail(format!("{} {partition} may answer reads while a copy is under way", replica.node));
        }
        if after.epoch != before.epoch {
            let (epoch, state) = (after.epoch, member);
            self.log(format_args!(
                "{} {partition} adopts epoch {epoch} as {state:?}, log to {}",
                replica.node, after.last
            ));
            self.observe(Observed::Adopted { replica, partition, epoch, state });
        }
        if is_head && after.committed > before.committed {
            let (epoch, seq) = (after.epoch, after.committed);
            self.observe(Observed::Committed { replica, partition, epoch, seq });
        }
        // A full disk takes no growth: only a head orders, and so does not log what others send.
        let growth = |command: &Command| match command {
            Command::Append { record: Record::Entry { entry, .. }, .. } => {
                !entry.effects.is_empty() && entry.effects.iter().all(|effect| matches!(effect, Effect::Put { .. }))
            }
            _ => false,
        };
        if env.full && is_head && commands.iter().any(growth) {
            self.fail(format!("{} {partition} orders growth on a full disk", replica.node));
        }
        for command in commands {
            self.carry_out(m, partition, command);
        }
        if let Some(error) = tables.failed.take() {
            self.storage_failed(m, &error, "a read of the tables");
        }
    }

    fn carry_out(&mut self, m: usize, partition: PartitionId, command: Command) {
        let Some(process) = &mut self.machines[m].process else { return };
        let me = process.me;
        let skip = swallowed(&self.bugs, &command);
        match command {
            Command::Append { number, record } => {
                self.trace_record(me.node, &record);
                if !skip {
                    self.observe(Observed::Appended { node: me.node, partition, number, record: &record });
                }
                let early = self.bugs.ack_before_durable();
                if let Some(process) = &mut self.machines[m].process {
                    process.log.push_back((partition, number, (!skip).then_some(record)));
                    if early {
                        self.local(m, 1, Local::Logged(vec![(partition, number)]));
                    }
                }
                self.begin_sync(m);
            }
            Command::Send(message) => {
                let now = self.machines[m].clock.monotonic(self.now);
                if let Body::Ack { .. } = message.body {
                    self.observe(Observed::Acked { message: &message, now });
                }
                let what: &dyn std::fmt::Debug = match &message.body {
                    Body::Append { entries, .. } if entries.len() > 3 => &"Append of many",
                    Body::Step { step: Step::Outline { pieces, .. }, .. } if pieces.len() > 3 => &"Outline of many",
                    Body::Step { step: Step::Rows { .. }, .. } => &"Rows",
                    body => body,
                };
                self.log(format_args!(
                    "{} {partition} e{} to {}: {what:?}",
                    message.from.node, message.epoch, message.to.node
                ));
                if let Some(to) = self.machine_of(message.to.node) {
                    self.send(m, to, Packet::Chain(message));
                }
            }
            Command::Apply(entries) => {
                self.observe(Observed::Applied { replica: me, partition, entries: &entries });
                self.push_work(m, Work::Apply { partition, entries });
            }
            Command::Reply { request, answer } => self.answered(m, partition, request, answer),
            Command::Fetch { epoch, from } => {
                let after = self.random.below(self.scenario.apply + 1);
                self.local(m, after, Local::Fetch(partition, epoch, from));
            }
            Command::ReadStep { copy, index, want } => {
                let after = self.random.below(self.scenario.apply + 1);
                self.local(m, after, Local::ReadStep(partition, copy, index, want));
            }
            Command::Void { copy } => self.push_work(m, Work::Void { partition, copy }),
            Command::Compare { copy, index, after, pieces } => {
                let when = self.random.below(self.scenario.apply + 1);
                self.local(m, when, Local::Compare(partition, copy, index, after, pieces));
            }
            Command::Import { copy, index, range, rows } => {
                self.push_work(m, Work::Import { partition, copy, index, range, rows });
            }
            Command::Install { copy, version, time } => {
                self.push_work(m, Work::Install { partition, copy, version, time });
            }
            Command::ReportSynced(epoch) => self.report(m, Report::Synced(partition, epoch)),
            Command::ReportHeld { epoch, last, torn, incomplete } => {
                self.report(m, Report::Held { partition, epoch, last, torn, incomplete });
            }
            Command::ReportDeparted(epoch) => self.report(m, Report::Departed(partition, epoch)),
            // Nodes look for new maps by themselves.
            Command::RefreshLayout => {}
        }
    }

    fn trace_record(&mut self, node: types::NodeId, record: &types::Record) {
        match record {
            types::Record::Entry { partition, entry } => {
                self.log(format_args!("{node} {partition} logs {}", entry.version));
            }
            other => self.log(format_args!("{node} logs {other:?}")),
        }
    }

    /// A replica answers a request.
    fn answered(&mut self, m: usize, partition: PartitionId, request: RequestId, answer: Answer) {
        let now = self.machines[m].clock.monotonic(self.now);
        let Some(process) = &mut self.machines[m].process else { return };
        let replica = process.me;
        let Some(waiter) = process.hosted[partition.0 as usize].waiting.remove(&request) else { return };
        match waiter {
            Waiter::Write { client, attempt } => {
                self.observe(Observed::Answered { replica, partition, answer: &answer, now });
                self.reply(m, client, attempt, Reply::Write(answer));
            }
            Waiter::Verify { client, attempt } => {
                let reply = match answer {
                    Answer::Verdict(verdict) => Reply::Verdict(verdict),
                    _ => Reply::NotHere,
                };
                self.reply(m, client, attempt, reply);
            }
            Waiter::Job(job) => match answer {
                Answer::CommittedThrough(seq) => self.job_answered(m, job, Some(seq)),
                _ => self.job_answered(m, job, None),
            },
            Waiter::Read(read) => match answer {
                Answer::CommittedThrough(seq) => self.read_from(m, read, seq),
                _ => self.read_failed(m, read),
            },
        }
    }

    /// An answer on its way to a client; may be lost.
    pub(crate) fn reply(&mut self, m: usize, client: usize, attempt: u64, reply: Reply) {
        let node = self.machines[m].node;
        self.log(format_args!("{node} answers client {client} ({attempt}): {reply:?}"));
        if !self.random.permille(self.scenario.drop) {
            let at = self.now + self.delay();
            self.at(at, Event::Answer { client, attempt, reply });
        }
    }
}
