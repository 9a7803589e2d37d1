//! The engine on disk: the node log, and an LSM that it is replayed into.
//!
//! **Owns** `<data>/tables/`, `<data>/checkpoint` and, through [`crate::log`], `<data>/log/`.
//! **Invariants**: the tables never have an entry that is not durable in the log; each batch
//! carries the version it ends at, so tables that lost their newest batches in a crash merely
//! have more to be replayed; a log segment goes only when the tables durably have all of it; what
//! cannot be explained by a crash is damage and opens nothing. **Leaves to others**: which
//! entries are committed. **Proved by** `tests/`: conformance, torn, rot, threads.

mod apply;
mod checkpoint;
mod database;
mod import;
mod keys;
mod open;
mod read;
mod rows;
mod verify;

use crate::log::Log;
use crate::poison::Poison;
use crate::space::FreeSpace;
use crate::{Recovered, Snapshot, StorageEngine, StorageError};
use apply::{Batch, Forgotten};
use checkpoint::Checkpoint;
use database::{Rows, Tables};
use parking_lot::{Mutex, RwLock};
use read::LsmSnapshot;
use rows::MetaRow;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use types::{
    HybridTime, Item, ItemKey, LogEntry, OperationId, Outcome, PartitionId, Record, Row, RowRange, Seq, Version,
    WallMillis,
};

/// How the engine uses memory and disk.
#[derive(Clone, Debug)]
pub struct LsmOptions {
    /// A log segment is followed by another once it has this many bytes.
    pub segment_bytes: u64,
    /// Log kept for catch-up and watching, although the tables have it.
    pub log_retention_bytes: u64,
    /// The tables' cache of blocks.
    pub cache_bytes: u64,
    /// The tables' write buffer.
    pub memtable_bytes: u64,
    /// Bytes of the disk kept for deletes and compaction. None: 1 %, but 64 MiB at least and 1 GiB at most.
    pub reserve_bytes: Option<u64>,
}

impl Default for LsmOptions {
    fn default() -> Self {
        LsmOptions {
            segment_bytes: 64 << 20,
            log_retention_bytes: 256 << 20,
            cache_bytes: 16 << 20,
            memtable_bytes: 8 << 20,
            reserve_bytes: None,
        }
    }
}

/// What the engine takes on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageStats {
    /// The log's segments.
    pub log_bytes: u64,
    /// The tables, with their own journal.
    pub tables_bytes: u64,
}

type Applied = BTreeMap<PartitionId, MetaRow>;

/// [`StorageEngine`] on disk.
pub struct LsmEngine {
    folder: PathBuf,
    options: LsmOptions,
    /// Closed before the tables, whose lock keeps others out of the folder: closing it trims its file.
    log: Log,
    tables: Tables,
    poison: Arc<Poison>,
    space: FreeSpace,
    applied: RwLock<Applied>,
    /// Held by whoever writes the tables.
    writing: Mutex<Forgotten>,
    checkpointing: Mutex<()>,
}

impl LsmEngine {
    /// Opens the data folder, or makes it. [`StorageError::Damaged`] when something that was
    /// durable is not there: then nothing was changed, and [`LsmEngine::set_aside`] makes room
    /// for a new beginning.
    pub fn open(folder: &Path, options: LsmOptions) -> Result<LsmEngine, StorageError> {
        open::open(folder, options)
    }

