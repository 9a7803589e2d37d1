//! What the simulated disk holds, and what the engine makes of it.

use super::tables::AllTables;
use crate::StorageError;
use crate::history::{History, Span};
use crate::poison::Poison;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use types::{Epoch, HybridTime, LogEntry, PartitionId, Record, Seq, Version};

#[derive(Default)]
pub(super) struct State {
    /// What the disk holds.
    pub records: VecDeque<Stored>,
    /// How many of `records` are durable.
    pub synced: usize,
    /// How many were released before the first of `records`.
    pub released_count: u64,
    /// How many there were at the last checkpoint, all durable.
    pub checkpointed: u64,
    /// Entries whose records do not pass their checksum any more.
    pub rotten: BTreeSet<(PartitionId, Version)>,
    /// What was cut off with the first rotten record, how long the log was then, and the tables before that was
    /// known to them.
    pub cut_off: Option<(u64, Vec<Stored>, AllTables)>,
    /// Why opening was refused.
    pub damaged: Option<String>,
    /// What only records said that were released since.
    pub released: BTreeMap<PartitionId, Facts>,
    /// The tables as they are durably.
    pub durable: AllTables,
    pub tables: AllTables,
    pub histories: BTreeMap<PartitionId, History<Arc<LogEntry>>>,
    pub fail_next_sync: bool,
    pub full: bool,
}

/// A record on the simulated disk.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// None: the log was found torn here.
    pub record: Option<Record>,
    /// How many records were durable when it was written, the released ones counted.
    pub synced: u64,
    pub rotten: bool,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Facts {
    pub epoch: Epoch,
    /// The tables had this, durably.
    pub applied: Seq,
    pub incomplete: bool,
    pub torn: bool,
}

pub(super) fn misuse(why: String) -> StorageError {
    StorageError::Io(io::Error::new(io::ErrorKind::InvalidInput, why))
}

