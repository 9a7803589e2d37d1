//! A node's blocks, as `node::blocks` looks after them around the real decisions ([`replication::blocks`]): what
//! was referenced is looked for and fetched, what nothing keeps is collected.

use super::World;
use super::event::{Local, Packet, Reply};
use super::serve::Waiter;
use crate::invariants::Observed;
use crate::scenario::MS;
use replication::blocks::{holders, settled_without};
use replication::node::Report;
use std::collections::{BTreeMap, BTreeSet};
use storage::StorageEngine;
use types::layout::{BLOCK_REFERENCE, BLOCKS_TABLE};
use types::{BlockHash, Effect, Epoch, LogEntry, MemberState, NodeId, PartitionId, Query, Seq};

/// How long a question to another node, or a wait for the tables, may take.
const PATIENCE: u64 = 1500 * MS;
/// How often what is missing is tried for.
const KEEP_EVERY: u64 = 300 * MS;
/// Blocks tried for in one round.
const ROUND: usize = 8;

/// The block files of a machine, which last: true is good. What is condemned is forgotten with the process.
#[derive(Debug, Default)]
pub(crate) struct BlockDisk {
    pub files: BTreeMap<BlockHash, bool>,
    condemned: BTreeSet<BlockHash>,
}

impl BlockDisk {
    /// Whoever asks saves it.
    pub fn has(&mut self, hash: &BlockHash) -> bool {
        self.condemned.remove(hash);
        self.files.contains_key(hash)
    }

    pub fn restarted(&mut self) {
        self.condemned.clear();
    }
}

/// Something that waits for the tables, or for other nodes.
#[derive(Debug)]
pub(crate) struct Job {
    partition: PartitionId,
    /// The tables must contain everything up to here; none while that is asked for.
    seq: Option<Seq>,
    what: JobKind,
}

#[derive(Debug)]
enum JobKind {
    /// Compare references with the disk; they are all there under this epoch.
    Look(Epoch),
    /// Of these, delete what nothing keeps.
    Sure(Vec<BlockHash>),
    /// Of these, delete what was found to be kept by nothing.
    Delete { hashes: Vec<BlockHash>, sure: Vec<BlockHash> },
    /// Another node asks which of these are needed here.
    Need { hashes: Vec<BlockHash>, from: usize, boot: u64, job: u64 },
    /// Members are asked, one after the other, whether they need any of these.
    Spare { hashes: Vec<BlockHash>, left: Vec<NodeId> },
    /// Nodes are asked, one after the other, for a block.
    Fetch { hash: BlockHash, left: Vec<NodeId>, unclear: bool },
}

/// What nodes say to each other about blocks.
#[derive(Clone, Debug)]
pub(crate) enum Talk {
    Get(BlockHash),
    Need(Vec<BlockHash>),
    /// None: no good copy. An answer that cannot be given is none at all.
    Got(bool),
    Needed(Option<Vec<bool>>),
}

impl World {
    /// The tables have taken these: blocks that were given a reference should be here.
    pub(crate) fn expect_blocks(&mut self, m: usize, entries: &[(PartitionId, std::sync::Arc<LogEntry>)]) {
        let referenced = entries.iter().flat_map(|(_, entry): &(_, std::sync::Arc<LogEntry>)| &entry.effects);
        let hashes: Vec<BlockHash> = referenced.filter_map(referenced_block).collect();
        if let Some(process) = &mut self.machines[m].process {
            process.expected.extend(hashes);
        }
    }

    /// Keeps the blocks as they should be.
    pub(crate) fn keep(&mut self, m: usize) {
        let after = KEEP_EVERY + self.random.below(KEEP_EVERY);
        self.local(m, after, Local::Keep);
        let careless = self.bugs.whole_unchecked();
        let machine = &mut self.machines[m];
        let now = machine.clock.monotonic(self.now);
        let Some(process) = machine.process.as_mut().filter(|process| !process.stopped) else { return };
        for hash in std::mem::take(&mut process.expected) {
            if !machine.blocks.has(&hash) {
                process.upkeep.lacks(hash, now);
            }
        }
        let mut begin = Vec::new();
        for id in process.upkeep.take_dirty() {
            let hosted = &process.hosted[id.0 as usize];
            let epoch = hosted.replica.progress().epoch;
            match hosted.replica.state() {
                None => {}
                // What a member that only begins to sync finds absent can be fetched already.
                Some(MemberState::Syncing | MemberState::Departing) => {
                    look_through(process, &mut machine.blocks, &*machine.engine, id, now)
                }
                Some(MemberState::Serving) => begin.push((id, epoch)),
            }
        }
        let layout = process.layout.clone();
        let due = process.upkeep.due(now, ROUND);
        let busy: BTreeSet<BlockHash> = process.jobs.values().filter_map(fetched).collect();
        let whole = if careless { all_departing(&layout) } else { process.upkeep.whole(&layout) };
        for (id, epoch) in begin {
            self.begin_job(m, id, JobKind::Look(epoch));
        }
        for hash in due.into_iter().filter(|hash| !busy.contains(hash)) {
            self.try_for(m, hash);
        }
        for (id, epoch) in whole {
            self.report(m, Report::Whole(id, epoch));
        }
        self.verify_for_drains(m, careless);
    }

