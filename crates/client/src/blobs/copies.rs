//! How many nodes have a content whole, and since when that is known.

use super::content::{Body, Content};
use crate::{Client, ClientError};
use rpc::codec;
use rpc::wire::{BlockCopies, BlockCopy, COPIES_MAX, COPIES_READ_MAX, ReadReply, ReadRequest, method};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use types::{BlockHash, Consistency, Item, ItemKey, Layout, NodeId, PartitionId, Read, WallMillis, partition_of};

/// Blocks that one call looks at: 4 GiB of a file.
const LOOKED_MAX: usize = 4096;
/// How long a node may take to tell what it has; and to read it.
const LOOK_TIMEOUT: Duration = Duration::from_millis(800);
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// How many nodes have a part of a content whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// The fewest nodes that say they have any of it whole. One that does not answer is not counted.
    pub intact: u32,
    /// The nodes that are to have it.
    pub wanted: u32,
    /// Things looked at: the row that says what the file holds, and blocks, each of them once.
    pub looked: u64,
    /// Bytes of the content that are looked at from its beginning on, if all parts before were.
    pub upto: u64,
    /// What each node said.
    pub nodes: BTreeMap<NodeId, NodeCopies>,
    /// Of the copies that count, when the one that was not looked at the longest was last found to be whole.
    pub verified: Option<WallMillis>,
    /// Where the next part begins; none: that was all.
    pub next: Option<u64>,
}

/// What a node has, of the things that it is to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeCopies {
    /// Whole, by its word.
    pub intact: u64,
    /// It could not read these just now, or they were not what their names say. It mends them.
    pub damaged: u64,
    /// It does not have these.
    pub absent: u64,
    /// It did not answer.
    pub unknown: u64,
}

/// One thing, and what the nodes that are to have it said.
#[derive(Default)]
struct Thing {
    intact: u32,
    wanted: u32,
}

impl Copies {
    /// With what was found of the part that follows.
    pub fn and(mut self, later: Copies) -> Copies {
        if self.looked == 0 {
            return later;
        }
        self.intact = self.intact.min(later.intact);
        self.wanted = self.wanted.max(later.wanted);
        self.looked += later.looked;
        for (node, copies) in later.nodes {
            let all = self.nodes.entry(node).or_default();
            all.intact += copies.intact;
            all.damaged += copies.damaged;
            all.absent += copies.absent;
            all.unknown += copies.unknown;
        }
        self.verified = self.verified.into_iter().chain(later.verified).min();
        Copies { upto: later.upto, next: later.next, ..self }
    }

    /// Nodes that did not answer.
    pub fn silent(&self) -> usize {
        self.nodes.values().filter(|node| node.unknown > 0).count()
    }

    fn tell(&mut self, node: NodeId, thing: &mut Thing, copy: Option<BlockCopy>) {
        let said = self.nodes.entry(node).or_default();
        match copy {
            Some(BlockCopy::Intact { verified }) => {
                thing.intact += 1;
                said.intact += 1;
                self.verified = Some(self.verified.map_or(verified, |earlier| earlier.min(verified)));
            }
            Some(BlockCopy::Damaged) => said.damaged += 1,
            Some(BlockCopy::Absent) => said.absent += 1,
            None => said.unknown += 1,
        }
    }

    fn conclude<'a>(&mut self, things: impl Iterator<Item = &'a Thing>) {
        let things: Vec<&Thing> = things.collect();
        self.looked = things.len() as u64;
        self.intact = things.iter().map(|thing| thing.intact).min().unwrap_or(0);
        self.wanted = things.iter().map(|thing| thing.wanted).max().unwrap_or(0);
    }
}

impl Client {
    /// How many nodes have a part of the content whole: from `from` on, as much as one call looks at. The item `row` is
    /// what names it. With `read`, each holder reads its blocks and compares them with their names first.
    pub async fn copies(&self, row: &ItemKey, content: &Content, from: u64, read: bool) -> Result<Copies, ClientError> {
        let most = if read { COPIES_READ_MAX } else { LOOKED_MAX };
        let page = self.blocks_of(content, from, most).await?;
        let end = page.last().map_or(content.size, |last| last.at + u64::from(last.block.length));
        let mut hashes: BTreeSet<BlockHash> = page.iter().map(|found| found.block.hash).collect();
        if let Body::Indexed { index } = &content.body {
            let mut at = 0u64;
            for list in index {
                if (from..end).contains(&at) {
                    hashes.insert(list.block.hash);
                }
                at = at.saturating_add(list.covers);
            }
        }
        let layout = self.layout();
        let mut copies = Copies { upto: end, next: (end < content.size).then_some(end), ..Copies::default() };
        let mut things = BTreeMap::new();
        if from == 0 {
            self.look_at_row(&layout, row, &mut copies, things.entry(None).or_default()).await?;
        }
        self.look_at_blocks(&layout, hashes, read, &mut copies, &mut things).await;
        copies.conclude(things.values());
        Ok(copies)
    }

