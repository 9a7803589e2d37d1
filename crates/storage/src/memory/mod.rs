//! The engine in memory, for simulation: the same promises, and a disk that fails on command.
//!
//! **Invariants**: deterministic (ordered maps, no thread, no clock, no randomness but what
//! [`MemoryEngine::crash`] is given); what was synced survives a crash, what was not may be lost
//! from some record on; the tables come back as they are or as they were durably, between
//! whole batches. **Proved by** the conformance suite that `lsm` passes too.

mod tables;

use crate::history::History;
use crate::poison::Poison;
use crate::{Recovered, Row, Snapshot, StorageEngine, StorageError};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use tables::{AllTables, MemorySnapshot};
use types::{
    Effect, Epoch, HybridTime, Item, ItemKey, LogEntry, OperationId, Outcome, PartitionId, Record, Rng, Seq, Version,
    WallMillis,
};

/// Log kept although the tables have it, in records.
const RETAIN_RECORDS: usize = 10_000;
/// What a disk that is not full says.
const ROOMY: u64 = 1 << 40;

/// [`StorageEngine`] in memory.
pub struct MemoryEngine {
    state: Mutex<State>,
    poison: Poison,
    retain: usize,
}

#[derive(Default)]
struct State {
    /// What the disk holds.
    records: VecDeque<Stored>,
    /// How many of `records` are durable.
    synced: usize,
    /// What only records said that were released since.
    released: BTreeMap<PartitionId, Facts>,
    /// The tables as they are durably.
    durable: AllTables,
    tables: AllTables,
    histories: BTreeMap<PartitionId, History<Arc<LogEntry>>>,
    fail_next_sync: bool,
    full: bool,
}

/// A record on the simulated disk.
#[derive(Clone, Debug)]
enum Stored {
    Record(Record),
    /// The log was found torn here.
    Cut,
}

#[derive(Clone, Copy, Default)]
struct Facts {
    epoch: Epoch,
    incomplete: bool,
    torn: bool,
}

impl Default for MemoryEngine {
    fn default() -> Self {
        Self::new()
    }
}

fn misuse(why: String) -> StorageError {
    StorageError::Io(io::Error::new(io::ErrorKind::InvalidInput, why))
}

