//! The engine in memory, for simulation: the same promises, and a disk that fails on command.
//!
//! **Invariants**: deterministic (ordered maps, no thread, no clock, no randomness but what
//! [`MemoryEngine::crash`] is given); what was synced survives a crash, what was not may be lost
//! from some record on; the tables come back as they are or as they were durably, between
//! whole batches. **Proved by** the conformance suite that `lsm` passes too.

mod state;
mod tables;

use crate::history::History;
use crate::poison::Poison;
use crate::{Recovered, Snapshot, StorageEngine, StorageError};
use parking_lot::Mutex;
use state::{Facts, State, misuse};
use std::collections::BTreeMap;
use std::sync::Arc;
use tables::MemorySnapshot;
use types::{
    HybridTime, Item, ItemKey, LogEntry, OperationId, Outcome, PartitionId, Record, Rng, Row, RowRange, Seq, Version,
    WallMillis,
};

/// Log kept although the tables have it, in records.
const RETAIN_RECORDS: usize = 10_000;
/// What a disk that is not full says.
const ROOMY: u64 = 1 << 40;

/// What a loss of power took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Records of the log.
    pub records: usize,
    /// The log's end is torn.
    pub torn: bool,
    /// The tables are back where they were durably.
    pub tables: bool,
}

/// [`StorageEngine`] in memory.
pub struct MemoryEngine {
    state: Mutex<State>,
    poison: Poison,
    retain: usize,
}

impl Default for MemoryEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryEngine {
    /// An empty disk.
    pub fn new() -> MemoryEngine {
        MemoryEngine::retaining(RETAIN_RECORDS)
    }

    /// An empty disk; a checkpoint keeps so many records of the log although the tables have them.
    pub fn retaining(records: usize) -> MemoryEngine {
        MemoryEngine { state: Mutex::default(), poison: Poison::default(), retain: records }
    }

    /// Power is lost. A random part of what was not synced is gone, the tables may be back where
    /// they were at the last checkpoint, and the engine is as if opened again. Gives what was lost.
    pub fn crash(&self, rng: &mut dyn Rng) -> Lost {
        let mut state = self.state.lock();
        let unsynced = state.records.len() - state.synced;
        let mut lost = Lost::default();
        if unsynced > 0 {
            let kept = (rng.next_u64() % (unsynced as u64 + 1)) as usize;
            // The first record lost may have left a piece of itself, or others behind it.
            lost.torn = kept < unsynced && rng.next_u64() & 1 == 1;
            lost.records = unsynced - kept;
            let length = state.synced + kept;
            state.records.truncate(length);
            if lost.torn {
                state.store(None);
            }
        }
        lost.tables = rng.next_u64() & 1 == 1;
        if lost.tables {
            state.tables = state.durable.clone();
        }
        state.open();
        self.poison.clear();
        lost
    }

    /// Besides, a piece is left of a record that was being written as the power went.
    pub fn tear(&self) {
        let mut state = self.state.lock();
        state.store(None);
        state.open();
    }

    /// A durable record of the log rots: the last, or any. False: there is none.
    pub fn rot_log(&self, last: bool, rng: &mut dyn Rng) -> bool {
        let mut state = self.state.lock();
        if state.synced == 0 {
            return false;
        }
        let at = if last { state.synced - 1 } else { (rng.next_u64() % state.synced as u64) as usize };
        let Some(stored) = state.records.get_mut(at) else { return false };
        stored.rotten = true;
        if let Some(Record::Entry { partition, entry }) = &stored.record {
            let which = (*partition, entry.version);
            state.rotten.insert(which);
        }
        true
    }

    /// An item in the tables rots. False: there is none.
    pub fn rot_tables(&self, rng: &mut dyn Rng) -> bool {
        let mut state = self.state.lock();
        let items: Vec<(PartitionId, ItemKey)> = state
            .tables
            .iter()
            .flat_map(|(partition, tables)| tables.keys().map(|key| (*partition, key.clone())))
            .collect();
        let Some((partition, key)) = items.get((rng.next_u64() % items.len().max(1) as u64) as usize) else {
            return false;
        };
        let state = &mut *state;
        for tables in [&mut state.tables, &mut state.durable] {
            if let Some(tables) = tables.get_mut(partition) {
                Arc::make_mut(tables).rot(key);
            }
        }
        true
    }

    /// What rotted is as it was. To be called on a disk that is not in use.
    pub fn mend(&self) {
        self.state.lock().mend();
    }

    /// Whether anything on the disk rots.
    pub fn rotten(&self) -> bool {
        let state = self.state.lock();
        let tables = state.tables.values().chain(state.durable.values());
        state.records.iter().any(|stored| stored.rotten)
            || tables.into_iter().any(|tables| tables.check(|_| true).is_err())
    }

    /// Why the disk cannot be opened, if it cannot: what it holds must not be looked at.
    pub fn damaged(&self) -> Option<String> {
        self.state.lock().damaged.clone()
    }

    /// The process ends and starts again: everything written is there, synced or not.
    pub fn reopen(&self) {
        self.state.lock().open();
        self.poison.clear();
    }

    /// The disk is replaced by an empty one.
    pub fn wipe(&self) {
        *self.state.lock() = State::default();
        self.poison.clear();
    }

    /// The next sync fails, and with it everything after.
    pub fn fail_next_sync(&self) {
        self.state.lock().fail_next_sync = true;
    }

    /// Whether the disk takes only deletes.
    pub fn set_full(&self, full: bool) {
        self.state.lock().full = full;
    }

    /// How many records are in the log but would not survive every crash.
    pub fn unsynced(&self) -> usize {
        let state = self.state.lock();
        state.records.len() - state.synced
    }
}

