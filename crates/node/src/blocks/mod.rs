//! Blocks on this node: taking, giving, and keeping what the tables say it should hold.
//!
//! The blocks table decides: where it has a reference to a block, each replica of the block's
//! partition must hold it; where it has neither reference nor pin, nobody need. The keeper compares
//! after every change and at the start, fetches what is missing from whoever has it, and goes on
//! trying; collection deletes what nothing keeps; scrub reads everything again and again.
//!
//! | file | what is in it |
//! |---|---|
//! | `keep` | what is missing, and when to try for it again |
//! | `fetch` | a block from another node |
//! | `collect` | blocks that nothing keeps |
//! | `scrub` | verifying, in the background and on request |
//! | `copies` | how the copies here are, for who asks about a file |
//! | `requests` | answers |

mod collect;
mod copies;
mod fetch;
mod keep;
mod requests;
mod scrub;

use crate::health::Health;
use crate::reads::blocking;
use bytes::Bytes;
use copies::Lately;
use parking_lot::Mutex;
use replication::blocks::Upkeep;
use rpc::Pool;
use rpc::wire::Fault;
use scrub::Scrub;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use storage::{BlockStore, Snapshot, StorageError};
use tokio::sync::{Notify, Semaphore, watch};
use types::layout::{BLOCK_REFERENCE, BLOCKS_TABLE};
use types::{BlockHash, Clock, Effect, Layout, NodeId, PartitionId, Query};

/// Blocks written at the same time.
const WRITES_MAX: usize = 8;
/// References remembered between two looks; beyond it whole partitions are looked through.
const EXPECTED_MAX: usize = 200_000;
/// Suspicions remembered between two looks.
const SUSPECTS_MAX: usize = 100_000;

/// The blocks on a node's own disk.
#[derive(Clone)]
pub struct LocalBlocks(pub(crate) Arc<BlockKeeper>);

impl LocalBlocks {
    /// A block, intact; none when it is not here. A bad copy is repaired from another replica.
    pub async fn get(&self, hash: BlockHash) -> Option<Bytes> {
        self.0.read_local(hash).await
    }
}

/// The block that this change gives a reference to.
pub(crate) fn referenced(effect: &Effect) -> Option<BlockHash> {
    let Effect::Put { key, .. } = effect else { return None };
    let reference = key.table == BLOCKS_TABLE && key.sort_key.first() == Some(&BLOCK_REFERENCE);
    <[u8; 32]>::try_from(&key.partition_key[..]).ok().filter(|_| reference).map(BlockHash)
}

/// Does the table have a reference to the block?
fn is_referenced(tables: &dyn Snapshot, hash: BlockHash) -> Result<bool, StorageError> {
    let query = Query::prefix(BLOCKS_TABLE, Bytes::copy_from_slice(&hash.0), &[BLOCK_REFERENCE]);
    Ok(!tables.query(&Query { limit: 1, ..query })?.items.is_empty())
}

/// Does anything keep the block: a reference or a pin?
fn is_kept(tables: &dyn Snapshot, hash: BlockHash) -> Result<bool, StorageError> {
    let query = Query::all(BLOCKS_TABLE, Bytes::copy_from_slice(&hash.0));
    Ok(!tables.query(&Query { limit: 1, ..query })?.items.is_empty())
}

/// The node's blocks.
pub(crate) struct BlockKeeper {
    store: Arc<BlockStore>,
    pool: Pool,
    layout: watch::Receiver<Arc<Layout>>,
    me: NodeId,
    /// What is not kept goes when it was so for this long.
    grace: Duration,
    health: Arc<Health>,
    writes: Semaphore,
    /// Questions about copies: those that have blocks read, and those that do not.
    verifying: Arc<Semaphore>,
    looking_at: Arc<Semaphore>,
    lately: Mutex<Lately>,
    clock: Arc<dyn Clock>,
    /// What is missing, and what is to be looked through.
    upkeep: Mutex<Upkeep>,
    looking: AtomicUsize,
    /// Blocks that were given a reference lately.
    expected: Mutex<BTreeSet<BlockHash>>,
    /// Blocks found damaged or missing by readers.
    suspects: Mutex<BTreeSet<BlockHash>>,
    fetched: AtomicU64,
    scrub: Scrub,
    wake: Notify,
}

