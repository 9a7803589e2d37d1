//! The embedded LSM, as we use it: one keyspace, small buffers, journal entries below a page,
//! and errors in our own words.

use super::{LsmOptions, rows};
use crate::StorageError;
use bytes::Bytes;
use fjall::config::PartitioningPolicy;
use fjall::{Database, Guard, Keyspace, KeyspaceCreateOptions, LsmError, PersistMode, Readable, Snapshot};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The database and its one keyspace. One thread writes at a time.
pub(crate) struct Tables {
    folder: PathBuf,
    database: Database,
    keyspace: Keyspace,
    /// As of the last batch that was written whole. A snapshot that is taken beside a batch may show a part of it:
    /// a flush that ends meanwhile moves the LSM's visible sequence past the batch's own. So the writer takes them.
    latest: RwLock<Snapshot>,
}

/// What a fjall error means to us. What it found unreadable is damage; the rest is the disk's.
pub(crate) fn failed(error: fjall::Error) -> StorageError {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(LsmError::Io(error)) => {
            if error.kind() == std::io::ErrorKind::UnexpectedEof {
                StorageError::Damaged(format!("tables: {error}"))
            } else {
                StorageError::Io(error)
            }
        }
        fjall::Error::Poisoned => StorageError::Poisoned("writing the tables".into()),
        fjall::Error::Locked => StorageError::Io(std::io::Error::new(
            std::io::ErrorKind::WouldBlock,
            "another process has this data folder open",
        )),
        other => StorageError::Damaged(format!("tables: {other:?}")),
    }
}

/// Rows to write in one batch: none is a delete.
pub(crate) type Rows = BTreeMap<Vec<u8>, Option<Bytes>>;

impl Tables {
    /// Opens or makes the database; what it finds unreadable is [`StorageError::Damaged`].
    pub fn open(folder: &Path, options: &LsmOptions) -> Result<Tables, StorageError> {
        super::verify::verify(folder)?;
        // Some damage it meets with a panic, which must not end the process: the node has
        // other replicas to repair from.
        catch_unwind(AssertUnwindSafe(|| Tables::open_verified(folder, options))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("unknown");
            Err(StorageError::Damaged(format!("tables: opening them failed: {text}")))
        })
    }

    fn open_verified(folder: &Path, options: &LsmOptions) -> Result<Tables, StorageError> {
        let database = Database::builder(folder)
            .cache_size(options.cache_bytes)
            .max_journaling_size(128 << 20)
            .max_cached_files(Some(128))
            // The first keeps itself free for flushes: a compaction that is asked for while all others are in one, it
            // hands on to the queue and takes from there again, without rest (fjall 3.1, `worker_pool.rs`). As each
            // flush asks for as many as there are threads, with two of them that took a processor during every compaction.
            .worker_threads(4)
            .manual_journal_persist(true)
            .open()
            .map_err(failed)?;
        // Below the first level, filters and indexes come in pieces of some kilobytes. In one piece, which is how fjall
        // has them down to the third, those of a file are two megabytes: a node that has more of them than its cache
        // holds would read two megabytes for each row. A folder keeps what it was made with.
        let pieces = || PartitioningPolicy::new([false, true]);
        let settings = || {
            KeyspaceCreateOptions::default()
                .manual_journal_persist(true)
                .max_memtable_size(options.memtable_bytes)
                .filter_block_partitioning_policy(pieces())
                .index_block_partitioning_policy(pieces())
        };
        let keyspace = database.keyspace("tables", settings).map_err(failed)?;
        let latest = RwLock::new(database.snapshot());
        Ok(Tables { folder: folder.to_path_buf(), database, keyspace, latest })
    }

    /// Writes all rows or none. Not durable before the next [`Self::persist`].
    pub fn write(&self, rows: Rows) -> Result<(), StorageError> {
        let mut batch = fjall::OwnedWriteBatch::with_capacity(self.database.clone(), rows.len());
        for (key, value) in rows {
            debug_assert!(key.len() + value.as_ref().map_or(0, Bytes::len) <= rows::ROW_MAX + 64);
            match value {
                Some(value) => batch.insert(&self.keyspace, key, value),
                None => batch.remove(&self.keyspace, key),
            }
        }
        batch.commit().map_err(failed)?;
        *self.latest.write() = self.database.snapshot();
        Ok(())
    }

    /// Makes everything written durable.
    pub fn persist(&self) -> Result<(), StorageError> {
        self.database.persist(PersistMode::SyncAll).map_err(failed)
    }

    /// All that the last write left, and nothing of one that is under way; waits for none.
    pub fn view(&self) -> View {
        View { snapshot: self.latest.read().clone(), keyspace: self.keyspace.clone() }
    }

    /// Bytes on disk: what the files have been given, for journals are longer than what is in them.
    pub fn bytes(&self) -> u64 {
        allocated(&self.folder)
    }
}

/// Bytes that the files in a folder take on the disk. Files that go meanwhile count for nothing.
fn allocated(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() => allocated(&entry.path()),
        Ok(about) => about.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}

/// All rows, as they were at one moment.
pub(crate) struct View {
    snapshot: Snapshot,
    keyspace: Keyspace,
}

impl View {
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Ok(self.snapshot.get(&self.keyspace, key).map_err(failed)?.map(Bytes::from))
    }

    /// Rows with `from <= key < to`.
    pub fn range(
        &self,
        from: Vec<u8>,
        to: Vec<u8>,
        reverse: bool,
    ) -> impl Iterator<Item = Result<(Bytes, Bytes), StorageError>> + use<> {
        let rows = (from < to).then(|| self.snapshot.range(&self.keyspace, from..to));
        let read = |guard: Guard| match guard.into_inner() {
            Ok((key, value)) => Ok((Bytes::from(key), Bytes::from(value))),
            Err(error) => Err(failed(error)),
        };
        let (ahead, back) = if reverse { (None, rows) } else { (rows, None) };
        ahead.into_iter().flatten().chain(back.into_iter().flat_map(Iterator::rev)).map(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_in_a_file_takes_no_room() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("in")).unwrap();
        let long = std::fs::File::create(folder.path().join("in/long")).unwrap();
        long.set_len(64 << 20).unwrap();
        std::fs::write(folder.path().join("full"), vec![7; 1 << 20]).unwrap();
        std::fs::File::open(folder.path().join("full")).unwrap().sync_all().unwrap();
        let used = allocated(folder.path());
        assert!((1 << 20..2 << 20).contains(&used), "{used}");
        assert_eq!(allocated(&folder.path().join("none")), 0);
    }
}
