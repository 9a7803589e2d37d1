//! Contents from blocks that somebody else cut, and the blocks of a content, for
//! gateways whose own clients send and fetch blocks one by one.

use super::content::{BlockRef, Body, Content, IndexRef};
use super::write::LISTED_MAX;
use super::{UploadId, index};
use crate::{Client, ClientError};
use types::BlockHash;
use types::limits::BLOCK_BYTES;

/// A block of a file, and where in the file it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockAt {
    /// Its first byte's place.
    pub at: u64,
    /// The block.
    pub block: BlockRef,
}

impl Client {
    /// The content that consists of these blocks, all of them stored under the upload's pins. Long
    /// lists are stored as blocks themselves. `hash` is the caller's word for that of the whole.
    pub async fn content_of_blocks(
        &self,
        upload: UploadId,
        hash: [u8; 32],
        blocks: Vec<BlockRef>,
    ) -> Result<Content, ClientError> {
        if let Some(wrong) = blocks.iter().find(|block| block.length == 0 || block.length as usize > BLOCK_BYTES) {
            return Err(ClientError::Invalid(format!("a block has 1 to {BLOCK_BYTES} bytes, not {}", wrong.length)));
        }
        let size = blocks.iter().map(|block| u64::from(block.length)).sum();
        if blocks.len() <= LISTED_MAX {
            return Ok(Content { size, hash, body: Body::Blocks(blocks) });
        }
        let mut lists = Vec::new();
        for part in blocks.chunks(index::ENTRIES_MAX) {
            let raw = index::encode(part);
            let block = BlockRef { hash: BlockHash::of(&raw), length: raw.len() as u32 };
            self.store_block(upload, block.hash, raw).await?;
            lists.push(IndexRef { block, covers: part.iter().map(|block| u64::from(block.length)).sum() });
        }
        Ok(Content { size, hash, body: Body::Indexed { index: lists } })
    }

    /// The blocks of a content from the one that contains `offset` on, at most `most`. None for
    /// content that is kept inline, or when the offset is at its end.
    pub async fn blocks_of(&self, content: &Content, offset: u64, most: usize) -> Result<Vec<BlockAt>, ClientError> {
        let mut found = Vec::new();
        match &content.body {
            Body::Inline(_) => {}
            Body::Blocks(blocks) => take(blocks, 0, offset, most, &mut found),
            Body::Indexed { index } => {
                let mut at = 0u64;
                for list in index {
                    let end = at.saturating_add(list.covers);
                    if end > offset && found.len() < most {
                        take(&self.list_of_blocks(list).await?, at, offset, most, &mut found);
                    }
                    at = end;
                }
            }
        }
        Ok(found)
    }
}

/// Of blocks that begin at `at`, those that end after `offset`.
fn take(blocks: &[BlockRef], mut at: u64, offset: u64, most: usize, found: &mut Vec<BlockAt>) {
    for block in blocks {
        let end = at + u64::from(block.length);
        if end > offset {
            if found.len() == most {
                return;
            }
            found.push(BlockAt { at, block: *block });
        }
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Pages that begin where the last one ended give every block once, whatever the pages' size.
        #[test]
        fn pages_give_every_block_once(lengths in proptest::collection::vec(1u32..50, 1..40), most in 1usize..10) {
            let blocks: Vec<BlockRef> = lengths
                .iter()
                .enumerate()
                .map(|(n, length)| BlockRef { hash: BlockHash::of(&n.to_be_bytes()), length: *length })
                .collect();
            let mut offset = 0;
            let mut all = Vec::new();
            loop {
                let mut page = Vec::new();
                take(&blocks, 0, offset, most, &mut page);
                let Some(last) = page.last() else { break };
                offset = last.at + u64::from(last.block.length);
                all.extend(page.iter().map(|found| found.block));
            }
            prop_assert_eq!(all, blocks);
        }

        #[test]
        fn the_first_block_contains_the_offset(lengths in proptest::collection::vec(1u32..50, 1..40), offset in 0u64..1000) {
            let blocks: Vec<BlockRef> =
                lengths.iter().map(|length| BlockRef { hash: BlockHash([0; 32]), length: *length }).collect();
            let size: u64 = lengths.iter().map(|length| u64::from(*length)).sum();
            let mut page = Vec::new();
            take(&blocks, 0, offset, 1, &mut page);
            match page.first() {
                None => prop_assert!(offset >= size),
                Some(first) => prop_assert!((first.at..first.at + u64::from(first.block.length)).contains(&offset)),
            }
        }
    }
}
