//! Collection of blocks that nothing keeps.
//!
//! A node deletes its own copy when the tables, read as a strong read, have neither reference nor pin
//! of the block, twice, a grace time apart. Before the second reading the block is *condemned*: whoever
//! asks for it or puts it from then on saves it. An upload pins before it asks or puts. So an answer
//! *it is here* was given either before the block was condemned, when the pin was committed before the
//! reading and stops it, or after, when the answer itself stops it. `docs/decisions/collection.md`.

use super::keep::hosted;
use super::{BlockKeeper, is_kept};
use crate::node::Inner;
use crate::reads::blocking;
use replication::blocks::{Collector, settled_without};
use rpc::wire::{Fault, method};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use storage::StorageEngine;
use types::{BlockHash, PartitionId};

/// Blocks looked at together.
const PAGE: usize = 512;
/// Blocks asked about at once: whoever is asked reads each of them whole.
const ASK: usize = 16;
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// What one pass did.
#[derive(Default)]
struct Pass {
    deleted: u64,
    bytes: u64,
}

impl BlockKeeper {
    /// Collects, again and again. Runs until dropped.
    pub async fn collect(self: Arc<Self>, inner: Arc<Inner>) {
        let mut collector = Collector::default();
        loop {
            tokio::time::sleep(self.grace).await;
            if inner.stopped().is_some() {
                return;
            }
            let mut pass = Pass::default();
            if let Err(fault) = self.pass(&inner, &mut collector, &mut pass).await {
                tracing::warn!(%fault, "collection of blocks broke off; the next pass goes on");
            }
            if pass.deleted > 0 {
                tracing::info!(blocks = pass.deleted, bytes = pass.bytes, "collected blocks that nothing kept");
            }
            collector.end();
        }
    }

    async fn pass(&self, inner: &Arc<Inner>, collector: &mut Collector, pass: &mut Pass) -> Result<(), Fault> {
        let mut after = None;
        loop {
            let store = self.store.clone();
            let page = blocking(move || store.list(after, PAGE)).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(*last);
            let mut groups: BTreeMap<PartitionId, Vec<BlockHash>> = BTreeMap::new();
            for hash in page {
                groups.entry(self.partition_of(&hash)).or_default().push(hash);
            }
            for (id, hashes) in groups {
                let here = hosted(inner, id);
                let free = if here { self.unkept(inner, id, hashes).await? } else { hashes };
                let again = collector.look(free);
                if again.is_empty() {
                    continue;
                }
                self.store.condemn(&again);
                let sure = match here {
                    true => self.surely_unkept(inner, id, &again).await,
                    false => self.not_needed(inner, id, &again).await,
                };
                let (mut deleted, mut failed) = (Vec::new(), None);
                match sure {
                    Ok(sure) => {
                        let store = self.store.clone();
                        let gone = blocking(move || {
                            sure.into_iter()
                                .filter_map(|hash| {
                                    Some(store.delete_condemned(&hash).transpose()?.map(|size| (hash, size)))
                                })
                                .collect::<Result<Vec<_>, _>>()
                        });
                        match gone.await {
                            Ok(gone) => deleted = gone,
                            Err(fault) => failed = Some(fault),
                        }
                    }
                    // The chain is changing: its marks stay for the next pass.
                    Err(fault) => tracing::debug!(partition = %id, %fault, "blocks are left to the next collection"),
                }
                self.store.pardon(&again);
                pass.deleted += deleted.len() as u64;
                pass.bytes += deleted.iter().map(|(_, size)| size).sum::<u64>();
                let gone: BTreeSet<BlockHash> = deleted.into_iter().map(|(hash, _)| hash).collect();
                collector.stay(again.into_iter().filter(|hash| !gone.contains(hash)));
                if let Some(fault) = failed {
                    self.check_disk();
                    return Err(fault);
                }
            }
        }
    }

    /// Those that nothing keeps, by this node's tables as they are.
    async fn unkept(
        &self,
        inner: &Arc<Inner>,
        id: PartitionId,
        hashes: Vec<BlockHash>,
    ) -> Result<Vec<BlockHash>, Fault> {
        let engine = inner.engine.clone();
        blocking(move || {
            let tables = engine.snapshot(id)?;
            let mut unkept = Vec::new();
            for hash in hashes {
                if !is_kept(&*tables, hash)? {
                    unkept.push(hash);
                }
            }
            Ok(unkept)
        })
        .await
    }

    /// The same as a strong read.
    pub(super) async fn surely_unkept(
        &self,
        inner: &Arc<Inner>,
        id: PartitionId,
        hashes: &[BlockHash],
    ) -> Result<Vec<BlockHash>, Fault> {
        let partition = inner.partition(id).ok_or_else(|| inner.not_serving(id))?;
        inner.settled(partition).await?;
        let unkept = self.unkept(inner, id, hashes.to_vec()).await?;
        inner.check_read(partition)?;
        Ok(unkept)
    }

    /// Of a partition that this node holds no longer: those that no member of its chain wants from here.
    async fn not_needed(
        &self,
        inner: &Arc<Inner>,
        id: PartitionId,
        hashes: &[BlockHash],
    ) -> Result<Vec<BlockHash>, Fault> {
        let layout = self.layout.borrow().clone();
        let Some(chain) = layout.chain(id).filter(|chain| settled_without(chain, self.me)) else {
            return Err(inner.not_serving(id));
        };
        let mut needed = vec![false; hashes.len()];
        for (hashes, needed) in hashes.chunks(ASK).zip(needed.chunks_mut(ASK)) {
            let body = rpc::codec::encode(&hashes.to_vec());
            for member in &chain.members {
                let Some(node) = layout.nodes.get(&member.replica.node) else { return Err(inner.not_serving(id)) };
                let reply = self.pool.call(&node.address, method::NEED_BLOCKS, body.clone(), ASK_TIMEOUT).await;
                let answer = reply.and_then(|body| rpc::codec::decode::<Result<Vec<bool>, Fault>>(&body));
                let wants = answer.map_err(|error| Fault::NotReady(error.to_string()))??;
                if wants.len() != hashes.len() {
                    return Err(Fault::Invalid("an answer for another question".into()));
                }
                needed.iter_mut().zip(wants).for_each(|(needed, wants)| *needed |= wants);
            }
        }
        Ok(hashes.iter().zip(needed).filter(|(_, needed)| !needed).map(|(hash, _)| *hash).collect())
    }
}
