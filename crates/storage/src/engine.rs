//! The trait that the node and the simulator drive.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use types::{
    Action, Classify, Epoch, Found, HybridTime, Item, ItemKey, LogEntry, OperationId, Outcome, PartitionId, Piece,
    Query, QueryPage, Record, Row, RowRange, Seq, TableId, Version, WallMillis,
};

/// Why storage did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The log no longer reaches back that far: a copy is needed.
    #[error("the log begins at {first}; entries before it are gone")]
    Compacted {
        /// First sequence that it has.
        first: Seq,
    },
    /// The disk is too full for anything but deletes.
    #[error("no space left: {free} bytes are free, {needed} are kept for deletes")]
    Full {
        /// Bytes free.
        free: u64,
        /// Bytes kept back.
        needed: u64,
    },
    /// A checksum failed: this copy must be repaired from another replica.
    #[error("damaged: {0}")]
    Damaged(String),
    /// An earlier write or sync failed; what is on disk is not known. Restart.
    #[error("storage stopped after an earlier failure: {0}")]
    Poisoned(String),
    /// The operating system refused.
    #[error("storage: {0}")]
    Io(#[from] std::io::Error),
}

impl Classify for StorageError {
    fn action(&self) -> Action {
        match self {
            StorageError::Compacted { .. } | StorageError::Full { .. } => Action::Rejected,
            StorageError::Damaged(_) | StorageError::Poisoned(_) | StorageError::Io(_) => Action::Fatal,
        }
    }
}

/// What a partition was found to hold at opening.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Last epoch adopted.
    pub epoch: Epoch,
    /// Last write in the tables.
    pub applied: Version,
    /// Commit time of that write.
    pub time: HybridTime,
    /// Entries in the log after `applied`, in order. Which of them were
    /// committed is for the chain to find out.
    pub unapplied: Vec<LogEntry>,
    /// The log's end was torn and cut, and the replica has adopted no epoch since: entries may be
    /// missing there. Survives further restarts.
    pub torn: bool,
    /// A copy was under way and did not end: what is here does not count.
    pub incomplete: bool,
}

/// Rows for a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// In key order.
    pub rows: Vec<Row>,
    /// After which key to go on; none at the range's end.
    pub next: Option<Bytes>,
}

/// A partition's tables, as they were at one sequence.
pub trait Snapshot: Send {
    /// The last write contained.
    fn at(&self) -> Version;
    /// Commit time of that write.
    fn time(&self) -> HybridTime;
    /// One item.
    fn get(&self, key: &ItemKey) -> Result<Option<Item>, StorageError>;
    /// A page of a range; bounded by the query's limit and `limits::QUERY_BYTES_MAX`.
    fn query(&self, query: &Query) -> Result<QueryPage, StorageError>;
    /// A table's items in (partition key, sort key) order, after `after`; at most `limit`.
    /// The order of partition keys is the engine's (any fixed one). Large values are returned
    /// whole: `limit` bounds the memory.
    fn scan(&self, table: TableId, after: Option<&ItemKey>, limit: usize)
    -> Result<Vec<(ItemKey, Item)>, StorageError>;
    /// How many items a table has in this partition.
    fn count(&self, table: TableId) -> Result<u64, StorageError>;
    /// The first rows of a range (items, remembered operations, everything), about `bytes_max` of them.
    fn export(&self, range: &RowRange, bytes_max: usize) -> Result<Export, StorageError>;
    /// A range in pieces of about `piece_bytes`, as far as [`types::rows::outline`] goes; and how many
    /// bytes were read for it.
    fn outline(&self, range: &RowRange, piece_bytes: usize) -> Result<(Vec<Piece>, usize), StorageError>;
    /// Holds an outline that begins after that key against the rows that are here.
    fn compare(&self, after: Option<&Bytes>, pieces: &[Piece]) -> Result<Found, StorageError>;
}