fn puts(entry: &LogEntry) -> bool {
    entry.effects.iter().any(|effect| matches!(effect, Effect::Put { .. }))
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
    /// they were at the last checkpoint, and the engine is as if opened again.
    pub fn crash(&self, rng: &mut dyn Rng) {
        let mut state = self.state.lock();
        let unsynced = state.records.len() - state.synced;
        if unsynced > 0 {
            let kept = (rng.next_u64() % (unsynced as u64 + 1)) as usize;
            // The first record lost may have left a piece of itself, or others behind it.
            let torn = kept < unsynced && rng.next_u64() & 1 == 1;
            let length = state.synced + kept;
            state.records.truncate(length);
            if torn {
                state.records.push_back(Stored::Cut);
            }
        }
        if rng.next_u64() & 1 == 1 {
            state.tables = state.durable.clone();
        }
        state.open();
        self.poison.clear();
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

impl State {
    /// What opening does: reads the log again, and empties what is incomplete.
    fn open(&mut self) {
        self.synced = self.records.len();
        self.fail_next_sync = false;
        self.histories.clear();
        let mut cut = false;
        for stored in &self.records {
            match stored {
                Stored::Cut => {
                    cut = true;
                    self.histories.values_mut().for_each(|history| history.torn = true);
                }
                Stored::Record(record) => {
                    let history = self.histories.entry(record.partition()).or_insert_with(|| {
                        let facts = self.released.get(&record.partition()).copied().unwrap_or_default();
                        facts.begin(cut)
                    });
                    let seen = history.observe(record, Arc::clone);
                    debug_assert_eq!(seen, Ok(()), "appended, so it followed");
                }
            }
        }
        for (partition, facts) in &self.released {
            self.histories.entry(*partition).or_insert_with(|| facts.begin(cut));
        }
        for partition in self.tables.keys() {
            self.histories.entry(*partition).or_insert_with(|| Facts::default().begin(cut));
        }
        for (partition, history) in &mut self.histories {
            if history.incomplete == Some(true) {
                self.tables.remove(partition);
            }
            let applied = self.tables.get(partition).map_or(Seq(0), |tables| tables.version.seq);
            history.settle(applied);
            debug_assert!(history.range().0 <= applied.next(), "partition {partition}: the log was released too early");
        }
    }

    fn applied(&self, partition: PartitionId) -> (Version, HybridTime) {
        self.tables.get(&partition).map(|tables| (tables.version, tables.time)).unwrap_or_default()
    }

    fn append(&mut self, record: &Record) -> Result<(), StorageError> {
        let partition = record.partition();
        let history = self.histories.entry(partition).or_insert_with(|| History::after(Seq(0)));
        history.observe(record, Arc::clone).map_err(|why| misuse(format!("partition {partition}: {why}")))?;
        self.records.push_back(Stored::Record(record.clone()));
        Ok(())
    }

    fn sync(&mut self, poison: &Poison) -> Result<(), StorageError> {
        poison.check()?;
        if std::mem::take(&mut self.fail_next_sync) {
            return poison.watch("syncing the log", Err(io::Error::other("the simulated disk fails")));
        }
        self.synced = self.records.len();
        Ok(())
    }

    /// Whether any entry up to these is not durable yet.
    fn unsynced_any(&self, ends: &BTreeMap<PartitionId, Seq>) -> bool {
        self.records.range(self.synced..).any(|stored| match stored {
            Stored::Record(Record::Entry { partition, entry }) => {
                ends.get(partition).is_some_and(|end| entry.version.seq <= *end)
            }
            _ => false,
        })
    }

    fn check(&self, records: &[Record]) -> Result<(), StorageError> {
        let mut spans = BTreeMap::new();
        for record in records {
            let partition = record.partition();
            let known =
                || self.histories.get(&partition).and_then(History::span).unwrap_or(crate::history::Span::empty(1));
            let before = spans.get(&partition).copied().unwrap_or_else(known);
            let after = before.step(record).map_err(|why| misuse(format!("partition {partition}: {why}")))?;
            spans.insert(partition, after);
            match record {
                Record::Entry { entry, .. } if self.full && puts(entry) => {
                    return Err(StorageError::Full { free: 0, needed: 1 });
                }
                Record::Truncate { after, .. } if *after < self.applied(partition).0.seq => {
                    let applied = self.applied(partition).0;
                    return Err(misuse(format!(
                        "partition {partition}: {applied} is applied, cannot truncate after {after}"
                    )));
                }
                Record::Installed { .. } => {
                    return Err(misuse(format!("partition {partition}: `install` ends a full copy")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Drops what recovery does not need from the log's front, but for `retain` records.
    fn release(&mut self, retain: usize) {
        let applied: BTreeMap<PartitionId, Seq> =
            self.durable.iter().map(|(partition, tables)| (*partition, tables.version.seq)).collect();
        while self.records.len() > retain && self.synced > 0 {
            let Some(front) = self.records.front() else { break };
            if let Stored::Record(record) = front {
                let partition = record.partition();
                let done = applied.get(&partition).copied().unwrap_or_default();
                if let Record::Entry { entry, .. } = record {
                    let history = self.histories.get(&partition);
                    let stands = history.and_then(|history| history.get(entry.version.seq));
                    if stands.is_some_and(|stands| stands.version == entry.version) {
                        if entry.version.seq > done {
                            break;
                        }
                        let first = entry.version.seq;
                        if let Some(history) = self.histories.get_mut(&partition) {
                            history.release(|entry| entry.version.seq <= first);
                        }
                    }
                }
            }
            self.records.pop_front();
            self.synced -= 1;
        }
    }
}

impl Facts {
    fn of<L>(history: &History<L>) -> Facts {
        Facts { epoch: history.epoch, incomplete: history.incomplete == Some(true), torn: history.torn }
    }

    /// A partition as known before the first record that the log has of it.
    fn begin(self, cut: bool) -> History<Arc<LogEntry>> {
        let mut history = History::default();
        history.epoch = self.epoch;
        history.torn = self.torn || cut;
        history.incomplete = self.incomplete.then_some(true);
        history
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
        Ok(self.state.lock().tables.get(&partition).and_then(|tables| tables.get(key)))
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

    fn clear(&self, partition: PartitionId) -> Result<(), StorageError> {
        self.poison.check()?;
        self.state.lock().tables.remove(&partition);
        Ok(())
    }

    fn import(&self, partition: PartitionId, rows: &[Row]) -> Result<(), StorageError> {
        let mut state = self.state.lock();
        self.poison.check()?;
        if state.full {
            return Err(StorageError::Full { free: 0, needed: 1 });
        }
        let tables = Arc::make_mut(state.tables.entry(partition).or_default());
        rows.iter().try_for_each(|row| tables.import(row))
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
        let released = state.histories.iter().map(|(partition, history)| (*partition, Facts::of(history))).collect();
        state.release(self.retain);
        state.released = released;
        Ok(())
    }

    fn free_bytes(&self) -> u64 {
        if self.state.lock().full { 0 } else { ROOMY }
    }
}