    /// Reads some of what has to be read before a node is let go, and says when that may be.
    fn verify_for_drains(&mut self, m: usize, careless: bool) {
        let machine = &mut self.machines[m];
        let Some(process) = &mut machine.process else { return };
        let layout = process.layout.clone();
        let unverified = process.upkeep.unverified(&layout);
        if careless {
            return unverified.into_iter().for_each(|leaving| self.report(m, Report::Verified(leaving)));
        }
        if process.reading.is_none() && !unverified.is_empty() {
            process.reading = Some((unverified, machine.blocks.files.keys().copied().collect()));
        }
        let some = |(_, left): &mut (_, Vec<BlockHash>)| left.drain(..left.len().min(ROUND)).collect();
        let now: Vec<BlockHash> = process.reading.as_mut().map(some).unwrap_or_default();
        for hash in now {
            self.read_block(m, hash);
        }
        let Some(process) = &mut self.machines[m].process else { return };
        if let Some((leaving, _)) = process.reading.take_if(|(_, left)| left.is_empty()) {
            process.upkeep.verified(leaving, &layout);
        }
        let looks = process.jobs.values().any(|job| matches!(job.what, JobKind::Look(_)));
        let spared = if looks { Vec::new() } else { process.upkeep.spared(&layout) };
        for leaving in spared {
            self.report(m, Report::Verified(leaving));
        }
    }

    fn try_for(&mut self, m: usize, hash: BlockHash) {
        let machine = &mut self.machines[m];
        let Some(process) = &mut machine.process else { return };
        let id = hash.partition(process.hosted.len() as u16);
        let belongs = process.hosted[id.0 as usize].replica.state().is_some()
            && is_kept(&*machine.engine, id, &hash, true).unwrap_or(true);
        if machine.blocks.has(&hash) || !belongs {
            return process.upkeep.found(hash);
        }
        let holders = holders(&process.layout, id, process.me.node);
        let left = holders.iter().rev().map(|node| node.id).collect();
        // One that leaves and cannot be asked may have it, though it is lost.
        let unclear = holders.iter().any(|node| node.leaving() && self.machine_of(node.id).is_none());
        self.begin_job(m, id, JobKind::Fetch { hash, left, unclear });
    }

    /// Collects.
    pub(crate) fn collect(&mut self, m: usize) {
        self.local(m, self.scenario.grace, Local::Collect);
        let references_only = self.bugs.collection_ignores_pins();
        let machine = &mut self.machines[m];
        let Some(process) = machine.process.as_mut().filter(|process| !process.stopped) else { return };
        process.collector.end();
        let count = process.hosted.len() as u16;
        let mut groups: BTreeMap<PartitionId, Vec<BlockHash>> = BTreeMap::new();
        for hash in machine.blocks.files.keys() {
            groups.entry(hash.partition(count)).or_default().push(*hash);
        }
        let mut jobs = Vec::new();
        for (id, mut hashes) in groups {
            let here = process.hosted[id.0 as usize].replica.state().is_some();
            if here {
                hashes.retain(|hash| matches!(is_kept(&*machine.engine, id, hash, references_only), Ok(false)));
            }
            let again = process.collector.look(hashes);
            if again.is_empty() {
                continue;
            }
            machine.blocks.condemned.extend(&again);
            if here {
                jobs.push((id, JobKind::Sure(again)));
            } else if let Some(chain) = process.layout.chain(id).filter(|chain| settled_without(chain, process.me.node))
            {
                let left = chain.members.iter().map(|member| member.replica.node).collect();
                jobs.push((id, JobKind::Spare { hashes: again, left }));
            } else {
                pardon(&mut machine.blocks, &again);
                process.collector.stay(again);
            }
        }
        for (id, what) in jobs {
            self.begin_job(m, id, what);
        }
    }