    /// Every replica is asked for the item, and must have it as a strong read tells it.
    async fn look_at_row(
        &self,
        layout: &Layout,
        row: &ItemKey,
        copies: &mut Copies,
        thing: &mut Thing,
    ) -> Result<(), ClientError> {
        let partition = partition_of(&row.partition_key, layout.partition_count());
        let Some(item) = self.get(row, Consistency::Strong).await? else {
            return Err(ClientError::Invalid("the file was replaced at this moment: look again".into()));
        };
        thing.wanted = wanted(layout, partition);
        let body = codec::encode(&ReadRequest {
            partition,
            read: Read::Items(vec![row.clone()]),
            consistency: Consistency::Stale,
        });
        let now = self.now();
        let asked = holders(layout, partition).map(|(node, address)| {
            let (body, item) = (body.clone(), &item);
            async move {
                let answer = self.router.link.call::<ReadReply>(address, method::READ, body, LOOK_TIMEOUT).await;
                (node, answer.ok().map(|(reply, _)| row_as(reply, item, now)))
            }
        });
        for (node, copy) in futures::future::join_all(asked).await {
            copies.tell(node, thing, copy);
        }
        Ok(())
    }

    /// Every holder is asked for all that it is to have, in as few questions as may be.
    async fn look_at_blocks(
        &self,
        layout: &Layout,
        hashes: BTreeSet<BlockHash>,
        read: bool,
        copies: &mut Copies,
        things: &mut BTreeMap<Option<BlockHash>, Thing>,
    ) {
        let mut asked: BTreeMap<(NodeId, &str), Vec<BlockHash>> = BTreeMap::new();
        for hash in hashes {
            let partition = hash.partition(layout.partition_count());
            things.entry(Some(hash)).or_default().wanted = wanted(layout, partition);
            for holder in holders(layout, partition) {
                asked.entry(holder).or_default().push(hash);
            }
        }
        let answers = asked
            .into_iter()
            .map(|((node, address), hashes)| async move { (node, self.ask_for_copies(address, hashes, read).await) });
        for (node, answers) in futures::future::join_all(answers).await {
            for (hash, copy) in answers {
                copies.tell(node, things.entry(Some(hash)).or_default(), copy);
            }
        }
    }

    /// What a node says of these blocks; nothing of those for which it gave no answer.
    async fn ask_for_copies(
        &self,
        address: &str,
        hashes: Vec<BlockHash>,
        read: bool,
    ) -> Vec<(BlockHash, Option<BlockCopy>)> {
        let (most, timeout) = if read { (COPIES_READ_MAX, READ_TIMEOUT) } else { (COPIES_MAX, LOOK_TIMEOUT) };
        let mut told = Vec::with_capacity(hashes.len());
        let mut silent = false;
        for part in hashes.chunks(most) {
            let body = codec::encode(&BlockCopies { hashes: part.to_vec(), read });
            let answer = match silent {
                true => None,
                false => {
                    let asked =
                        self.router.link.call::<Vec<BlockCopy>>(address, method::BLOCK_COPIES, body, timeout).await;
                    asked.ok().map(|(said, _)| said).filter(|said| said.len() == part.len())
                }
            };
            silent |= answer.is_none();
            told.extend(part.iter().enumerate().map(|(n, hash)| (*hash, answer.as_ref().map(|said| said[n]))));
        }
        told
    }
}

/// The nodes in a partition's chain, and where they are.
fn holders(layout: &Layout, partition: PartitionId) -> impl Iterator<Item = (NodeId, &str)> {
    let members = layout.chain(partition).map(|chain| chain.members.as_slice()).unwrap_or_default();
    members.iter().filter_map(|member| {
        let node = layout.nodes.get(&member.replica.node)?;
        Some((node.id, node.address.as_str()))
    })
}

fn wanted(layout: &Layout, partition: PartitionId) -> u32 {
    layout.chain(partition).map_or(0, |chain| chain.wanted.len()) as u32
}

fn row_as(reply: ReadReply, item: &Item, now: WallMillis) -> BlockCopy {
    match reply {
        ReadReply::Items { items, .. } if items.first().and_then(Option::as_ref) == Some(item) => {
            BlockCopy::Intact { verified: now }
        }
        _ => BlockCopy::Absent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_parts_the_worst_counts() {
        let of = |intact, verified, node: NodeCopies, next| Copies {
            intact,
            wanted: 3,
            looked: 2,
            upto: 7,
            nodes: [(NodeId(1), node)].into(),
            verified: Some(WallMillis(verified)),
            next,
        };
        let good = NodeCopies { intact: 2, ..NodeCopies::default() };
        let silent = NodeCopies { unknown: 2, ..NodeCopies::default() };
        let all = Copies::default().and(of(3, 20, good, Some(7))).and(of(2, 30, silent, None));
        assert_eq!((all.intact, all.wanted, all.looked, all.silent()), (2, 3, 4, 1));
        assert_eq!((all.verified, all.next), (Some(WallMillis(20)), None));
        assert_eq!(all.nodes[&NodeId(1)], NodeCopies { intact: 2, unknown: 2, ..NodeCopies::default() });
    }
}