    /// Moves a damaged engine's files into `<folder>/damaged-<n>/`, so that the node can begin
    /// anew, as one that holds nothing. Block files are not touched.
    pub fn set_aside(folder: &Path) -> io::Result<PathBuf> {
        let mut number = 1u32;
        let aside = loop {
            let path = folder.join(format!("damaged-{number}"));
            if !path.exists() {
                break path;
            }
            number += 1;
        };
        crate::files::create_folder(&aside)?;
        for name in ["tables", "log", "checkpoint"] {
            match std::fs::rename(folder.join(name), aside.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        crate::files::sync_folder(&aside)?;
        crate::files::sync_folder(folder)?;
        Ok(aside)
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it takes on disk.
    pub fn stats(&self) -> StorageStats {
        StorageStats { log_bytes: self.log.bytes(), tables_bytes: self.tables.bytes() }
    }

    fn meta(&self, partition: PartitionId) -> MetaRow {
        self.applied.read().get(&partition).copied().unwrap_or_default()
    }

    /// Lets go of the log that this checkpoint, which is durable, does not need.
    fn release(&self, checkpoint: &Checkpoint, retain: u64) -> Result<(), StorageError> {
        let applied = checkpoint.partitions.iter().map(|(partition, facts)| (*partition, facts.applied.seq)).collect();
        let released = self.log.release(checkpoint.log_end, &applied, retain)?;
        if released > 0 {
            tracing::debug!(released, "log segments released");
        }
        Ok(())
    }

    fn write(&self, rows: Rows) -> Result<(), StorageError> {
        self.poison.watch("writing the tables", self.tables.write(rows))
    }

    /// What the log forbids is refused by the log; these depend on the tables.
    fn check(&self, records: &[Record]) -> Result<(), StorageError> {
        for record in records {
            match record {
                Record::Truncate { partition, after } if *after < self.meta(*partition).version.seq => {
                    let applied = self.meta(*partition).version;
                    return Err(misuse(format!(
                        "partition {partition}: {applied} is applied, cannot truncate after {after}"
                    )));
                }
                Record::Installed { partition, .. } => {
                    return Err(misuse(format!("partition {partition}: `install` ends a copy")));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn misuse(why: String) -> StorageError {
    StorageError::Io(io::Error::new(io::ErrorKind::InvalidInput, why))
}

impl StorageEngine for LsmEngine {
    fn recovered(&self) -> BTreeMap<PartitionId, Recovered> {
        let facts = self.log.histories(|histories| open::facts(histories, &self.applied.read()));
        let of = |(partition, facts): (PartitionId, checkpoint::Facts)| {
            let meta = self.meta(partition);
            let entries = if facts.incomplete {
                Ok(Vec::new())
            } else {
                self.log.entries(partition, meta.version.seq.next(), usize::MAX)
            };
            let mut recovered = Recovered {
                epoch: facts.epoch,
                applied: meta.version,
                time: meta.time,
                unapplied: Vec::new(),
                torn: facts.torn,
                incomplete: facts.incomplete,
            };
            match entries {
                Ok(entries) => recovered.unapplied = entries,
                Err(error) => {
                    // It could be read at opening, and cannot now: this copy proves nothing.
                    tracing::error!(%partition, %error, "cannot read the log: the partition does not count");
                    recovered.incomplete = true;
                }
            }
            (partition, recovered)
        };
        facts.into_iter().map(of).collect()
    }

    fn append(&self, records: &[Record]) -> Result<(), StorageError> {
        self.poison.check()?;
        self.check(records)?;
        self.log.append(records)
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.log.sync()
    }

    fn entries(&self, partition: PartitionId, from: Seq, bytes_max: usize) -> Result<Vec<LogEntry>, StorageError> {
        self.log.entries(partition, from, bytes_max)
    }

    fn log_range(&self, partition: PartitionId) -> (Seq, Seq) {
        self.log.range(partition)
    }

    fn apply(&self, entries: &[(PartitionId, Arc<LogEntry>)]) -> Result<(), StorageError> {
        let mut forgotten = self.writing.lock();
        self.poison.check()?;
        let mut ends: Applied = BTreeMap::new();
        for (partition, entry) in entries {
            let before = ends.get(partition).copied().unwrap_or_else(|| self.meta(*partition)).version;
            if entry.version.seq != before.seq.next() {
                return Err(misuse(format!("partition {partition}: {} does not follow {before}", entry.version)));
            }
            ends.insert(*partition, MetaRow { version: entry.version, time: entry.time });
        }
        for (partition, end) in &ends {
            self.log.sync_entry(*partition, end.version.seq)?;
        }

        let mut batch = Batch::new(&self.tables, &mut forgotten);
        for (partition, entry) in entries {
            batch.entry(*partition, entry)?;
        }
        let rows = batch.finish()?;
        self.write(rows)?;
        self.applied.write().extend(ends);
        Ok(())
    }

    fn applied(&self, partition: PartitionId) -> Version {
        self.meta(partition).version
    }

    fn get(&self, partition: PartitionId, key: &ItemKey) -> Result<Option<Item>, StorageError> {
        read::item(&self.tables.view(), partition, key)
    }

    fn outcome(&self, partition: PartitionId, operation: &OperationId) -> Result<Option<Outcome>, StorageError> {
        let row = self.tables.view().get(&keys::operation(partition, operation))?;
        row.map(|bytes| rows::decode_outcome(&bytes)).transpose()
    }

    fn snapshot(&self, partition: PartitionId) -> Result<Box<dyn Snapshot>, StorageError> {
        Ok(Box::new(LsmSnapshot::new(&self.tables, partition)?))
    }

    fn due(
        &self,
        partition: PartitionId,
        now: WallMillis,
        limit: usize,
    ) -> Result<Vec<(ItemKey, Version)>, StorageError> {
        LsmSnapshot::new(&self.tables, partition)?.due(now, limit)
    }

    fn begin_copy(&self, partition: PartitionId) -> Result<(), StorageError> {
        let mut forgotten = self.writing.lock();
        self.poison.check()?;
        forgotten.remove(&partition);
        self.applied.write().remove(&partition);
        self.write(open::unsettled(partition))
    }

    fn import(&self, partition: PartitionId, range: &RowRange, rows: &[Row]) -> Result<(), StorageError> {
        let _writing = self.writing.lock();
        self.poison.check()?;
        let batch = import::changes(&self.tables, partition, range, rows)?;
        if batch.is_empty() {
            return Ok(());
        }
        self.write(batch)?;
        // A little at a time: were it left to the end, the log's own syncs would have to wait for it.
        self.poison.watch("syncing the tables", self.tables.persist())
    }

    fn install(&self, partition: PartitionId, version: Version, time: HybridTime) -> Result<(), StorageError> {
        let _writing = self.writing.lock();
        self.poison.check()?;
        let meta = MetaRow { version, time };
        let row = (keys::kind(partition, keys::META), Some(meta.encode()?));
        self.write(Rows::from([row]))?;
        self.poison.watch("syncing the tables", self.tables.persist())?;
        self.log.append(&[Record::Installed { partition, version, time }])?;
        self.log.sync()?;
        self.applied.write().insert(partition, meta);
        Ok(())
    }

    fn checkpoint(&self) -> Result<(), StorageError> {
        let _one = self.checkpointing.lock();
        self.log.sync()?;
        let checkpoint = {
            // While nobody writes the tables, so that what is said of them is one moment's.
            let _writing = self.writing.lock();
            let log_end = self.log.durable_end();
            let partitions = self.log.histories(|histories| open::facts(histories, &self.applied.read()));
            Checkpoint { log_end, partitions }
        };
        self.poison.watch("syncing the tables", self.tables.persist())?;
        match checkpoint.write(&self.folder) {
            // The one before stays, and what of the log it does not need gives room for the next.
            Err(StorageError::Io(error)) if crate::space::exhausted(&error) => {
                tracing::warn!("no room for a checkpoint: the one before stays");
                let Some(before) = Checkpoint::read(&self.folder)? else { return Ok(()) };
                return self.release(&before, 0);
            }
            written => self.poison.watch("writing the checkpoint", written)?,
        }
        // On a full disk what is kept for others to catch up from goes first.
        let full = self.space.free() == 0;
        let retain = if full { 0 } else { self.options.log_retention_bytes };
        if full {
            self.log.begin_segment()?;
        }
        self.release(&checkpoint, retain)
    }

    fn free_bytes(&self) -> u64 {
        self.space.free()
    }
}