    /// Deletes what is condemned still.
    fn delete(&mut self, m: usize, asked: Vec<BlockHash>, sure: &[BlockHash]) {
        let machine = &mut self.machines[m];
        let Some(process) = &mut machine.process else { return };
        let mut gone = Vec::new();
        for hash in sure {
            if machine.blocks.condemned.remove(hash) && machine.blocks.files.remove(hash).is_some() {
                gone.push(*hash);
            }
        }
        pardon(&mut machine.blocks, &asked);
        process.collector.stay(asked.into_iter().filter(|hash| !gone.contains(hash)));
        let node = process.me.node;
        for hash in gone {
            self.log(format_args!("{node} collects {hash:?}"));
            self.strike("blocks collected");
            self.observe(Observed::BlockGone { node, hash });
        }
    }

    fn begin_job(&mut self, m: usize, partition: PartitionId, what: JobKind) {
        let waits = matches!(what, JobKind::Look(_) | JobKind::Sure(_) | JobKind::Need { .. });
        let Some(process) = &mut self.machines[m].process else { return };
        process.jobs_begun += 1;
        let id = process.jobs_begun;
        let seq = if waits { None } else { Some(Seq(0)) };
        process.jobs.insert(id, Job { partition, seq, what });
        self.local(m, PATIENCE, Local::JobGivenUp(id));
        match waits {
            true => self.settle_tables(m, id),
            false => self.ask_next(m, id),
        }
    }

    /// As `node::reads::settled`: finds out up to where the tables must be.
    fn settle_tables(&mut self, m: usize, job: u64) {
        let env = self.environment(m);
        let Some(process) = &mut self.machines[m].process else { return };
        let Some(going) = process.jobs.get_mut(&job) else { return };
        let partition = going.partition;
        let replica = &process.hosted[partition.0 as usize].replica;
        if replica.check_read(&env).is_err() {
            return self.job_failed(m, job);
        }
        let progress = replica.progress();
        if progress.last.seq == progress.committed || replica.is_head() {
            going.seq = Some(progress.last.seq);
            return self.local(m, 1000, Local::Job(job));
        }
        self.ask(m, partition, Waiter::Job(job), |replica, env, request, _, out| replica.ask(env, request, out));
    }

    /// The head has said what is committed.
    pub(crate) fn job_answered(&mut self, m: usize, job: u64, seq: Option<Seq>) {
        match (seq, self.machines[m].process.as_mut().and_then(|process| process.jobs.get_mut(&job))) {
            (Some(seq), Some(going)) => {
                going.seq = Some(seq);
                self.local(m, 1000, Local::Job(job));
            }
            _ => self.job_failed(m, job),
        }
    }

    /// Goes on once the tables are far enough.
    pub(crate) fn job(&mut self, m: usize, id: u64) {
        let env = self.environment(m);
        let references_only = self.bugs.collection_ignores_pins();
        let machine = &mut self.machines[m];
        let now = machine.clock.monotonic(self.now);
        let Some(process) = &mut machine.process else { return };
        let Some(job) = process.jobs.get(&id) else { return };
        let Some(seq) = job.seq else { return };
        let hosted = &process.hosted[job.partition.0 as usize];
        if hosted.applied < seq {
            return self.local(m, 2 * MS, Local::Job(id));
        }
        let still = hosted.replica.check_read(&env).is_ok();
        let Some(Job { partition, what, .. }) = process.jobs.remove(&id) else { return };
        let free = |hashes: &[BlockHash]| -> Vec<BlockHash> {
            let kept = |hash: &&BlockHash| is_kept(&*machine.engine, partition, hash, references_only).unwrap_or(true);
            hashes.iter().filter(|hash| !kept(hash)).copied().collect()
        };
        match what {
            JobKind::Look(epoch) => {
                look_through(process, &mut machine.blocks, &*machine.engine, partition, now);
                process.upkeep.looked(partition, epoch);
            }
            JobKind::Sure(hashes) => {
                let sure = if still { free(&hashes) } else { Vec::new() };
                let what = JobKind::Delete { hashes, sure };
                process.jobs.insert(id, Job { partition, seq: Some(Seq(0)), what });
                let after = self.random.below(20 * MS);
                self.local(m, after, Local::Job(id));
            }
            JobKind::Delete { hashes, sure } => self.delete(m, hashes, &sure),
            JobKind::Need { hashes, from, boot, job } => {
                let unkept = free(&hashes);
                let mut needed = Vec::new();
                for hash in &hashes {
                    let here = self.machines[m].blocks.has(hash) && self.read_block(m, *hash);
                    needed.push(!unkept.contains(hash) && !here);
                }
                let needed = still.then_some(needed);
                self.send(m, from, Packet::Told { boot, job, talk: Talk::Needed(needed) });
            }
            JobKind::Spare { .. } | JobKind::Fetch { .. } => {}
        }
    }

