//! What is missing here, and when to try for it again.

use super::fetch::Fetched;
use super::{BlockKeeper, is_referenced};
use crate::node::Inner;
use crate::partition::Partition;
use crate::reads::blocking;
use futures::{StreamExt, stream};
use replication::node::Report;
use rpc::wire::Fault;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use storage::StorageEngine;
use types::layout::{BLOCK_REFERENCE, BLOCKS_TABLE};
use types::{BlockHash, Epoch, ItemKey, MemberState, PartitionId};

/// The blocks are looked after no more often than this.
const SETTLE: Duration = Duration::from_millis(1500);
/// References compared with the disk at once.
const PAGE: usize = 1000;
/// Blocks fetched at the same time.
const FETCHES: usize = 4;
/// Blocks tried in one round, so that news does not wait for ever.
const ROUND: usize = 512;
/// What is fetched is told of no more often than this, while there is more to come; and that there is no room.
const TELL_EVERY: Duration = Duration::from_secs(10);
const NO_ROOM_EVERY: Duration = Duration::from_secs(60);

/// What was told last of fetching.
struct News {
    fetched: u64,
    told: Instant,
    no_room: Option<Instant>,
}

impl BlockKeeper {
    /// Keeps the blocks as they should be. Runs until dropped.
    pub async fn keep(self: Arc<Self>, inner: Arc<Inner>) {
        let mut news = News { fetched: 0, told: Instant::now(), no_room: None };
        loop {
            let _ = tokio::time::timeout(SETTLE, self.wake.notified()).await;
            // Uploads place their blocks themselves: let them finish.
            tokio::time::sleep(SETTLE / 3).await;
            self.check_suspects(&inner).await;
            self.check_expected().await;
            self.look_through_dirty(&inner).await;
            let no_room = self.fetch_absent(&inner).await;
            self.tell(&mut news, no_room);
            self.tell_whole(&inner);
        }
    }

    /// What came of fetching, now and then: not of each block.
    fn tell(&self, news: &mut News, no_room: usize) {
        let (fetched, missing) = (self.fetched.load(Ordering::Relaxed), self.missing());
        if fetched > news.fetched && (missing == 0 || news.told.elapsed() >= TELL_EVERY) {
            tracing::info!(blocks = fetched - news.fetched, missing, "blocks fetched from other nodes");
            (news.fetched, news.told) = (fetched, Instant::now());
        }
        if no_room > 0 && news.no_room.is_none_or(|at| at.elapsed() >= NO_ROOM_EVERY) {
            tracing::warn!(missing, "there is no room on this disk for blocks that should be here, too");
            news.no_room = Some(Instant::now());
        }
    }

    /// Known to be absent from now on; false when there is no room to remember it.
    pub(super) fn lacks(&self, hash: BlockHash) -> bool {
        self.upkeep.lock().lacks(hash, self.clock.monotonic())
    }

    async fn check_suspects(&self, inner: &Arc<Inner>) {
        let suspects = std::mem::take(&mut *self.suspects.lock());
        for hash in suspects {
            // Reading verifies; a bad file is put aside.
            let good = matches!(self.read(hash).await, Ok(Some(_)));
            if !good && self.belongs_here(inner, hash).await {
                self.lacks(hash);
            }
        }
    }

    /// Whether this node is to hold the block. When in doubt, it is.
    pub(super) async fn belongs_here(&self, inner: &Arc<Inner>, hash: BlockHash) -> bool {
        let id = self.partition_of(&hash);
        if !hosted(inner, id) {
            return false;
        }
        let engine = inner.engine.clone();
        blocking(move || is_referenced(&*engine.snapshot(id)?, hash)).await.unwrap_or(true)
    }

    /// Looks for the blocks that were referenced lately.
    async fn check_expected(&self) {
        let expected = std::mem::take(&mut *self.expected.lock());
        if expected.is_empty() {
            return;
        }
        let (store, asked) = (self.store.clone(), expected.clone());
        let absent = blocking(move || {
            let mut absent = Vec::new();
            for hash in asked {
                if !store.has(&hash)? {
                    absent.push(hash);
                }
            }
            Ok(absent)
        });
        match absent.await {
            Ok(absent) => {
                for hash in absent {
                    if !self.lacks(hash) {
                        self.scan(self.partition_of(&hash));
                    }
                }
            }
            Err(fault) => {
                tracing::error!(%fault, "cannot look for blocks");
                self.expected.lock().extend(expected);
            }
        }
    }

