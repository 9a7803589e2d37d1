//! How many nodes have a content whole, and since when that is known.

use super::content::{Body, Content};
use crate::link::Failure;
use crate::{Client, ClientError};
use rpc::codec;
use rpc::wire::{BlockCopies, BlockCopy, COPIES_MAX, COPIES_READ_MAX, Fault, ReadReply, ReadRequest, method};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};
use types::{BlockHash, Consistency, Item, ItemKey, Layout, NodeId, PartitionId, Read, WallMillis, partition_of};

/// Blocks that one call looks at: 4 GiB of a file; in how many at a time, and how long it begins with more.
const LOOKED_MAX: usize = 4096;
const LOOKED_AT_ONCE: usize = 256;
const ENOUGH: Duration = Duration::from_millis(300);
/// How long a node may take to tell what it has; and to read it, while others have it read, too.
const LOOK_TIMEOUT: Duration = Duration::from_millis(800);
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// A node that is busy is asked again after this.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How many nodes have a part of a content whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// The fewest nodes that say they have any of it whole. One that could not be asked is not counted.
    pub intact: u32,
    /// The nodes that are to have it.
    pub wanted: u32,
    /// Things looked at: the row that says what the file holds, and blocks, each of them once.
    pub looked: u64,
    /// The blocks among them. Of a row it is known that nodes have it as it should be, and not since when their disks do.
    pub blocks: u64,
    /// Bytes of the content that are looked at from its beginning on, if all parts before were.
    pub upto: u64,
    /// What each node said.
    pub nodes: BTreeMap<NodeId, NodeCopies>,
    /// Of the blocks' copies that count, when the one that was not looked at the longest was last found to be whole.
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
    /// It could not be asked: it is out of service, too busy, of an earlier release, or did not answer.
    pub unknown: u64,
}

/// What a node said of one thing.
enum Said {
    /// The item is as a strong read tells it.
    Row,
    Block(BlockCopy),
    Nothing,
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
        self.blocks += later.blocks;
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

    /// Nodes that could not be asked.
    pub fn unasked(&self) -> usize {
        self.nodes.values().filter(|node| node.unknown > 0).count()
    }

    /// Some node says that it lacks what it should have: there is more to this than nodes that could not be asked.
    pub fn lacking(&self) -> bool {
        self.nodes.values().any(|node| node.damaged + node.absent > 0)
    }

    /// Nobody could be asked about some of it.
    pub fn untold(&self) -> bool {
        self.intact == 0 && !self.lacking()
    }

