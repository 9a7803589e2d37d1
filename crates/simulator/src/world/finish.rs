//! After healing: everything must come right within bounded time, and every acknowledged write be there.

use super::World;
use super::blocks::{is_kept, references};
use super::client::What;
use super::event::{ClientEvent, Event};
use super::load::TABLE;
use crate::history::{self, CheckError, Value};
use crate::scenario::{MS, SECOND};
use std::collections::BTreeMap;
use storage::StorageEngine;
use types::transaction::from_sortable;
use types::{ItemKey, PartitionId};

/// How long everything may take to come right.
const PATIENCE: u64 = 60 * SECOND;
/// Operations that each client must get done once all is well.
const OWED: u32 = 6;

/// How far the end has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Chains are not full yet.
    #[default]
    Healing,
    /// Clients do what must succeed.
    Serving,
    /// All is done.
    Done,
}

impl World {
    /// Looks whether all is well; in the end looks for every write.
    pub(crate) fn converged(&mut self) {
        if self.now - self.healed_at > PATIENCE {
            let why = self.not_well().or_else(|| self.blocks_not_well());
            let why = why.unwrap_or_else(|| "clients do not finish".into());
            return self.fail(format!("liveness: {} s after all faults ended: {why}", PATIENCE / SECOND));
        }
        self.at(self.now + 100 * MS, Event::Converged);
        // A disk told to fail at its next sync may do so only now.
        for m in 0..self.machines.len() {
            if self.machines[m].process.as_ref().is_some_and(|process| process.stopped) {
                self.stop(m, false);
                self.at(self.now + 50 * MS, Event::Start(m));
            }
        }
        if self.not_well().is_some() {
            return;
        }
        match self.ending {
            Ending::Healing => {
                self.log(format_args!("all chains are full"));
                self.ending = Ending::Serving;
                for c in 0..self.clients.len() {
                    self.clients[c].owed = OWED;
                    self.at(self.now + MS, Event::Client { client: c, what: ClientEvent::Begin });
                }
            }
            Ending::Serving => {
                let busy = |client: &super::client::Client| {
                    client.owed > 0 || client.doing.is_some() || client.upload.is_some()
                };
                if !self.clients.iter().any(busy) && self.settled() && self.blocks_not_well().is_none() {
                    self.ending = Ending::Done;
                    self.judge();
                }
            }
            Ending::Done => {}
        }
    }

    /// What is not as it should be, if anything is.
    fn not_well(&self) -> Option<String> {
        let layout = &self.control.layout;
        if let Some((_, wish)) = self.wishes.first_key_value() {
            return Some(format!("still to be done: {wish:?}"));
        }
        if let Some(node) = layout.nodes.values().find(|node| self.machine_of(node.id).is_none()) {
            return Some(format!("{} is a member and nobody runs it", node.id));
        }
        for machine in &self.machines {
            if machine.rotten {
                return Some(format!("{} has a damaged disk", machine.node));
            }
            let Some(process) = &machine.process else { return Some(format!("{} does not run", machine.node)) };
            if !process.life.lease().valid(machine.clock.monotonic(self.now)) {
                return Some(format!("{} has no lease", machine.node));
            }
        }
        for (index, chain) in layout.chains.iter().enumerate() {
            let partition = PartitionId(index as u16);
            let serving: Vec<_> = chain.serving().map(|replica| replica.node).collect();
            let full = chain.members.len() == chain.wanted.len()
                && chain.wanted.iter().all(|node| serving.contains(node))
                && chain.complete.len() == serving.len();
            if !full {
                return Some(format!("partition {partition} is {chain:?}"));
            }
            for replica in chain.serving() {
                let process = self.machine_of(replica.node).and_then(|m| self.machines[m].process.as_ref());
                let hosted = process.map(|process| &process.hosted[index].replica);
                if hosted.is_none_or(|hosted| !hosted.ready() || hosted.progress().epoch != chain.epoch) {
                    let progress = hosted.map(|hosted| (hosted.progress(), hosted.state()));
                    return Some(format!(
                        "{} of partition {partition} is not ready: {progress:?}, {chain:?}",
                        replica.node
                    ));
                }
            }
        }
        None
    }

    /// Whether some wanted member lacks a block that is referred to, or somebody keeps one that nothing keeps.
    fn blocks_not_well(&self) -> Option<String> {
        let layout = &self.control.layout;
        for (index, chain) in layout.chains.iter().enumerate() {
            let partition = PartitionId(index as u16);
            for machine in chain.serving().filter_map(|replica| self.machine_of(replica.node)) {
                let machine = &self.machines[machine];
                let references = references(&*machine.engine, partition);
                if let Some(hash) = references.iter().find(|hash| machine.blocks.files.get(hash) != Some(&true)) {
                    return Some(format!("{} lacks block {hash}", machine.node));
                }
            }
        }
        for machine in &self.machines {
            for hash in machine.blocks.files.keys() {
                let partition = hash.partition(self.scenario.partitions);
                let chain = layout.chain(partition)?;
                let head = chain.head().and_then(|head| self.machine_of(head.node))?;
                let kept = is_kept(&*self.machines[head].engine, partition, hash, false).unwrap_or(false);
                if !kept || chain.member(machine.node).is_none() {
                    return Some(format!("{} has block {hash} for nothing", machine.node));
                }
            }
        }
        None
    }