    async fn look_through_dirty(&self, inner: &Arc<Inner>) {
        let dirty = self.upkeep.lock().take_dirty();
        self.looking.store(dirty.len(), Ordering::Relaxed);
        for id in dirty {
            if let Some(partition) = inner.partition(id)
                && hosted(inner, id)
            {
                // What a member that only begins to sync finds absent can be fetched already.
                let ready = self.ready(inner, partition).await;
                match self.look_through(inner, id).await {
                    Ok(true) => match ready {
                        Some(epoch) => self.upkeep.lock().looked(id, epoch),
                        None if serves(partition) => self.upkeep.lock().scan(id),
                        None => {}
                    },
                    Ok(false) => self.upkeep.lock().scan(id),
                    Err(fault) => {
                        tracing::warn!(partition = %id, %fault, "cannot compare references with the disk");
                        self.upkeep.lock().scan(id);
                    }
                }
            }
            self.looking.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The epoch under which the tables contain every reference that was given before it.
    async fn ready(&self, inner: &Arc<Inner>, partition: &Arc<Partition>) -> Option<Epoch> {
        let epoch = partition.look(|replica, _| replica.progress().epoch);
        if !serves(partition) {
            return None;
        }
        inner.settled(partition).await.ok()?;
        Some(epoch)
    }

    /// Finds what is missing in a partition; false when there was no room to remember it.
    pub(super) async fn look_through(&self, inner: &Arc<Inner>, id: PartitionId) -> Result<bool, Fault> {
        let mut after: Option<ItemKey> = None;
        let mut remembered = true;
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
            let (absent, next) = page.await?;
            for hash in absent {
                remembered &= self.lacks(hash);
            }
            match next {
                Some(key) => after = Some(key),
                None => return Ok(remembered),
            }
        }
    }

    /// Tries for what is due. For how many of them there was no room.
    async fn fetch_absent(&self, inner: &Arc<Inner>) -> usize {
        let due = self.upkeep.lock().due(self.clock.monotonic(), ROUND);
        if due.len() == ROUND {
            self.wake.notify_one();
        }
        let tried = stream::iter(due).map(|hash| self.try_for(inner, hash)).buffer_unordered(FETCHES);
        tried.filter(|fetched| std::future::ready(*fetched == Fetched::NoRoom)).count().await
    }

    /// One try for a block that is known to be absent. Here: or it need not be.
    pub(super) async fn try_for(&self, inner: &Arc<Inner>, hash: BlockHash) -> Fetched {
        let store = self.store.clone();
        let here = blocking(move || store.has(&hash)).await.unwrap_or(false);
        if here || !self.belongs_here(inner, hash).await {
            self.upkeep.lock().found(hash);
            return Fetched::Here;
        }
        let fetched = self.fetch(hash).await;
        let mut upkeep = self.upkeep.lock();
        if fetched == Fetched::Here {
            upkeep.found(hash);
        } else if upkeep.failed(hash, fetched == Fetched::Nowhere, self.clock.monotonic()) {
            tracing::error!(%hash, "a file needs this block, and no node that answers has a good copy of it");
        }
        fetched
    }

    /// Where a member waits to depart, or a node to be let go: tells the controller that it need not wait for this
    /// node's sake.
    fn tell_whole(&self, inner: &Arc<Inner>) {
        let layout = self.layout.borrow().clone();
        for (id, epoch) in self.upkeep.lock().whole(&layout) {
            let _ = inner.shared.reports.send(Report::Whole(id, epoch));
        }
        for leaving in self.upkeep.lock().spared(&layout) {
            let _ = inner.shared.reports.send(Report::Verified(leaving));
        }
    }
}

/// Whether this node is in the partition's chain.
pub(super) fn hosted(inner: &Inner, id: PartitionId) -> bool {
    inner.partition(id).is_some_and(|partition| partition.look(|replica, _| replica.state().is_some()))
}

fn serves(partition: &Partition) -> bool {
    partition.look(|replica, _| replica.state() == Some(MemberState::Serving))
}
