//! Storing a block on the nodes of its chain, all at the same time.

use super::pins::Found;
use super::{UploadId, hash_of};
use crate::link::Failure;
use crate::patience::Heard;
use crate::router::{Role, Router, Target};
use crate::{Client, ClientError};
use bytes::Bytes;
use futures::future::{BoxFuture, OptionFuture};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, stream};
use rpc::codec;
use rpc::wire::{Fault, HaveBlocks, PutBlock, method};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;
use types::limits::{BLOCK_BYTES, KEYS_MAX};
use types::{Action, BlockHash, Classify, Layout, MemberState, NodeId, PartitionId, Version};

/// Before a node that failed gets the block again.
const RETRY_AFTER: Duration = Duration::from_millis(150);
/// Partitions whose holders are asked at the same time.
const PARTITIONS_AT_ONCE: usize = 8;

impl Client {
    /// Stores a block under an upload's pin. It is durable on enough nodes when this returns, and
    /// collection keeps away from it for a day.
    pub async fn put_block(&self, upload: UploadId, hash: BlockHash, raw: Bytes) -> Result<(), ClientError> {
        if raw.is_empty() || raw.len() > BLOCK_BYTES {
            return Err(ClientError::Invalid(format!("a block has 1 to {BLOCK_BYTES} bytes, not {}", raw.len())));
        }
        let actual = hash_of(&raw).await?;
        if actual != hash {
            return Err(ClientError::Invalid(format!(
                "the bytes are those of block {actual}, not of {hash}: send them again"
            )));
        }
        self.store_block(upload, hash, raw).await
    }

    /// The same for bytes whose hash was computed here.
    pub(super) async fn store_block(&self, upload: UploadId, hash: BlockHash, raw: Bytes) -> Result<(), ClientError> {
        let pin = self.pin(upload, hash).await?;
        let durable = match pin.found {
            Found::Stored => return Ok(()),
            Found::Missing => BTreeSet::new(),
            // Only what is asked after the pin is safe from collection.
            Found::NotAsked => {
                let partition = hash.partition(self.layout().partition_count());
                let holders = self.router.ask_holders(partition, vec![hash], pin.version).await;
                holders.into_iter().filter(|(_, has)| has[0]).map(|(node, _)| node).collect()
            }
        };
        self.router.store(hash, raw, durable).await?;
        self.pins.found(upload, hash, Found::Stored);
        Ok(())
    }

    /// Pins blocks, then tells which of them must be sent. The others are safe under the pin.
    pub async fn missing_blocks(&self, upload: UploadId, hashes: &[BlockHash]) -> Result<Vec<BlockHash>, ClientError> {
        let wanted: BTreeSet<BlockHash> = hashes.iter().copied().collect();
        let layout = self.layout();
        let mut groups: BTreeMap<PartitionId, Vec<(BlockHash, Version)>> = BTreeMap::new();
        let mut stored: BTreeSet<BlockHash> = BTreeSet::new();
        for (hash, pin) in self.pin_all(upload, wanted).await? {
            if pin.found == Found::Stored {
                stored.insert(hash);
            } else {
                groups.entry(hash.partition(layout.partition_count())).or_default().push((hash, pin.version));
            }
        }
        // Owned, so that the future may move between threads.
        let mut questions: Vec<(PartitionId, Vec<(BlockHash, Version)>)> = Vec::new();
        for (partition, pins) in groups {
            questions.extend(pins.chunks(KEYS_MAX).map(|part| (partition, part.to_vec())));
        }
        let answers: Vec<Vec<(BlockHash, bool)>> = stream::iter(questions)
            .map(|(partition, pins)| async move { self.router.stored_blocks(partition, &pins).await })
            .buffer_unordered(PARTITIONS_AT_ONCE)
            .collect()
            .await;
        for (hash, is_stored) in answers.into_iter().flatten() {
            self.pins.found(upload, hash, if is_stored { Found::Stored } else { Found::Missing });
            if is_stored {
                stored.insert(hash);
            }
        }
        Ok(hashes.iter().filter(|hash| !stored.contains(hash)).copied().collect())
    }
}

