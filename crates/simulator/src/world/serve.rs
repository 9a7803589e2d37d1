//! Clients' requests at a node, as `node::service` and `node::reads` answer them.

use super::World;
use super::event::{Local, Reply, Request};
use crate::invariants::Observed;
use crate::scenario::MS;
use replication::chain::{Failure, ReadPlan, RequestId};
use replication::{Command, Environment, Replica};
use storage::{StorageEngine, StorageError};
use types::{Effect, Item, KeyHash, MemberState, PartitionId, Read, Seq, Transaction, Version};

/// How long a node waits for the head, or for its tables, before it gives a read up.
const READ_WAIT: u64 = 2000 * MS;

/// Who waits for a replica's answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Waiter {
    Write { client: usize, attempt: u64 },
    Verify { client: usize, attempt: u64 },
    Read(u64),
    Job(u64),
}

/// A strong read at a node.
#[derive(Debug)]
pub(crate) struct PendingRead {
    client: usize,
    attempt: u64,
    partition: PartitionId,
    read: Read,
    at_least: Seq,
    /// What is on its way into the tables was looked at, and did not say.
    looked: bool,
    taken: Option<(Reply, Vec<Version>)>,
}

/// Tells a retry from a reuse, as the node computes it. Never 0.
pub(crate) fn fingerprint(transaction: &Transaction) -> u128 {
    let hash = blake3::hash(&rpc::codec::encode(transaction));
    let mut first = [0; 16];
    first.copy_from_slice(&hash.as_bytes()[..16]);
    u128::from_be_bytes(first).max(1)
}

impl World {
    pub(crate) fn requested(&mut self, m: usize, client: usize, attempt: u64, request: Request) {
        let Some(process) = &self.machines[m].process else { return };
        let stopped = process.stopped;
        match request {
            Request::Transact { .. } if stopped => self.reply(m, client, attempt, Reply::NotHere),
            Request::Transact { transaction, asynchronous } => {
                let partition = transaction.operation.key_hash.partition(self.scenario.partitions);
                let fingerprint = fingerprint(&transaction);
                self.ask(m, partition, Waiter::Write { client, attempt }, |replica, env, request, tables, out| {
                    replica.transact(env, request, &transaction, fingerprint, asynchronous, tables, out);
                });
            }
            Request::Verify(operation) => {
                let partition = operation.key_hash.partition(self.scenario.partitions);
                self.ask(m, partition, Waiter::Verify { client, attempt }, |replica, env, request, tables, out| {
                    replica.verify(env, request, &operation, tables, out);
                });
            }
            Request::Block(request) => self.block_request(m, client, attempt, request),
            Request::Read { partition, read } => self.begin_read(m, client, attempt, partition, read),
        }
    }

    /// Starts a request on a replica; somebody waits for its answer.
    pub(crate) fn ask(
        &mut self,
        m: usize,
        partition: PartitionId,
        waiter: Waiter,
        start: impl FnOnce(&mut Replica, &Environment, RequestId, &dyn replication::chain::Tables, &mut Vec<Command>),
    ) {
        let Some(process) = &mut self.machines[m].process else { return };
        let hosted = &mut process.hosted[partition.0 as usize];
        hosted.requests += 1;
        let request = RequestId(hosted.requests);
        hosted.waiting.insert(request, waiter);
        self.step(m, partition, |replica, env, tables, out| start(replica, env, request, tables, out));
    }

    fn begin_read(&mut self, m: usize, client: usize, attempt: u64, partition: PartitionId, read: Read) {
        let env = self.environment(m);
        let Some(process) = &mut self.machines[m].process else { return };
        let replica = &process.hosted[partition.0 as usize].replica;
        let here = replica.state().is_some() && !replica.incomplete();
        let syncing = self.bugs.syncing_serves() && replica.state() == Some(MemberState::Syncing);
        let plan = |plan: Result<ReadPlan, Failure>| if syncing { Some(ReadPlan::Clean(Seq(0))) } else { plan.ok() };
        let Some(plan) = here.then(|| plan(replica.plan_read(&env, &read))).flatten() else {
            return self.reply(m, client, attempt, Reply::NotHere);
        };
        process.reads_begun += 1;
        let id = process.reads_begun;
        let pending = PendingRead { client, attempt, partition, read, at_least: Seq(0), looked: false, taken: None };
        process.reads.insert(id, pending);
        self.local(m, READ_WAIT, Local::ReadGivenUp(id));
        match plan {
            ReadPlan::Ask if !self.bugs.reads_pending() => {
                self.ask(m, partition, Waiter::Read(id), |replica, env, request, _, out| {
                    replica.ask(env, request, out)
                });
            }
            ReadPlan::Clean(seq) => self.read_from(m, id, seq),
            ReadPlan::Ask => self.read_from(m, id, Seq(0)),
        }
    }

