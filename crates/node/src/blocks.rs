//! Blocks on this node: taking, giving, and keeping what the tables say it should hold.
//!
//! The blocks table decides: where it has a reference to a block, each replica of the block's
//! partition must hold it. The keeper compares after every change and at the start, and fetches
//! what is missing from the other replicas.

use crate::node::Inner;
use crate::reads::blocking;
use bytes::Bytes;
use parking_lot::Mutex;
use rpc::wire::{Fault, HaveBlocks, PutBlock, method};
use rpc::{Body, Pool, Status};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use storage::{BlockStore, StorageEngine, StorageError};
use tokio::sync::{Notify, Semaphore, watch};
use types::layout::{BLOCK_REFERENCE, BLOCKS_TABLE};
use types::{BlockHash, Effect, ItemKey, Layout, NodeId, PartitionId};

/// Blocks written at the same time.
const WRITES_MAX: usize = 8;
/// A partition is looked through no more often than this.
const SETTLE: Duration = Duration::from_millis(1500);
const PAGE: usize = 1000;
/// References remembered between two looks; beyond it whole partitions are looked through.
const EXPECTED_MAX: usize = 200_000;

/// The block that this change gives a reference to.
pub(crate) fn referenced(effect: &Effect) -> Option<BlockHash> {
    let Effect::Put { key, .. } = effect else { return None };
    let reference = key.table == BLOCKS_TABLE && key.sort_key.first() == Some(&BLOCK_REFERENCE);
    <[u8; 32]>::try_from(&key.partition_key[..]).ok().filter(|_| reference).map(BlockHash)
}

/// The node's blocks.
pub(crate) struct BlockKeeper {
    store: Arc<BlockStore>,
    pool: Pool,
    layout: watch::Receiver<Arc<Layout>>,
    me: NodeId,
    writes: Semaphore,
    /// Partitions to be looked through.
    dirty: Mutex<BTreeSet<PartitionId>>,
    /// Blocks that were given a reference lately.
    expected: Mutex<BTreeSet<BlockHash>>,
    /// Blocks found damaged or missing by readers.
    suspects: Mutex<BTreeSet<BlockHash>>,
    missing: Mutex<BTreeMap<PartitionId, usize>>,
    scanning: AtomicUsize,
    wake: Notify,
}

impl BlockKeeper {
    pub fn new(store: Arc<BlockStore>, pool: Pool, layout: watch::Receiver<Arc<Layout>>, me: NodeId) -> BlockKeeper {
        BlockKeeper {
            store,
            pool,
            layout,
            me,
            writes: Semaphore::new(WRITES_MAX),
            dirty: Mutex::default(),
            expected: Mutex::default(),
            suspects: Mutex::default(),
            missing: Mutex::default(),
            scanning: AtomicUsize::new(0),
            wake: Notify::new(),
        }
    }

    pub fn store(&self) -> &Arc<BlockStore> {
        &self.store
    }

    /// Blocks that should be here and are not, and partitions that were not looked through yet.
    pub fn missing(&self) -> usize {
        let known: usize = self.missing.lock().values().sum();
        known + self.dirty.lock().len() + self.scanning.load(Ordering::Relaxed) + self.suspects.lock().len()
    }

