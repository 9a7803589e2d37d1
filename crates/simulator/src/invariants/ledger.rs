//! What really is on each disk, and what really is committed, worked out from what was observed.

use super::Observed;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use types::{
    Chain, Epoch, Incarnation, LogEntry, Monotonic, NodeId, OperationId, PartitionId, Record, ReplicaId, Seq, Version,
};

/// One partition's log on one node.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// Versions that are durable, from sequence 1 on. Zero where only a copy of the tables stands for them.
    pub entries: Vec<Version>,
    /// The last epoch that is durable.
    pub epoch: Epoch,
    /// A copy is being received.
    pub incomplete: bool,
    /// Records on their way, in order.
    pending: VecDeque<(u64, Record)>,
}

impl Disk {
    /// The last durable sequence.
    pub fn last(&self) -> Seq {
        Seq(self.entries.len() as u64)
    }

    /// The durable version there.
    pub fn at(&self, seq: Seq) -> Option<Version> {
        self.entries.get(usize::try_from(seq.0.checked_sub(1)?).ok()?).copied()
    }

    fn take(&mut self, record: &Record) {
        match record {
            Record::Epoch { epoch, .. } => self.epoch = self.epoch.max(*epoch),
            Record::Entry { entry, .. } => {
                self.entries.truncate((entry.version.seq.0 - 1) as usize);
                self.entries.push(entry.version);
            }
            Record::Truncate { after, .. } => self.entries.truncate(after.0 as usize),
            Record::Reset { .. } => {
                self.entries.clear();
                self.incomplete = true;
            }
            _ => {}
        }
    }
}

/// The truth.
#[derive(Debug, Default)]
pub struct Ledger {
    disks: BTreeMap<(NodeId, PartitionId), Disk>,
    /// The history of each partition that no failure within the promise can undo, from sequence 1 on.
    committed: BTreeMap<PartitionId, Vec<Version>>,
    entries: BTreeMap<(PartitionId, Version), Option<(OperationId, bool)>>,
    /// Nodes that have a disk that failed since they started.
    failed: BTreeSet<NodeId>,
    /// Copies that a disk's damage may have spoilt, and the node's life then: what that life had said is worth nothing.
    spoilt: BTreeMap<(NodeId, PartitionId), Incarnation>,
    /// The last life of each node.
    lives: BTreeMap<NodeId, Incarnation>,
    /// Nodes whose disks rot.
    rotten: BTreeSet<NodeId>,
    /// When the lease of a life ends, by its holder's clock, counted from the request.
    leases: BTreeMap<ReplicaId, Monotonic>,
}

impl Ledger {
    /// What a node has durably of a partition.
    pub fn disk(&self, node: NodeId, partition: PartitionId) -> Option<&Disk> {
        self.disks.get(&(node, partition))
    }

    /// The committed history.
    pub fn committed(&self, partition: PartitionId) -> &[Version] {
        self.committed.get(&partition).map_or(&[], Vec::as_slice)
    }

    /// True when that version is committed.
    pub fn is_committed(&self, partition: PartitionId, version: Version) -> bool {
        version == Version::ZERO
            || self.committed(partition).get(version.seq.0 as usize - 1).is_some_and(|there| *there == version)
    }

    /// The operation of an entry, and whether it was applied rather than fenced.
    pub fn operation(&self, partition: PartitionId, version: Version) -> Option<(OperationId, bool)> {
        self.entries.get(&(partition, version)).copied().flatten()
    }

    /// True when damage to the disk may have spoilt the copy: nothing is expected of it before it is made complete again.
    pub fn is_spoilt(&self, node: NodeId, partition: PartitionId) -> bool {
        self.spoilt.contains_key(&(node, partition))
    }

    /// True when the node's disk has failed since it started.
    pub fn failed(&self, node: NodeId) -> bool {
        self.failed.contains(&node)
    }

    /// True while the lease of that life counts, by its holder's clock.
    pub fn leased(&self, replica: ReplicaId, now: Monotonic) -> bool {
        self.leases.get(&replica).is_some_and(|until| now < *until)
    }