/// The nodes that a block belongs on.
struct Holders {
    /// All members of the chain.
    members: Vec<Target>,
    /// Those whose copies count: not of members that fill up, nor of those on their way out.
    acking: BTreeSet<NodeId>,
    /// How many copies are enough.
    need: usize,
}

impl Holders {
    fn of(layout: &Layout, partition: PartitionId) -> Holders {
        let members = layout.chain(partition).map(|chain| chain.members.as_slice()).unwrap_or_default();
        let acking = members.iter().filter(|member| member.state == MemberState::Serving);
        Holders {
            acking: acking.map(|member| member.replica.node).collect(),
            need: usize::from(layout.replicas_min).min(members.len()).max(1),
            members: members
                .iter()
                .filter_map(|member| {
                    let address = layout.nodes.get(&member.replica.node)?.address.clone();
                    Some(Target { replica: member.replica, address })
                })
                .collect(),
        }
    }

    fn copies(&self, durable: &BTreeSet<NodeId>) -> usize {
        self.acking.intersection(durable).count()
    }
}

impl Router {
    /// Which nodes of the chain have which of these blocks, once their tables contain the write `after`.
    /// Nodes that do not answer in time are left out.
    async fn ask_holders(
        &self,
        partition: PartitionId,
        hashes: Vec<BlockHash>,
        after: Version,
    ) -> Vec<(NodeId, Vec<bool>)> {
        let holders = Holders::of(&self.map.current(), partition);
        let asked = hashes.len();
        let body = codec::encode(&HaveBlocks { hashes, after });
        let timeout = self.config.timeouts.read_attempt;
        let answers = holders.members.iter().filter(|target| !self.health.avoided(&target.address)).map(|target| {
            let body = body.clone();
            async move {
                let answer =
                    self.attempt::<Vec<bool>>(target, partition, Role::Holder, method::HAVE_BLOCKS, body, timeout);
                let (has, _) = answer.await.ok()?;
                (has.len() == asked).then_some((target.replica.node, has))
            }
        });
        futures::future::join_all(answers).await.into_iter().flatten().collect()
    }

    /// Which of these pinned blocks enough nodes have.
    async fn stored_blocks(&self, partition: PartitionId, pins: &[(BlockHash, Version)]) -> Vec<(BlockHash, bool)> {
        let hashes = pins.iter().map(|(hash, _)| *hash).collect();
        let after = pins.iter().map(|(_, version)| *version).max().unwrap_or_default();
        let answers = self.ask_holders(partition, hashes, after).await;
        let holders = Holders::of(&self.map.current(), partition);
        let has = |nth: usize| answers.iter().filter(|(_, has)| has[nth]).map(|(node, _)| *node).collect();
        pins.iter().enumerate().map(|(nth, (hash, _))| (*hash, holders.copies(&has(nth)) >= holders.need)).collect()
    }