impl State {
    /// What opening does: reads the log again, and has nothing applied where a copy did not end.
    pub fn open(&mut self) {
        self.fail_next_sync = false;
        self.histories.clear();
        self.damaged = self.check_rot().err();
        if self.damaged.is_some() {
            return;
        }
        self.synced = self.records.len();
        let mut cut = false;
        for stored in &self.records {
            match &stored.record {
                None => {
                    cut = true;
                    self.histories.values_mut().for_each(|history| history.torn = true);
                }
                Some(record) => {
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
            if history.incomplete == Some(true)
                && let Some(tables) = self.tables.get_mut(partition)
            {
                Arc::make_mut(tables).unsettle();
            }
            let tables = self.tables.get(partition);
            let applied = tables.map_or(Seq(0), |tables| tables.version.seq);
            let before = self.released.get(partition).map_or(Seq(0), |facts| facts.applied);
            if let Err(why) = agree(history, applied, before) {
                self.damaged = Some(format!("partition {partition}: {why}"));
            }
            if applied == Seq(0) && tables.is_some_and(|tables| !tables.is_empty()) {
                // A copy is under way, and what says so was cut off.
                let begun = history.observe(&Record::Reset { partition: *partition }, Arc::clone);
                debug_assert_eq!(begun, Ok(()), "it follows anything");
            }
            history.settle(applied);
        }
    }

    /// The first record that fails its checksum: a torn end if nothing proves that it was durable once.
    fn check_rot(&mut self) -> Result<(), String> {
        let Some(bad) = self.records.iter().position(|stored| stored.rotten) else { return Ok(()) };
        let at = self.released_count + bad as u64;
        let proves = |behind: &Stored| !behind.rotten && behind.synced > at;
        if at < self.checkpointed || self.records.iter().skip(bad + 1).any(proves) {
            return Err(format!("a hole at record {at}, in what was acknowledged"));
        }
        let lost: Vec<Stored> = self.records.drain(bad..).collect();
        self.rotten.clear();
        self.synced = self.synced.min(bad);
        self.store(None);
        self.cut_off = Some((at + 1, lost, self.tables.clone()));
        Ok(())
    }

    /// What rotted is as it was; and what was cut off for it, if nothing came after.
    pub fn mend(&mut self) {
        if let Some((length, lost, tables)) = self.cut_off.take()
            && length == self.released_count + self.records.len() as u64
        {
            self.records.pop_back();
            self.records.extend(lost);
            self.tables = tables;
        }
        self.records.iter_mut().for_each(|stored| stored.rotten = false);
        self.rotten.clear();
        for tables in self.tables.values_mut().chain(self.durable.values_mut()) {
            Arc::make_mut(tables).mend();
        }
        self.open();
    }

    /// Adds to the log's end.
    pub fn store(&mut self, record: Option<Record>) {
        let synced = self.released_count + self.synced as u64;
        self.records.push_back(Stored { record, synced, rotten: false });
    }

    pub fn applied(&self, partition: PartitionId) -> (Version, HybridTime) {
        self.tables.get(&partition).map(|tables| (tables.version, tables.time)).unwrap_or_default()
    }

    pub fn append(&mut self, record: &Record) -> Result<(), StorageError> {
        let partition = record.partition();
        let history = self.histories.entry(partition).or_insert_with(|| History::after(Seq(0)));
        history.observe(record, Arc::clone).map_err(|why| misuse(format!("partition {partition}: {why}")))?;
        if let Record::Entry { entry, .. } = record {
            self.rotten.remove(&(partition, entry.version));
        }
        self.store(Some(record.clone()));
        Ok(())
    }

    pub fn sync(&mut self, poison: &Poison) -> Result<(), StorageError> {
        poison.check()?;
        if std::mem::take(&mut self.fail_next_sync) {
            return poison.watch("syncing the log", Err(io::Error::other("the simulated disk fails")));
        }
        self.synced = self.records.len();
        Ok(())
    }

    /// Whether any entry up to these is not durable yet.
    pub fn unsynced_any(&self, ends: &BTreeMap<PartitionId, Seq>) -> bool {
        self.records.range(self.synced..).any(|stored| match &stored.record {
            Some(Record::Entry { partition, entry }) => {
                ends.get(partition).is_some_and(|end| entry.version.seq <= *end)
            }
            _ => false,
        })
    }

    pub fn check(&self, records: &[Record]) -> Result<(), StorageError> {
        let mut spans = BTreeMap::new();
        for record in records {
            let partition = record.partition();
            let known = || self.histories.get(&partition).and_then(History::span).unwrap_or(Span::empty(1));
            let before = spans.get(&partition).copied().unwrap_or_else(known);
            let after = before.step(record).map_err(|why| misuse(format!("partition {partition}: {why}")))?;
            spans.insert(partition, after);
            match record {
                Record::Truncate { after, .. } if *after < self.applied(partition).0.seq => {
                    let applied = self.applied(partition).0;
                    return Err(misuse(format!(
                        "partition {partition}: {applied} is applied, cannot truncate after {after}"
                    )));
                }
                Record::Installed { .. } => {
                    return Err(misuse(format!("partition {partition}: `install` ends a copy")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Drops what recovery does not need from the log's front, but for `retain` records.
    pub fn release(&mut self, retain: usize) {
        let applied: BTreeMap<PartitionId, Seq> =
            self.durable.iter().map(|(partition, tables)| (*partition, tables.version.seq)).collect();
        while self.records.len() > retain && self.synced > 0 {
            let Some(front) = self.records.front() else { break };
            if let Some(record) = &front.record {
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
            self.released_count += 1;
        }
    }
}

/// The log must reach back to what the tables have, and as far as they do: what they took since the last checkpoint,
/// when they had `before`, was in it.
fn agree<L>(history: &History<L>, applied: Seq, before: Seq) -> Result<(), String> {
    match history.span() {
        Some(span) if span.next <= applied.0 => Err(format!("the log ends before {applied}, which is applied")),
        Some(span) if span.first > applied.0 + 1 => Err(format!("the log begins at {}, after {applied}", span.first)),
        None if applied > before => Err(format!("{applied} is applied, and nothing of it in the log")),
        _ => Ok(()),
    }
}

impl Facts {
    pub fn of<L>(history: &History<L>, applied: Seq) -> Facts {
        Facts { epoch: history.epoch, applied, incomplete: history.incomplete == Some(true), torn: history.torn }
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
