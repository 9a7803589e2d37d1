//! References: what keeps a block for good.

use super::content::{BlockRef, Body, Content};
use super::pins::{AT_ONCE, sort_key};
use crate::{Client, ClientError};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeSet;
use types::layout::BLOCKS_TABLE;
use types::limits::KEY_BYTES_MAX;
use types::{BlockHash, Update};

impl Client {
    /// References blocks for an owner (a drive and a version of a file, say): durable when this
    /// returns. The caller holds a pin on them, or another reference. Repeating it changes nothing.
    pub async fn reference_blocks(&self, owner: &[u8], hashes: &[BlockHash]) -> Result<(), ClientError> {
        let row = row(owner)?;
        self.change_blocks(hashes, |_| Update::Put {
            table: BLOCKS_TABLE,
            sort_key: row.clone().into(),
            value: Bytes::new().into(),
            expires: None,
        })
        .await
    }

    /// Takes an owner's references back. What nobody references or pins is collected some time later.
    pub async fn unreference_blocks(&self, owner: &[u8], hashes: &[BlockHash]) -> Result<(), ClientError> {
        let row = row(owner)?;
        self.change_blocks(hashes, |_| Update::Delete { table: BLOCKS_TABLE, sort_key: row.clone() }).await
    }

    /// References every block of a content, the blocks that list blocks included.
    pub async fn reference_content(&self, owner: &[u8], content: &Content) -> Result<(), ClientError> {
        match &content.body {
            Body::Inline(_) => Ok(()),
            Body::Blocks(blocks) => self.reference_blocks(owner, &hashes(blocks)).await,
            Body::Indexed { index } => {
                for list in index {
                    self.reference_blocks(owner, &[list.block.hash]).await?;
                    self.reference_blocks(owner, &hashes(&self.list_of_blocks(list).await?)).await?;
                }
                Ok(())
            }
        }
    }

    /// Takes back what [`Self::reference_content`] did. May be repeated after a failure: a list goes
    /// after what it lists.
    pub async fn unreference_content(&self, owner: &[u8], content: &Content) -> Result<(), ClientError> {
        match &content.body {
            Body::Inline(_) => Ok(()),
            Body::Blocks(blocks) => self.unreference_blocks(owner, &hashes(blocks)).await,
            Body::Indexed { index } => {
                for list in index {
                    match self.list_of_blocks(list).await {
                        Ok(blocks) => self.unreference_blocks(owner, &hashes(&blocks)).await?,
                        // Collected: an earlier attempt came as far as this list.
                        Err(ClientError::NoSuchBlock(_)) => {}
                        Err(error) => return Err(error),
                    }
                    self.unreference_blocks(owner, &[list.block.hash]).await?;
                }
                Ok(())
            }
        }
    }

    async fn change_blocks(
        &self,
        hashes: &[BlockHash],
        update: impl Fn(BlockHash) -> Update,
    ) -> Result<(), ClientError> {
        let distinct: BTreeSet<BlockHash> = hashes.iter().copied().collect();
        let changes = distinct.into_iter().map(|hash| self.change_block(hash, update(hash)));
        stream::iter(changes).buffer_unordered(AT_ONCE).try_for_each(|_| std::future::ready(Ok(()))).await
    }
}

fn row(owner: &[u8]) -> Result<Bytes, ClientError> {
    if owner.is_empty() || owner.len() >= KEY_BYTES_MAX {
        return Err(ClientError::Invalid(format!("an owner of blocks is named by 1 to {} bytes", KEY_BYTES_MAX - 1)));
    }
    Ok(sort_key(b'r', owner).into())
}

fn hashes(blocks: &[BlockRef]) -> Vec<BlockHash> {
    blocks.iter().map(|block| block.hash).collect()
}