impl BlockKeeper {
    pub fn new(
        store: Arc<BlockStore>,
        pool: Pool,
        layout: watch::Receiver<Arc<Layout>>,
        me: NodeId,
        grace: Duration,
        health: Arc<Health>,
        clock: Arc<dyn Clock>,
    ) -> BlockKeeper {
        BlockKeeper {
            store,
            pool,
            layout,
            me,
            grace,
            health,
            writes: Semaphore::new(WRITES_MAX),
            verifying: Arc::new(Semaphore::new(copies::VERIFYING_MAX)),
            looking_at: Arc::new(Semaphore::new(copies::LOOKING_MAX)),
            lately: Mutex::default(),
            clock,
            upkeep: Mutex::default(),
            looking: AtomicUsize::new(0),
            expected: Mutex::default(),
            suspects: Mutex::default(),
            fetched: AtomicU64::new(0),
            scrub: Scrub::default(),
            wake: Notify::new(),
        }
    }

    pub fn store(&self) -> &Arc<BlockStore> {
        &self.store
    }

    /// Blocks that should be here and are not.
    pub fn missing(&self) -> usize {
        self.upkeep.lock().missing()
    }

    /// Partitions whose references have yet to be compared with the disk.
    pub fn unchecked(&self) -> usize {
        self.upkeep.lock().dirty().len()
            + self.looking.load(Ordering::Relaxed)
            + usize::from(!self.suspects.lock().is_empty())
    }

    /// Look through that partition soon.
    pub fn scan(&self, partition: PartitionId) {
        self.upkeep.lock().scan(partition);
        self.wake.notify_one();
    }

    /// These should be here, now or in a moment: uploads place their blocks themselves.
    pub fn expect(&self, referenced: Vec<BlockHash>) {
        if referenced.is_empty() {
            return;
        }
        let mut expected = self.expected.lock();
        if expected.len() < EXPECTED_MAX {
            expected.extend(referenced);
        } else {
            let mut upkeep = self.upkeep.lock();
            referenced.iter().for_each(|hash| upkeep.scan(self.partition_of(hash)));
        }
    }

    /// A reader found this node's copy missing or bad.
    fn suspect(&self, hash: BlockHash) {
        self.lately.lock().forget(&hash);
        let mut suspects = self.suspects.lock();
        if suspects.len() < SUSPECTS_MAX {
            suspects.insert(hash);
        }
        self.wake.notify_one();
    }

    fn partition_of(&self, hash: &BlockHash) -> PartitionId {
        hash.partition(self.layout.borrow().partition_count().max(1))
    }

    /// Reads for a gateway on this node: a bad copy is none, and is repaired.
    pub async fn read_local(&self, hash: BlockHash) -> Option<Bytes> {
        self.read(hash).await.inspect_err(|_| self.suspect(hash)).ok().flatten()
    }

    /// Whether the block is here and good: it is read. Whoever asks gives his own copy up if it is.
    async fn has_whole(&self, hash: BlockHash) -> Result<bool, Fault> {
        let store = self.store.clone();
        let here = blocking(move || store.has(&hash)).await?;
        let whole = here && matches!(self.read(hash).await, Ok(Some(_)));
        if here && !whole {
            self.suspect(hash);
        }
        Ok(whole)
    }

    async fn read(&self, hash: BlockHash) -> Result<Option<Bytes>, Fault> {
        let store = self.store.clone();
        blocking(move || store.get(&hash)).await
    }

    /// When the disk failed, so has the node: it takes no more writes.
    fn check_disk(&self) {
        if let Err(error) = self.store.check() {
            self.health.fail(format!("blocks: {error}"));
        }
    }

    /// True when it was not here.
    async fn write(&self, hash: BlockHash, raw: Bytes) -> Result<bool, Fault> {
        let Ok(_permit) = self.writes.acquire().await else { return Err(Fault::Busy) };
        let (store, me) = (self.store.clone(), self.me);
        match tokio::task::spawn_blocking(move || store.put(hash, raw)).await {
            Ok(Ok(new)) => Ok(new),
            Ok(Err(StorageError::Full { .. })) => Err(Fault::NoSpace { node: me }),
            Ok(Err(StorageError::Damaged(why))) => Err(Fault::Invalid(why)),
            Ok(Err(StorageError::Io(error))) if error.kind() == std::io::ErrorKind::InvalidInput => {
                Err(Fault::Invalid(error.to_string()))
            }
            Ok(Err(error)) => {
                self.check_disk();
                Err(Fault::Stopped(format!("cannot write blocks: {error}")))
            }
            Err(error) => Err(Fault::Unknown(error.to_string())),
        }
    }
}