    /// Look through that partition soon.
    pub fn scan(&self, partition: PartitionId) {
        self.dirty.lock().insert(partition);
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
            let count = self.layout.borrow().partition_count().max(1);
            self.dirty.lock().extend(referenced.iter().map(|hash| hash.partition(count)));
        }
    }

    /// A reader found this node's copy missing or bad.
    fn suspect(&self, hash: BlockHash) {
        let mut suspects = self.suspects.lock();
        if suspects.len() < 100_000 {
            suspects.insert(hash);
        }
        self.wake.notify_one();
    }

    /// Keeps the blocks as they should be. Runs until dropped.
    pub async fn keep(self: Arc<Self>, inner: Arc<Inner>) {
        loop {
            let _ = tokio::time::timeout(SETTLE, self.wake.notified()).await;
            // Uploads place their blocks themselves: let them finish.
            tokio::time::sleep(SETTLE / 3).await;
            let suspects = std::mem::take(&mut *self.suspects.lock());
            for hash in suspects {
                // Reading verifies; a bad file is put aside.
                let good = matches!(self.read(hash).await, Ok(Some(_)));
                if !good && !self.fetch(hash).await {
                    tracing::error!(%hash, "no good copy of this block was found on the other replicas");
                }
            }
            self.check_expected().await;
            let dirty = std::mem::take(&mut *self.dirty.lock());
            self.scanning.store(dirty.len(), Ordering::Relaxed);
            for id in dirty {
                let hosted = inner.partition(id).is_some_and(|p| p.look(|replica, _| replica.state().is_some()));
                let left = if hosted { self.look_through(&inner, id).await } else { 0 };
                self.scanning.fetch_sub(1, Ordering::Relaxed);
                if left > 0 {
                    self.missing.lock().insert(id, left);
                    self.dirty.lock().insert(id);
                } else {
                    self.missing.lock().remove(&id);
                }
            }
        }
    }

    /// Looks for the blocks that were referenced lately, and fetches what is not here.
    async fn check_expected(&self) {
        let expected = std::mem::take(&mut *self.expected.lock());
        if expected.is_empty() {
            return;
        }
        let store = self.store.clone();
        let absent = blocking(move || {
            let mut absent = Vec::new();
            for hash in expected {
                if !store.has(&hash)? {
                    absent.push(hash);
                }
            }
            Ok(absent)
        });
        let Ok(absent) = absent.await else { return };
        let count = self.layout.borrow().partition_count().max(1);
        for hash in absent {
            if !self.fetch(hash).await {
                self.scan(hash.partition(count));
            }
        }
    }

    /// Fetches what is missing in a partition; how many are missing still.
    async fn look_through(&self, inner: &Arc<Inner>, id: PartitionId) -> usize {
        let mut after: Option<ItemKey> = None;
        let mut left = 0;
        loop {
            let (engine, store, from) = (inner.engine.clone(), self.store.clone(), after.clone());
            let page = blocking(move || {
                let items = engine.snapshot(id)?.scan(BLOCKS_TABLE, from.as_ref(), PAGE)?;
                let next = items.last().map(|(key, _)| key.clone());
                let mut absent = BTreeSet::new();
                for (key, _) in &items {
                    if key.sort_key.first() == Some(&BLOCK_REFERENCE)
                        && let Ok(hash) = <[u8; 32]>::try_from(&key.partition_key[..])
                        && !store.has(&BlockHash(hash))?
                    {
                        absent.insert(BlockHash(hash));
                    }
                }
                Ok((absent, next))
            });
            let Ok((absent, next)) = page.await else { return left + 1 };
            for hash in absent {
                if !self.fetch(hash).await {
                    left += 1;
                }
            }
            match next {
                Some(key) => after = Some(key),
                None => return left,
            }
        }
    }

    /// Fetches a block from another replica.
    async fn fetch(&self, hash: BlockHash) -> bool {
        let layout = self.layout.borrow().clone();
        let partition = hash.partition(layout.partition_count().max(1));
        let Some(chain) = layout.chain(partition) else { return false };
        for member in chain.members.iter().filter(|member| member.replica.node != self.me) {
            let Some(node) = layout.nodes.get(&member.replica.node) else { continue };
            let reply = self
                .pool
                .call(&node.address, method::GET_BLOCK, rpc::codec::encode(&hash), Duration::from_secs(10))
                .await;
            let found = reply.and_then(|body| rpc::codec::decode_head::<Result<bool, Fault>>(&body));
            if let Ok((Ok(true), raw)) = found
                && self.write(hash, raw).await.is_ok()
            {
                tracing::info!(%hash, from = %node.id, "block repaired from another replica");
                return true;
            }
        }
        false
    }

    /// Reads for a gateway on this node: a bad copy is none, and is repaired.
    pub async fn read_local(&self, hash: BlockHash) -> Option<Bytes> {
        self.read(hash).await.inspect_err(|_| self.suspect(hash)).ok().flatten()
    }

    async fn read(&self, hash: BlockHash) -> Result<Option<Bytes>, Fault> {
        let store = self.store.clone();
        blocking(move || store.get(&hash)).await
    }

    async fn write(&self, hash: BlockHash, raw: Bytes) -> Result<(), Fault> {
        let Ok(_permit) = self.writes.acquire().await else { return Err(Fault::Busy) };
        let (store, me) = (self.store.clone(), self.me);
        match tokio::task::spawn_blocking(move || store.put(hash, raw)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(StorageError::Full { .. })) => Err(Fault::NoSpace { node: me }),
            Ok(Err(StorageError::Damaged(why))) => Err(Fault::Invalid(why)),
            Ok(Err(error)) => Err(Fault::Stopped(error.to_string())),
            Err(error) => Err(Fault::Unknown(error.to_string())),
        }
    }
}