impl StorageEngine for MemoryEngine {
    fn recovered(&self) -> BTreeMap<PartitionId, Recovered> {
        let state = self.state.lock();
        let of = |(partition, history): (&PartitionId, &History<Arc<LogEntry>>)| {
            let (applied, time) = state.applied(*partition);
            let incomplete = history.incomplete == Some(true);
            let unapplied = match history.from(applied.seq.next()) {
                Ok(entries) if !incomplete => entries.map(|entry| LogEntry::clone(entry)).collect(),
                _ => Vec::new(),
            };
            let recovered =
                Recovered { epoch: history.epoch, applied, time, unapplied, torn: history.torn, incomplete };
            (*partition, recovered)
        };
        state.histories.iter().map(of).collect()
    }

    fn append(&self, records: &[Record]) -> Result<(), StorageError> {
        let mut state = self.state.lock();
        self.poison.check()?;
        state.check(records)?;
        records.iter().try_for_each(|record| state.append(record))
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.state.lock().sync(&self.poison)
    }

    fn entries(&self, partition: PartitionId, from: Seq, bytes_max: usize) -> Result<Vec<LogEntry>, StorageError> {
        let state = self.state.lock();
        let Some(history) = state.histories.get(&partition) else { return Ok(Vec::new()) };
        let (mut out, mut bytes) = (Vec::new(), 0);
        for entry in history.from(from)? {
            bytes += entry.weight();
            if bytes > bytes_max && !out.is_empty() {
                break;
            }
            if state.rotten.contains(&(partition, entry.version)) {
                return Err(StorageError::Damaged(format!("log record of {}: its checksum fails", entry.version)));
            }
            out.push(LogEntry::clone(entry));
        }
        Ok(out)
    }

    fn log_range(&self, partition: PartitionId) -> (Seq, Seq) {
        self.state.lock().histories.get(&partition).map_or((Seq(1), Seq(0)), History::range)
    }

    fn apply(&self, entries: &[(PartitionId, Arc<LogEntry>)]) -> Result<(), StorageError> {
        let mut state = self.state.lock();
        self.poison.check()?;
        let mut ends: BTreeMap<PartitionId, Seq> = BTreeMap::new();
        for (partition, entry) in entries {
            let before = ends.get(partition).copied().unwrap_or_else(|| state.applied(*partition).0.seq);
            if entry.version.seq != before.next() {
                return Err(misuse(format!("partition {partition}: {} does not follow {before}", entry.version)));
            }
            if state.histories.get(partition).is_none_or(|history| history.get(entry.version.seq).is_none()) {
                return Err(misuse(format!("partition {partition}: entry {} is not in the log", entry.version.seq)));
            }
            ends.insert(*partition, entry.version.seq);
        }
        // The tables must never be ahead of the durable log.
        if state.unsynced_any(&ends) {
            state.sync(&self.poison)?;
        }
        for (partition, entry) in entries {
            Arc::make_mut(state.tables.entry(*partition).or_default()).apply(entry);
        }
        Ok(())
    }

    fn applied(&self, partition: PartitionId) -> Version {
        self.state.lock().applied(partition).0
    }

    fn get(&self, partition: PartitionId, key: &ItemKey) -> Result<Option<Item>, StorageError> {
        let state = self.state.lock();
        let Some(tables) = state.tables.get(&partition) else { return Ok(None) };
        tables.check(|rotten| rotten == key)?;
        Ok(tables.get(key))
    }

    fn outcome(&self, partition: PartitionId, operation: &OperationId) -> Result<Option<Outcome>, StorageError> {
        Ok(self.state.lock().tables.get(&partition).and_then(|tables| tables.outcome(operation)))
    }

    fn snapshot(&self, partition: PartitionId) -> Result<Box<dyn Snapshot>, StorageError> {
        let tables = self.state.lock().tables.get(&partition).cloned().unwrap_or_default();
        Ok(Box::new(MemorySnapshot(tables)))
    }

    fn due(
        &self,
        partition: PartitionId,
        now: WallMillis,
        limit: usize,
    ) -> Result<Vec<(ItemKey, Version)>, StorageError> {
        Ok(self.state.lock().tables.get(&partition).map(|tables| tables.due(now, limit)).unwrap_or_default())
    }

    fn begin_copy(&self, partition: PartitionId) -> Result<(), StorageError> {
        self.poison.check()?;
        if let Some(tables) = self.state.lock().tables.get_mut(&partition) {
            Arc::make_mut(tables).unsettle();
        }
        Ok(())
    }

    fn import(&self, partition: PartitionId, range: &RowRange, rows: &[Row]) -> Result<(), StorageError> {
        let mut state = self.state.lock();
        self.poison.check()?;
        Arc::make_mut(state.tables.entry(partition).or_default()).import(range, rows)
    }

    fn install(&self, partition: PartitionId, version: Version, time: HybridTime) -> Result<(), StorageError> {
        let mut state = self.state.lock();
        self.poison.check()?;
        let tables = Arc::make_mut(state.tables.entry(partition).or_default());
        (tables.version, tables.time) = (version, time);
        state.durable = state.tables.clone();
        state.append(&Record::Installed { partition, version, time })?;
        state.sync(&self.poison)
    }

    fn checkpoint(&self) -> Result<(), StorageError> {
        let mut state = self.state.lock();
        state.sync(&self.poison)?;
        state.durable = state.tables.clone();
        state.checkpointed = state.released_count + state.records.len() as u64;
        let of =
            |(partition, history): (&PartitionId, _)| (*partition, Facts::of(history, state.applied(*partition).0.seq));
        let released = state.histories.iter().map(of).collect();
        state.release(self.retain);
        state.released = released;
        Ok(())
    }

    fn free_bytes(&self) -> u64 {
        if self.state.lock().full { 0 } else { ROOMY }
    }
}