/// A node's durable state: one log for all partitions, and the tables that it is replayed into.
///
/// All methods may block on the disk, and may be called from several threads;
/// `append`+`sync` by one thread, `apply` by one thread, reads by any.
pub trait StorageEngine: Send + Sync + 'static {
    /// What opening now would find, by partition: so, called before anything else, what it did
    /// find. A partition that is not in it holds nothing.
    fn recovered(&self) -> BTreeMap<PartitionId, Recovered>;

    /// Adds records to the log's end, all or none. Not durable before the next [`Self::sync`].
    /// [`Record::Truncate`] and [`Record::Reset`] take effect on [`Self::entries`] at once.
    ///
    /// An entry must follow the partition's last, a truncation must leave what is applied, and
    /// [`Record::Installed`] comes from [`Self::install`] alone: anything else is the caller's
    /// mistake and refused as an [`std::io::ErrorKind::InvalidInput`].
    /// The reserve of a full disk is there for what is ordered: nothing is refused before it is used
    /// up. [`StorageError::Full`] then: nothing was written, and the same records may be offered again.
    fn append(&self, records: &[Record]) -> Result<(), StorageError>;

    /// Makes everything appended before the call durable: one fsync. A failure poisons the engine.
    fn sync(&self) -> Result<(), StorageError>;

    /// Entries from `from` on (inclusive), in order, about `bytes_max` and at least one if there is
    /// one; empty when `from` is beyond the end. Includes entries not yet synced.
    fn entries(&self, partition: PartitionId, from: Seq, bytes_max: usize) -> Result<Vec<LogEntry>, StorageError>;

    /// First sequence that [`Self::entries`] can give, and last. (n+1, n) when it has none and n is applied.
    fn log_range(&self, partition: PartitionId) -> (Seq, Seq);

    /// Applies committed entries to the tables, in order, atomically. Each partition's sequences
    /// follow its applied one without a hole, and are in the log (where they are synced first, if
    /// they are not yet). Durable at the latest by the next [`Self::checkpoint`];
    /// until then the log has them.
    fn apply(&self, entries: &[(PartitionId, Arc<LogEntry>)]) -> Result<(), StorageError>;

    /// Last write in the tables.
    fn applied(&self, partition: PartitionId) -> Version;

    /// One item, as of now.
    fn get(&self, partition: PartitionId, key: &ItemKey) -> Result<Option<Item>, StorageError>;

    /// What is remembered of an operation.
    fn outcome(&self, partition: PartitionId, operation: &OperationId) -> Result<Option<Outcome>, StorageError>;

    /// The tables of a partition, as they are now.
    fn snapshot(&self, partition: PartitionId) -> Result<Box<dyn Snapshot>, StorageError>;

    /// Items whose expiry is at or before `now`, at most `limit`.
    fn due(
        &self,
        partition: PartitionId,
        now: WallMillis,
        limit: usize,
    ) -> Result<Vec<(ItemKey, Version)>, StorageError>;

    /// Before a copy: no write is applied any more, and what the tables hold is nothing but rows that need perhaps
    /// not be sent. [`Record::Reset`] has been synced.
    fn begin_copy(&self, partition: PartitionId) -> Result<(), StorageError>;

    /// These rows take the place of all that is in the range, from the reserve if need be.
    fn import(&self, partition: PartitionId, range: &RowRange, rows: &[Row]) -> Result<(), StorageError>;

    /// Ends a copy: makes the tables durable, with `version` applied, then appends and syncs
    /// [`Record::Installed`].
    fn install(&self, partition: PartitionId, version: Version, time: HybridTime) -> Result<(), StorageError>;

    /// Makes the tables durable and releases log segments that neither recovery
    /// nor the retention for catch-up and watching needs. A partition with unapplied entries
    /// holds the log back from there on. May be called from any thread.
    fn checkpoint(&self) -> Result<(), StorageError>;

    /// Bytes that may still be written before only deletes should be ordered.
    fn free_bytes(&self) -> u64;
}