    /// A job cannot be done now: what it was about waits for another time.
    pub(crate) fn job_failed(&mut self, m: usize, id: u64) {
        let machine = &mut self.machines[m];
        let now = machine.clock.monotonic(self.now);
        let Some(process) = &mut machine.process else { return };
        let Some(job) = process.jobs.remove(&id) else { return };
        match job.what {
            JobKind::Look(_) => process.upkeep.scan(job.partition),
            JobKind::Sure(hashes) | JobKind::Delete { hashes, .. } | JobKind::Spare { hashes, .. } => {
                pardon(&mut machine.blocks, &hashes);
                process.collector.stay(hashes);
            }
            JobKind::Need { from, boot, job, .. } => {
                self.send(m, from, Packet::Told { boot, job, talk: Talk::Needed(None) });
            }
            JobKind::Fetch { hash, .. } => drop(process.upkeep.failed(hash, false, now)),
        }
    }

    /// Asks the next of those that are to be asked.
    fn ask_next(&mut self, m: usize, id: u64) {
        let machine = &mut self.machines[m];
        let now = machine.clock.monotonic(self.now);
        let Some(process) = &mut machine.process else { return };
        let boot = process.boot;
        let Some(job) = process.jobs.get_mut(&id) else { return };
        let (next, talk) = match &mut job.what {
            JobKind::Spare { hashes, left } => (left.pop(), Talk::Need(hashes.clone())),
            JobKind::Fetch { hash, left, .. } => (left.pop(), Talk::Get(*hash)),
            _ => return,
        };
        if let Some(node) = next {
            match self.machine_of(node) {
                Some(to) => self.send(m, to, Packet::Talk { from: m, boot, job: id, talk }),
                None => self.told(m, boot, id, Talk::Got(false)),
            }
            return;
        }
        let Some(job) = process.jobs.remove(&id) else { return };
        match job.what {
            JobKind::Fetch { hash, unclear, .. } => drop(process.upkeep.failed(hash, !unclear, now)),
            JobKind::Spare { hashes, .. } => self.delete(m, hashes.clone(), &hashes),
            _ => {}
        }
    }

    /// Another node asks.
    pub(crate) fn talked(&mut self, m: usize, from: usize, boot: u64, job: u64, talk: Talk) {
        match talk {
            Talk::Get(hash) => {
                let good = self.read_block(m, hash);
                self.send(m, from, Packet::Told { boot, job, talk: Talk::Got(good) });
            }
            Talk::Need(hashes) => {
                let Some(first) = hashes.first() else { return };
                let partition = first.partition(self.scenario.partitions);
                self.begin_job(m, partition, JobKind::Need { hashes, from, boot, job });
            }
            Talk::Got(_) | Talk::Needed(_) => {}
        }
    }

    /// Another node has answered.
    pub(crate) fn told(&mut self, m: usize, boot: u64, id: u64, talk: Talk) {
        let Some(process) = self.machines[m].process.as_mut().filter(|process| process.boot == boot) else { return };
        let Some(job) = process.jobs.get_mut(&id) else { return };
        match (&mut job.what, talk) {
            (JobKind::Fetch { hash, .. }, Talk::Got(true)) => {
                let hash = *hash;
                process.jobs.remove(&id);
                process.upkeep.found(hash);
                self.strike("blocks fetched from others");
                self.put_block(m, hash);
            }
            (JobKind::Spare { hashes, .. }, Talk::Needed(Some(needed))) => {
                let mut needed = needed.into_iter();
                let kept: Vec<BlockHash> = hashes.iter().filter(|_| needed.next() != Some(false)).copied().collect();
                hashes.retain(|hash| !kept.contains(hash));
                process.collector.stay(kept);
                self.ask_next(m, id);
            }
            (JobKind::Spare { .. }, _) => self.job_failed(m, id),
            _ => self.ask_next(m, id),
        }
    }

    /// Verifies and gives a block; a bad one is put aside.
    fn read_block(&mut self, m: usize, hash: BlockHash) -> bool {
        let node = self.machines[m].node;
        match self.machines[m].blocks.files.get(&hash) {
            Some(false) => {
                self.machines[m].blocks.files.remove(&hash);
                self.strike("rotten blocks found");
                self.observe(Observed::BlockGone { node, hash });
                if let Some(process) = &mut self.machines[m].process {
                    process.expected.insert(hash);
                }
                false
            }
            found => found.is_some(),
        }
    }