impl Inner {
    pub(crate) async fn block_request(self: &Arc<Self>, number: u16, body: Bytes) -> Result<Body, Status> {
        let invalid = |error: rpc::RpcError| Fault::Invalid(error.to_string());
        match number {
            method::PUT_BLOCK => {
                let result = match rpc::codec::decode_head::<PutBlock>(&body).map_err(invalid) {
                    Ok((put, raw)) => self.blocks.write(put.hash, raw).await,
                    Err(fault) => Err(fault),
                };
                Ok(rpc::codec::encode(&result).into())
            }
            method::GET_BLOCK => {
                let result = match rpc::codec::decode::<BlockHash>(&body).map_err(invalid) {
                    Ok(hash) => self.blocks.read(hash).await.inspect_err(|_| self.blocks.suspect(hash)),
                    Err(fault) => Err(fault),
                };
                match result {
                    Ok(Some(raw)) => Ok((rpc::codec::encode(&Ok::<bool, Fault>(true)), raw).into()),
                    Ok(None) => Ok(rpc::codec::encode(&Ok::<bool, Fault>(false)).into()),
                    Err(fault) => Ok(rpc::codec::encode(&Err::<bool, Fault>(fault)).into()),
                }
            }
            method::HAVE_BLOCKS => {
                let result = match rpc::codec::decode::<HaveBlocks>(&body).map_err(invalid) {
                    Ok(request) => self.have_blocks(request).await,
                    Err(fault) => Err(fault),
                };
                Ok(rpc::codec::encode(&result).into())
            }
            _ => {
                let result =
                    rpc::codec::decode::<BlockHash>(&body).map_err(invalid).map(|hash| self.blocks.suspect(hash));
                Ok(rpc::codec::encode(&result).into())
            }
        }
    }

    async fn have_blocks(self: &Arc<Self>, request: HaveBlocks) -> Result<Vec<bool>, Fault> {
        let Some(first) = request.hashes.first() else { return Ok(Vec::new()) };
        if request.hashes.len() > types::limits::KEYS_MAX {
            return Err(Fault::Invalid("too many blocks in one question".into()));
        }
        let id = first.partition(self.partitions().len().max(1) as u16);
        let partition = self.partition(id).ok_or_else(|| self.not_serving(id))?;
        let mut applied = partition.applied();
        let pinned = applied.wait_for(|applied| *applied >= request.after.seq);
        if !matches!(tokio::time::timeout(Duration::from_secs(2), pinned).await, Ok(Ok(_))) {
            return Err(Fault::NotReady("this replica has not seen the pin yet".into()));
        }
        let store = self.blocks.store().clone();
        blocking(move || request.hashes.iter().map(|hash| store.has(hash)).collect()).await
    }
}