    /// Everything up to `seq` is committed: read that, or later.
    pub(crate) fn read_from(&mut self, m: usize, read: u64, seq: Seq) {
        let Some(pending) = self.machines[m].process.as_mut().and_then(|process| process.reads.get_mut(&read)) else {
            return;
        };
        pending.at_least = seq;
        let after = self.random.below(self.scenario.apply + 1);
        self.local(m, after, Local::ReadTake(read));
    }

    pub(crate) fn read_failed(&mut self, m: usize, read: u64) {
        let Some(process) = &mut self.machines[m].process else { return };
        if let Some(pending) = process.reads.remove(&read) {
            self.reply(m, pending.client, pending.attempt, Reply::NotHere);
        }
    }

    /// Takes what is to be read.
    pub(crate) fn read_take(&mut self, m: usize, id: u64) {
        let unsafe_read = self.bugs.reads_pending();
        let engine = self.machines[m].engine.clone();
        let Some(process) = &mut self.machines[m].process else { return };
        let Some(pending) = process.reads.get_mut(&id) else { return };
        let hosted = &process.hosted[pending.partition.0 as usize];
        let versions = |items: &[Option<Item>]| items.iter().flatten().map(|item| item.version).collect::<Vec<_>>();
        let partition = pending.partition;
        match &pending.read {
            Read::Items(keys) if keys.len() == 1 => {
                let underway = hosted.replica.committed_item(&keys[0]).cloned();
                let underway = if unsafe_read { latest(&*engine, partition, &keys[0]).or(underway) } else { underway };
                let item = match underway {
                    Some(item) => item,
                    None if !pending.looked => {
                        pending.looked = true;
                        return self.local(m, 50_000, Local::ReadTake(id));
                    }
                    None => match engine.get(partition, &keys[0]) {
                        Ok(item) => item,
                        Err(_) if self.bugs.rot_taken_for_absence() => None,
                        Err(error) => return self.cannot_read(m, id, &error),
                    },
                };
                let items = vec![item];
                pending.taken = Some((Reply::Items(items.clone()), versions(&items)));
            }
            // The tables are behind: look again soon.
            _ if hosted.applied < pending.at_least => return self.local(m, MS, Local::ReadTake(id)),
            Read::Items(keys) => {
                let read = engine.snapshot(partition);
                let read = read.and_then(|snapshot| keys.iter().map(|key| snapshot.get(key)).collect());
                let items: Vec<Option<Item>> = match read {
                    Ok(items) => items,
                    Err(error) => return self.cannot_read(m, id, &error),
                };
                pending.taken = Some((Reply::Items(items.clone()), versions(&items)));
            }
            Read::Range(query) => {
                let page = match engine.snapshot(partition).and_then(|snapshot| snapshot.query(query)) {
                    Ok(page) => page,
                    Err(error) => return self.cannot_read(m, id, &error),
                };
                let versions = page.items.iter().map(|at| at.item.version).collect();
                pending.taken = Some((Reply::Page(page.items), versions));
            }
        }
        let after = self.random.below(300_000);
        self.local(m, after, Local::ReadReply(id));
    }

    fn cannot_read(&mut self, m: usize, id: u64, error: &StorageError) {
        self.storage_failed(m, error, "a read of the tables");
        self.read_failed(m, id);
    }

    /// Invariant 3: the lease counts after the reading, before the reply.
    pub(crate) fn read_reply(&mut self, m: usize, id: u64) {
        let env = self.environment(m);
        let recheck = !self.bugs.read_not_rechecked();
        let now = self.machines[m].clock.monotonic(self.now);
        let Some(process) = &mut self.machines[m].process else { return };
        let me = process.me;
        let Some(pending) = process.reads.remove(&id) else { return };
        let replica = &process.hosted[pending.partition.0 as usize].replica;
        let syncing = self.bugs.syncing_serves() && replica.state() == Some(MemberState::Syncing);
        if recheck && !syncing && replica.check_read(&env).is_err() {
            return self.reply(m, pending.client, pending.attempt, Reply::NotHere);
        }
        if let Some((reply, versions)) = pending.taken {
            let partition = pending.partition;
            self.observe(Observed::Read { replica: me, partition, versions: &versions, now });
            self.reply(m, pending.client, pending.attempt, reply);
        }
    }
}

/// What the log says of a key, committed or not: for a bug put in on purpose.
fn latest(engine: &dyn StorageEngine, partition: PartitionId, key: &types::ItemKey) -> Option<Option<Item>> {
    let (first, _) = engine.log_range(partition);
    let entries = engine.entries(partition, first, usize::MAX).ok()?;
    entries.iter().rev().find_map(|entry| {
        entry.effects.iter().rev().find(|effect| effect.key() == key).map(|effect| match effect {
            Effect::Put { value, expires, .. } => {
                Some(Item { value: value.clone(), version: entry.version, time: entry.time, expires: *expires })
            }
            Effect::Delete { .. } => None,
        })
    })
}

/// The partition of a partition key.
pub(crate) fn partition_of(key: &[u8], partitions: u16) -> PartitionId {
    KeyHash::of(key).partition(partitions)
}
