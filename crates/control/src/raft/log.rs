//! The Raft log as the library sees it: answered from memory, made durable by [`super::disk`].
//!
//! The log is short (it is purged behind each snapshot), so all of it is kept in
//! memory and the disk is read only when the node starts.
//!
//! A node that led when it stopped does not resume that leadership: its own
//! committed vote is presented as a mere candidacy, so that it must win a new
//! term. Each leadership then belongs to one process, and a leader never serves
//! reads before an entry of its own term has been committed.

use super::disk::{Disk, Task};
use super::load::Loaded;
use super::types::{Entry, LogId, StorageError, StorageIOError, Types, Vote, seal};
use openraft::storage::{LogFlushed, LogState, RaftLogStorage};
use openraft::{AnyError, OptionalSend, RaftLogReader};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

/// About how many bytes of entries go into one message.
const READ_BYTES: usize = 1024 * 1024;

#[derive(Default)]
struct Log {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    /// Entry and its size on disk.
    entries: BTreeMap<u64, (Entry, usize)>,
}

/// Reads entries.
#[derive(Clone)]
pub struct LogReader {
    log: Arc<Mutex<Log>>,
}

/// The log, the vote and the commit index.
pub struct LogStore {
    reader: LogReader,
    disk: Disk,
}

impl LogStore {
    pub(super) fn new(id: u64, loaded: Loaded, disk: Disk) -> LogStore {
        let vote = loaded.vote.map(|vote| match vote.leader_id.node_id == id {
            true => Vote::new(vote.leader_id.term, id),
            false => vote,
        });
        let entries = loaded.entries.into_iter().map(|(index, loaded)| (index, (loaded.entry, loaded.bytes))).collect();
        let log = Log { vote, committed: loaded.committed, purged: loaded.purged, entries };
        LogStore { reader: LogReader { log: Arc::new(Mutex::new(log)) }, disk }
    }

    fn log(&self) -> parking_lot::MutexGuard<'_, Log> {
        self.reader.log.lock()
    }
}

fn write_error(error: &io::Error) -> StorageError {
    StorageIOError::write_logs(AnyError::new(error)).into()
}

impl RaftLogReader<Types> for LogReader {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        let empty = match (range.start_bound(), range.end_bound()) {
            (Bound::Included(start), Bound::Excluded(end)) => start >= end,
            (Bound::Included(start), Bound::Included(end)) => start > end,
            (Bound::Excluded(start), Bound::Included(end) | Bound::Excluded(end)) => start >= end,
            _ => false,
        };
        if empty {
            return Ok(Vec::new());
        }
        Ok(self.log.lock().entries.range(range).map(|(_, (entry, _))| entry.clone()).collect())
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, StorageError> {
        let log = self.log.lock();
        let mut bytes = 0;
        let mut entries = Vec::new();
        for (_, (entry, size)) in log.entries.range(start..end.max(start)) {
            bytes += size;
            if bytes > READ_BYTES && !entries.is_empty() {
                break;
            }
            entries.push(entry.clone());
        }
        Ok(entries)
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        self.reader.try_get_log_entries(range).await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, StorageError> {
        self.reader.limited_get_log_entries(start, end).await
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        let log = self.log();
        let last = log.entries.values().next_back().map(|(entry, _)| entry.log_id);
        Ok(LogState { last_purged_log_id: log.purged, last_log_id: last.or(log.purged) })
    }

    async fn get_log_reader(&mut self) -> LogReader {
        self.reader.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let vote = *vote;
        let saved = self.disk.run(|reply| Task::Vote { vote, reply }).await;
        saved.map_err(|error| StorageIOError::write_vote(AnyError::new(&error)))?;
        self.log().vote = Some(vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.log().vote)
    }

    /// Reaches the disk with the next entries. Losing it costs nothing but time: a new leader finds it again.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.log().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.log().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Types>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut sealed = Vec::new();
        let committed = {
            let mut log = self.log();
            for entry in entries {
                let bytes = seal(&entry).map_err(|error| write_error(&io::Error::other(error)))?;
                log.entries.insert(entry.log_id.index, (entry.clone(), bytes.len()));
                sealed.push((entry.log_id.index, bytes));
            }
            log.committed
        };
        self.disk.send(Task::Append { entries: sealed, committed, done: callback });
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.log().entries.split_off(&log_id.index);
        let truncated = self.disk.run(|reply| Task::Truncate { from: log_id.index, reply }).await;
        truncated.map_err(|error| write_error(&error))
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        {
            let mut log = self.log();
            let kept = log.entries.split_off(&(log_id.index + 1));
            log.entries = kept;
            log.purged = log.purged.max(Some(log_id));
        }
        self.disk.send(Task::Purge { upto: log_id });
        Ok(())
    }
}
