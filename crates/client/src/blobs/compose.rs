//! Contents put together from others, without copying bytes.

use super::content::{BlockRef, Body, Content, INLINE_BYTES_MAX};
use super::{UploadId, hash_of};
use crate::{Client, ClientError};
use bytes::{Bytes, BytesMut};

/// Sets hashes of lists of blocks apart from those of bytes.
const CONTEXT: &str = "atoll 2026 content composed of blocks";

impl Client {
    /// One content after the other. The blocks are the same ones; what keeps them must last until the new content is
    /// referenced. The hash of what is made of several is that of their blocks' names.
    pub async fn compose(&self, upload: UploadId, parts: Vec<Content>) -> Result<Content, ClientError> {
        let mut parts: Vec<Content> = parts.into_iter().filter(|part| part.size > 0).collect();
        if parts.len() == 1 {
            return Ok(parts.remove(0));
        }
        let size: u64 = parts.iter().map(|part| part.size).sum();
        if size <= INLINE_BYTES_MAX as u64 {
            return Content::inline(joined(&parts));
        }
        let mut blocks = Vec::new();
        for part in &parts {
            match &part.body {
                Body::Inline(bytes) => {
                    let hash = hash_of(bytes).await?;
                    self.store_block(upload, hash, bytes.clone()).await?;
                    blocks.push(BlockRef { hash, length: bytes.len() as u32 });
                }
                Body::Blocks(those) => blocks.extend_from_slice(those),
                Body::Indexed { index } => {
                    for list in index {
                        blocks.extend(self.list_of_blocks(list).await?);
                    }
                }
            }
        }
        let hash = composed_hash(&blocks);
        self.content_of_blocks(upload, hash, blocks).await
    }
}

fn joined(parts: &[Content]) -> Bytes {
    let mut bytes = BytesMut::new();
    for part in parts {
        if let Body::Inline(more) = &part.body {
            bytes.extend_from_slice(more);
        }
    }
    bytes.freeze()
}

/// The hash of a content that nobody has read as a whole.
pub fn composed_hash(blocks: &[BlockRef]) -> [u8; 32] {
    let mut hash = blake3::Hasher::new_derive_key(CONTEXT);
    for block in blocks {
        hash.update(&block.hash.0).update(&block.length.to_be_bytes());
    }
    *hash.finalize().as_bytes()
}