    /// Sends a block to every member of its chain that does not have it. Returns when all members
    /// whose copies count have it, or enough of them and the others took too long.
    pub(super) async fn store(
        &self,
        hash: BlockHash,
        raw: Bytes,
        mut durable: BTreeSet<NodeId>,
    ) -> Result<(), ClientError> {
        let timeouts = &self.config.timeouts;
        let partition = hash.partition(self.map.current().partition_count());
        let head = codec::encode(&PutBlock { hash });
        let deadline = Instant::now() + timeouts.request;
        let mut map = self.map.subscribe();
        let mut heard = Heard::default();
        let mut puts = FuturesUnordered::new();
        let mut under_way: BTreeSet<NodeId> = BTreeSet::new();
        let mut again_at: BTreeMap<NodeId, Instant> = BTreeMap::new();
        let mut full: BTreeSet<NodeId> = BTreeSet::new();
        let mut enough_since: Option<Instant> = None;
        let mut refresh: Option<BoxFuture<'_, ()>> = None;
        loop {
            let layout = map.borrow_and_update().clone();
            let holders = Holders::of(&layout, partition);
            let now = Instant::now();
            for target in &holders.members {
                let node = target.replica.node;
                let due = again_at.get(&node).is_none_or(|at| *at <= now);
                if due && !durable.contains(&node) && under_way.insert(node) {
                    let timeout = (timeouts.write_attempt * 2).min(deadline.saturating_duration_since(now));
                    puts.push(self.put_one(target.clone(), partition, (head.clone(), raw.clone()), timeout));
                }
            }
            let copies = holders.copies(&durable);
            if copies >= holders.need {
                let since = *enough_since.get_or_insert(now);
                let others_under_way = holders.acking.intersection(&under_way).next().is_some();
                if copies == holders.acking.len()
                    || !others_under_way
                    || now.duration_since(since) >= timeouts.block_stragglers
                {
                    return Ok(());
                }
            } else if now >= deadline {
                return Err(too_few_copies(&holders, copies, heard, &layout));
            } else if let Some(node) = holders.acking.intersection(&full).next()
                && holders.acking.difference(&full).count() < holders.need
            {
                return Err(ClientError::NoSpace { node: *node });
            } else {
                enough_since = None;
                if holders.acking.is_empty() && refresh.is_none() {
                    heard.nobody(&layout, partition);
                    refresh = Some(self.refresh_after_a_while(&layout, None));
                }
            }
            let straggle = enough_since.map(|since| since + timeouts.block_stragglers);
            let retry = again_at.values().filter(|at| **at > now).min().copied();
            let wake = [straggle, retry].into_iter().flatten().fold(deadline.max(now), Instant::min);
            tokio::select! {
                Some((target, result)) = puts.next() => {
                    let node = target.replica.node;
                    under_way.remove(&node);
                    match result {
                        Ok(()) => {
                            durable.insert(node);
                            full.remove(&node);
                        }
                        Err(Failure::Fault(Fault::NoSpace { .. })) => {
                            full.insert(node);
                            again_at.insert(node, now + RETRY_AFTER * 4);
                        }
                        Err(failure) if failure.action() == Action::Rejected => {
                            return Err(failure.into_error(vec![target.address], &layout));
                        }
                        Err(failure) => {
                            if refresh.is_none() && (failure.action() != Action::Retry || failure.blames_node()) {
                                refresh = Some(self.refresh_after_a_while(&layout, Some(target.address.clone())));
                            }
                            heard.failed(&target.address, failure);
                            again_at.insert(node, Instant::now() + RETRY_AFTER);
                        }
                    }
                }
                Some(()) = OptionFuture::from(refresh.as_mut()) => refresh = None,
                _ = map.changed() => {}
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    async fn put_one(
        &self,
        target: Target,
        partition: PartitionId,
        body: (Bytes, Bytes),
        timeout: Duration,
    ) -> (Target, Result<(), Failure>) {
        let result = self.attempt::<()>(&target, partition, Role::Holder, method::PUT_BLOCK, body, timeout).await;
        (target, result.map(|_| ()))
    }

    fn refresh_after_a_while(&self, layout: &Layout, not: Option<String>) -> BoxFuture<'_, ()> {
        let seen = layout.version;
        async move {
            self.refresh(seen, not.as_deref()).await;
            // Not again at once, if there was no news.
            self.pause_for(seen, RETRY_AFTER).await;
        }
        .boxed()
    }
}

/// Time is up and too few nodes have the block.
fn too_few_copies(holders: &Holders, copies: usize, heard: Heard, layout: &Layout) -> ClientError {
    let count = |n: usize| u8::try_from(n).unwrap_or(u8::MAX);
    if holders.acking.len() < holders.need {
        return ClientError::TooFewReplicas { have: count(holders.acking.len()), need: count(holders.need) };
    }
    match heard.conclude(layout) {
        ClientError::Unreachable { tried, why } => ClientError::Unreachable {
            tried,
            why: format!("only {copies} of the {} copies that a block needs could be written ({why})", holders.need),
        },
        other => other,
    }
}