    /// Reads one of the blocks again, now and then.
    pub(crate) fn scrub(&mut self, m: usize) {
        self.local(m, 500 * MS, Local::Scrub);
        let hashes: Vec<BlockHash> = self.machines[m].blocks.files.keys().copied().collect();
        if let Some(hash) = self.random.pick(&hashes) {
            self.read_block(m, *hash);
        }
    }

    /// Stores a block durably.
    pub(crate) fn put_block(&mut self, m: usize, hash: BlockHash) {
        let machine = &mut self.machines[m];
        machine.blocks.condemned.remove(&hash);
        machine.blocks.files.entry(hash).or_insert(true);
        let node = machine.node;
        self.observe(Observed::BlockStored { node, hash });
    }

    /// An upload asks, or sends.
    pub(crate) fn block_request(&mut self, m: usize, client: usize, attempt: u64, request: BlockRequest) {
        let machine = &mut self.machines[m];
        let Some(process) = &machine.process else { return };
        let (node, stopped) = (process.me.node, process.stopped);
        let applied = process.hosted[request.hash.partition(self.scenario.partitions).0 as usize].applied;
        let here = match request.put {
            true if stopped => return,
            true => {
                self.put_block(m, request.hash);
                true
            }
            // Not before the tables contain the pin that the question rests upon: the client asks again.
            false => applied >= request.after && machine.blocks.has(&request.hash),
        };
        self.reply(m, client, attempt, Reply::Block { node, here });
    }
}

/// A question whether a block is here, or the block itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockRequest {
    pub hash: BlockHash,
    pub put: bool,
    pub after: Seq,
}

fn fetched(job: &Job) -> Option<BlockHash> {
    match &job.what {
        JobKind::Fetch { hash, .. } => Some(*hash),
        _ => None,
    }
}

fn pardon(blocks: &mut BlockDisk, hashes: &[BlockHash]) {
    blocks.condemned.retain(|hash| !hashes.contains(hash));
}

fn all_departing(layout: &types::Layout) -> Vec<(PartitionId, Epoch)> {
    let chains = layout.chains.iter().enumerate();
    chains.map(|(index, chain)| (PartitionId(index as u16), chain.epoch)).collect()
}

fn referenced_block(effect: &Effect) -> Option<BlockHash> {
    let Effect::Put { key, .. } = effect else { return None };
    let reference = key.table == BLOCKS_TABLE && key.sort_key.first() == Some(&BLOCK_REFERENCE);
    <[u8; 32]>::try_from(&key.partition_key[..]).ok().filter(|_| reference).map(BlockHash)
}

/// Does anything keep the block: a reference, or a pin where that counts?
pub(crate) fn is_kept(
    engine: &dyn StorageEngine,
    partition: PartitionId,
    hash: &BlockHash,
    references_only: bool,
) -> Result<bool, storage::StorageError> {
    let key = bytes::Bytes::copy_from_slice(&hash.0);
    let query = match references_only {
        true => Query::prefix(BLOCKS_TABLE, key, &[BLOCK_REFERENCE]),
        false => Query::all(BLOCKS_TABLE, key),
    };
    Ok(!engine.snapshot(partition)?.query(&Query { limit: 1, ..query })?.items.is_empty())
}

/// Every block that a partition's references name.
pub(crate) fn references(engine: &dyn StorageEngine, partition: PartitionId) -> BTreeSet<BlockHash> {
    let rows = engine.snapshot(partition).and_then(|tables| tables.scan(BLOCKS_TABLE, None, usize::MAX));
    let reference = |(key, _): &(types::ItemKey, types::Item)| key.sort_key.first() == Some(&BLOCK_REFERENCE);
    let hash = |(key, _): (types::ItemKey, types::Item)| <[u8; 32]>::try_from(&key.partition_key[..]).ok();
    rows.unwrap_or_default().into_iter().filter(reference).filter_map(hash).map(BlockHash).collect()
}

fn look_through(
    process: &mut super::machine::Process,
    disk: &mut BlockDisk,
    engine: &dyn StorageEngine,
    partition: PartitionId,
    now: types::Monotonic,
) {
    for hash in references(engine, partition) {
        if !disk.has(&hash) {
            process.upkeep.lacks(hash, now);
        }
    }
}