    pub(super) fn observe(&mut self, seen: &Observed<'_>) -> Result<(), String> {
        match seen {
            Observed::Boot { node, .. } => {
                self.failed.remove(node);
                for ((at, _), disk) in &mut self.disks {
                    if at == node {
                        disk.pending.clear();
                    }
                }
            }
            Observed::Leased { replica, sent, length, .. } => {
                let until = self.leases.entry(*replica).or_default();
                *until = (*until).max(*sent + *length);
            }
            Observed::Life { replica, .. } => drop(self.lives.insert(replica.node, replica.incarnation)),
            Observed::StorageFailed { node } => drop(self.failed.insert(*node)),
            Observed::Recovered { node, partition, applied, entries, incomplete } => {
                return self.recovered(*node, *partition, *applied, entries, *incomplete);
            }
            Observed::Appended { node, partition, number, record } => {
                if let Record::Entry { entry, .. } = record {
                    self.entries.insert((*partition, entry.version), operation_of(entry));
                }
                let disk = self.disks.entry((*node, *partition)).or_default();
                disk.pending.push_back((*number, (*record).clone()));
            }
            Observed::Synced { node, upto } => {
                for (partition, number) in *upto {
                    let disk = self.disks.entry((*node, *partition)).or_default();
                    while disk.pending.front().is_some_and(|(n, _)| n <= number) {
                        if let Some((_, record)) = disk.pending.pop_front() {
                            disk.take(&record);
                        }
                    }
                }
            }
            Observed::Installed { node, partition, version } => {
                let history = self.committed(*partition);
                if !self.is_committed(*partition, *version) {
                    return Err(format!("{node} took a copy of {version}, which is not committed in {partition}"));
                }
                let entries = history[..version.seq.0 as usize].to_vec();
                let disk = self.disks.entry((*node, *partition)).or_default();
                disk.incomplete = false;
                disk.entries = entries;
            }
            Observed::Sound { node } => drop(self.rotten.remove(node)),
            Observed::Rotten { node } | Observed::Wiped { node } => {
                self.rotten.insert(*node);
                let life = self.lives.get(node).copied().unwrap_or_default();
                self.spoilt.extend(self.disks.keys().filter(|(at, _)| at == node).map(|copy| (*copy, life)));
            }
            Observed::Layout { before, now } => {
                for (index, (old, new)) in before.chains.iter().zip(&now.chains).enumerate() {
                    for node in new.complete.difference(&old.complete).filter(|node| !self.rotten.contains(node)) {
                        let copy = (*node, PartitionId(index as u16));
                        // A report from before the damage may be acted upon after it.
                        let since = |life: &Incarnation| life_in(new, *node).or(life_in(old, *node)) > Some(*life);
                        if self.spoilt.get(&copy).is_some_and(since) {
                            self.spoilt.remove(&copy);
                        }
                    }
                }
            }
            Observed::Committed { replica, partition, seq, .. } => {
                return self.commit(replica.node, *partition, *seq);
            }
            _ => {}
        }
        Ok(())
    }

    /// A head commits: what its own disk has up to there becomes history, which must agree with history so far.
    fn commit(&mut self, head: NodeId, partition: PartitionId, seq: Seq) -> Result<(), String> {
        let Some(disk) = self.disks.get(&(head, partition)) else {
            return Err(format!("{head} commits {seq} of {partition} and has no log"));
        };
        if disk.last() < seq {
            return Err(format!(
                "invariant 11 (fsync before acknowledgement): {head} commits {seq} of {partition}, and only {} is durable there",
                disk.last()
            ));
        }
        let history = self.committed.entry(partition).or_default();
        for index in 0..seq.0 as usize {
            match (history.get(index).copied(), disk.entries[index]) {
                (Some(there), here) if there != here => {
                    return Err(format!(
                        "a committed write is lost: {partition} had committed {there}, {head} now commits {here}"
                    ));
                }
                (Some(_), _) => {}
                (None, here) => history.push(here),
            }
        }
        Ok(())
    }

    fn recovered(
        &mut self,
        node: NodeId,
        partition: PartitionId,
        applied: Version,
        entries: &[Version],
        incomplete: bool,
    ) -> Result<(), String> {
        let history = self.committed(partition).to_vec();
        let spoilt = self.is_spoilt(node, partition);
        let disk = self.disks.entry((node, partition)).or_default();
        disk.incomplete = incomplete;
        let before = std::mem::take(&mut disk.entries);
        if incomplete {
            return Ok(());
        }
        // What was applied was durable, or committed and copied.
        let base = applied.seq.0 as usize;
        disk.entries = before.iter().copied().take(base).collect();
        while disk.entries.len() < base {
            let next = history.get(disk.entries.len()).copied().unwrap_or_default();
            disk.entries.push(next);
        }
        disk.entries.extend(entries);
        let lost = |(index, version): &(usize, &Version)| {
            disk.entries.get(*index) != Some(*version) && history.get(*index) == Some(*version)
        };
        match before.iter().enumerate().find(lost) {
            Some((_, version)) if !spoilt => {
                Err(format!("{node} had {version} of {partition} durable, and lost it at a restart"))
            }
            _ => Ok(()),
        }
    }
}

fn life_in(chain: &Chain, node: NodeId) -> Option<Incarnation> {
    chain.member(node).map(|member| member.replica.incarnation)
}

fn operation_of(entry: &LogEntry) -> Option<(OperationId, bool)> {
    entry.operation.as_ref().map(|(id, _, counters)| (*id, counters.is_some()))
}