    /// Whether every serving replica has everything in its tables.
    fn settled(&self) -> bool {
        self.control.layout.chains.iter().enumerate().all(|(index, chain)| {
            let seqs: Vec<_> = chain
                .serving()
                .filter_map(|replica| {
                    let machine = &self.machines[self.machine_of(replica.node)?];
                    let progress = machine.process.as_ref()?.hosted[index].replica.progress();
                    Some((
                        progress.last,
                        progress.applied == progress.last.seq && progress.durable == progress.last.seq,
                    ))
                })
                .collect();
            let Some((first, _)) = seqs.first() else { return false };
            seqs.iter().all(|(last, all)| *all && last == first)
        })
    }

    /// Every key, as the tables of a node hold it.
    fn contents(&self, m: usize, partition: PartitionId) -> BTreeMap<ItemKey, types::Item> {
        let snapshot = self.machines[m].engine.snapshot(partition);
        snapshot.and_then(|snapshot| snapshot.scan(TABLE, None, usize::MAX)).unwrap_or_default().into_iter().collect()
    }

    /// The end: replicas agree, counters add up, histories are linearizable, nothing acknowledged is missing.
    fn judge(&mut self) {
        let mut everything = BTreeMap::new();
        let layout = self.control.layout.clone();
        for (index, chain) in layout.chains.iter().enumerate() {
            let partition = PartitionId(index as u16);
            let mut first: Option<BTreeMap<_, _>> = None;
            for m in chain.serving().filter_map(|replica| self.machine_of(replica.node)).collect::<Vec<_>>() {
                let here = self.contents(m, partition);
                if first.as_ref().is_some_and(|first| *first != here) {
                    return self.fail(format!("replicas of partition {partition} differ in the end"));
                }
                first = Some(here);
            }
            everything.extend(first.unwrap_or_default());
        }
        let mut final_state = BTreeMap::new();
        for (key, item) in everything {
            let (pk, sort) = (String::from_utf8_lossy(&key.partition_key), String::from_utf8_lossy(&key.sort_key));
            if sort == "n" {
                let value = <[u8; 8]>::try_from(&item.value[..]).map(from_sortable).unwrap_or(-1);
                if let Err(why) = self.counters.final_value(&pk, value) {
                    return self.fail(why);
                }
            } else if sort != "t" {
                final_state.insert(format!("{pk}/{sort}"), Value(item.value));
            }
        }
        for key in self.counters.given_keys() {
            if !layout.chains.is_empty() && !self.has_counter(&key) {
                return self.fail(format!("counter {key} is gone"));
            }
        }
        let operations = self.history.operations().to_vec();
        if let Err(error) = history::acknowledged_writes_present(&operations, &final_state) {
            return self.judged("an acknowledged write is missing", &error);
        }
        if let Err(error) = history::check(&history::with_final_reads(&operations, &final_state)) {
            self.judged("not linearizable", &error);
        }
    }

    fn has_counter(&self, key: &str) -> bool {
        let partition = super::serve::partition_of(key.as_bytes(), self.scenario.partitions);
        let head = self.control.layout.chain(partition).and_then(types::Chain::head);
        head.and_then(|replica| self.machine_of(replica.node))
            .is_some_and(|m| self.contents(m, partition).contains_key(&ItemKey::new(TABLE, key.to_owned(), "n")))
    }

    fn judged(&mut self, what: &str, error: &CheckError) {
        match error {
            // Not a fault of the cluster: too entangled to judge.
            CheckError::Undecided { .. } => self.undecided = true,
            _ => self.fail(format!("{what}: {error}")),
        }
    }

    /// For messages: what the clients wait for.
    pub(crate) fn doings(&self) -> Vec<String> {
        let of = |(c, client): (usize, &super::client::Client)| {
            let doing = client.doing.as_ref()?;
            let what = match &doing.what {
                What::Write { transaction, .. } => format!("{:?}", transaction.updates),
                What::Read { read, .. } => format!("{read:?}"),
                What::Store(hash) => format!("store {hash:?}"),
            };
            Some(format!("client {c} since {} ms: {what}", (self.now - doing.begun) / MS))
        };
        self.clients.iter().enumerate().filter_map(of).collect()
    }
}