    fn tell(&mut self, node: NodeId, thing: &mut Thing, said: Said) {
        let node = self.nodes.entry(node).or_default();
        match said {
            Said::Row => {
                thing.intact += 1;
                node.intact += 1;
            }
            Said::Block(BlockCopy::Intact { verified }) => {
                thing.intact += 1;
                node.intact += 1;
                self.verified = Some(self.verified.map_or(verified, |earlier| earlier.min(verified)));
            }
            Said::Block(BlockCopy::Damaged) => node.damaged += 1,
            Said::Block(BlockCopy::Absent) => node.absent += 1,
            Said::Nothing => node.unknown += 1,
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
    /// what names it. With `read`, each holder reads its blocks and compares them with their names first, unless it did
    /// so some minutes ago.
    pub async fn copies(&self, row: &ItemKey, content: &Content, from: u64, read: bool) -> Result<Copies, ClientError> {
        let began = Instant::now();
        let most = if read { COPIES_READ_MAX } else { LOOKED_MAX };
        let page = self.blocks_of(content, from, most).await?;
        let layout = self.layout();
        let mut copies = Copies { upto: content.size, ..Copies::default() };
        let mut things = BTreeMap::new();
        if from == 0 {
            self.look_at_row(&layout, row, &mut copies, things.entry(None).or_default()).await?;
        }
        let mut at = from;
        for part in page.chunks(LOOKED_AT_ONCE) {
            if at > from && began.elapsed() >= ENOUGH {
                break;
            }
            let end = part.last().map_or(content.size, |last| last.at + u64::from(last.block.length));
            let mut hashes: BTreeSet<BlockHash> = part.iter().map(|found| found.block.hash).collect();
            hashes.extend(lists(content, at..end));
            hashes.retain(|hash| !things.contains_key(&Some(*hash)));
            self.look_at_blocks(&layout, hashes, read, &mut copies, &mut things).await;
            at = end;
            copies.upto = end;
        }
        copies.next = (copies.upto < content.size).then_some(copies.upto);
        copies.blocks = things.keys().flatten().count() as u64;
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
        let asked = holders(layout, partition).into_iter().map(|(node, address)| {
            let (body, item) = (body.clone(), &item);
            async move {
                let Some(address) = address else { return (node, Said::Nothing) };
                let until = Instant::now() + LOOK_TIMEOUT;
                loop {
                    let left = until.saturating_duration_since(Instant::now());
                    let answer = self.router.link.call::<ReadReply>(address, method::READ, body.clone(), left).await;
                    let said = match answer {
                        Ok((reply, _)) => row_as(reply, item),
                        Err(Failure::Fault(Fault::Damaged)) => Said::Block(BlockCopy::Damaged),
                        Err(_) => Said::Nothing,
                    };
                    // What was written this moment may be on its way into that node's tables.
                    let again = matches!(said, Said::Block(BlockCopy::Absent)) && left > 2 * AGAIN_AFTER;
                    if !again {
                        return (node, said);
                    }
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
        });
        for (node, said) in futures::future::join_all(asked).await {
            copies.tell(node, thing, said);
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
        let mut asked: BTreeMap<(NodeId, Option<&str>), Vec<BlockHash>> = BTreeMap::new();
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
                copies.tell(node, things.entry(Some(hash)).or_default(), copy.map_or(Said::Nothing, Said::Block));
            }
        }
    }

    /// What a node says of these blocks; nothing of those for which it gave no answer in time.
    async fn ask_for_copies(
        &self,
        address: Option<&str>,
        hashes: Vec<BlockHash>,
        read: bool,
    ) -> Vec<(BlockHash, Option<BlockCopy>)> {
        let (most, timeout) = if read { (COPIES_READ_MAX, READ_TIMEOUT) } else { (COPIES_MAX, LOOK_TIMEOUT) };
        let until = Instant::now() + timeout;
        let mut told = Vec::with_capacity(hashes.len());
        for part in hashes.chunks(most) {
            let question = BlockCopies { hashes: part.to_vec(), read };
            let answer = match address {
                Some(address) => self.ask_until(address, &question, until).await,
                None => None,
            };
            told.extend(part.iter().enumerate().map(|(n, hash)| (*hash, answer.as_ref().map(|said| said[n]))));
        }
        told
    }

    /// A node that is busy is asked again: what it read meanwhile, it remembers.
    async fn ask_until(&self, address: &str, question: &BlockCopies, until: Instant) -> Option<Vec<BlockCopy>> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let body = codec::encode(question);
            match self.router.link.call::<Vec<BlockCopy>>(address, method::BLOCK_COPIES, body, left).await {
                Ok((said, _)) => return Some(said).filter(|said| said.len() == question.hashes.len()),
                Err(Failure::Fault(Fault::Busy)) => tokio::time::sleep(AGAIN_AFTER.min(left)).await,
                Err(error) => {
                    tracing::debug!(%error, address, "a node cannot be asked about its copies");
                    return None;
                }
            }
        }
    }
}

/// The lists of blocks that begin in this part of an indexed content.
fn lists(content: &Content, part: Range<u64>) -> Vec<BlockHash> {
    let Body::Indexed { index } = &content.body else { return Vec::new() };
    let mut at = 0u64;
    let mut found = Vec::new();
    for list in index {
        if part.contains(&at) {
            found.push(list.block.hash);
        }
        at = at.saturating_add(list.covers);
    }
    found
}

/// The nodes that are to have what is in a partition, and where they are asked. Who is out of its chain is not: it holds
/// what it held when it left, or gathers what it lacks.
fn holders(layout: &Layout, partition: PartitionId) -> Vec<(NodeId, Option<&str>)> {
    let Some(chain) = layout.chain(partition) else { return Vec::new() };
    let members: BTreeSet<NodeId> = chain.members.iter().map(|member| member.replica.node).collect();
    let address = |node| layout.nodes.get(&node).map(|found| found.address.as_str());
    let away = chain.wanted.iter().filter(|node| !members.contains(node)).map(|node| (*node, None));
    members.iter().map(|node| (*node, address(*node))).chain(away).collect()
}

fn wanted(layout: &Layout, partition: PartitionId) -> u32 {
    layout.chain(partition).map_or(0, |chain| chain.wanted.len()) as u32
}

fn row_as(reply: ReadReply, item: &Item) -> Said {
    match reply {
        ReadReply::Items { items, .. } if items.first().and_then(Option::as_ref) == Some(item) => Said::Row,
        _ => Said::Block(BlockCopy::Absent),
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
            blocks: 2,
            upto: 7,
            nodes: [(NodeId(1), node)].into(),
            verified: Some(WallMillis(verified)),
            next,
        };
        let good = NodeCopies { intact: 2, ..NodeCopies::default() };
        let silent = NodeCopies { unknown: 2, ..NodeCopies::default() };
        let all = Copies::default().and(of(3, 20, good, Some(7))).and(of(2, 30, silent, None));
        assert_eq!((all.intact, all.wanted, all.looked, all.unasked()), (2, 3, 4, 1));
        assert!(!all.lacking() && !all.untold());
        assert_eq!((all.verified, all.next), (Some(WallMillis(20)), None));
        assert_eq!(all.nodes[&NodeId(1)], NodeCopies { intact: 2, unknown: 2, ..NodeCopies::default() });
    }
}
