//! Writing a file: cut into blocks, hashed beside the threads that serve
//! connections, a few blocks under way at a time.

use super::content::{BlockRef, Body, Content, INLINE_BYTES_MAX, IndexRef};
use super::{UploadId, index, off_thread};
use crate::{Client, ClientError};
use bytes::{BufMut, Bytes, BytesMut};
use futures::Stream;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::JoinSet;
use tokio_util::io::StreamReader;
use types::BlockHash;
use types::limits::BLOCK_BYTES;

/// Blocks being stored; besides them one is hashed and one is read.
const UNDER_WAY_MAX: usize = 6;
/// Blocks that a content names by itself.
pub(super) const LISTED_MAX: usize = 1000;
/// Lists that a content names: 64 TiB.
const INDEX_MAX: usize = 4096;

impl Client {
    /// Stores what the source gives, to its end, under the upload's pins. Small files come back
    /// inline. Reference the content ([`Self::reference_content`]) before it gets a name.
    pub async fn write_blob(
        &self,
        upload: UploadId,
        mut source: impl AsyncRead + Send + Unpin,
    ) -> Result<Content, ClientError> {
        let mut block = BytesMut::with_capacity(INLINE_BYTES_MAX + 1);
        fill(&mut source, &mut block, INLINE_BYTES_MAX + 1).await?;
        if block.len() <= INLINE_BYTES_MAX {
            return Content::inline(block.freeze());
        }
        let mut writer = Writer::new(self.clone(), upload);
        loop {
            block.reserve(BLOCK_BYTES - block.len());
            fill(&mut source, &mut block, BLOCK_BYTES).await?;
            if block.is_empty() {
                return writer.finish().await;
            }
            writer.add(block.split().freeze()).await?;
            block = BytesMut::new();
        }
    }

    /// [`Self::write_blob`] from a stream.
    pub async fn write_blob_stream(
        &self,
        upload: UploadId,
        source: impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin,
    ) -> Result<Content, ClientError> {
        self.write_blob(upload, StreamReader::new(source)).await
    }
}

/// Reads until the block has `size` bytes or the source ends.
async fn fill(
    source: &mut (impl AsyncRead + Send + Unpin),
    block: &mut BytesMut,
    size: usize,
) -> Result<(), ClientError> {
    while block.len() < size {
        let room = size - block.len();
        let read = source.read_buf(&mut (&mut *block).limit(room)).await;
        if read.map_err(|error| ClientError::Source(error.to_string()))? == 0 {
            break;
        }
    }
    Ok(())
}

struct Writer {
    client: Client,
    upload: UploadId,
    whole: blake3::Hasher,
    size: u64,
    blocks: Vec<BlockRef>,
    index: Vec<IndexRef>,
    /// Dropped with the writer: what is under way then is given up.
    stores: JoinSet<Result<(), ClientError>>,
}

impl Writer {
    fn new(client: Client, upload: UploadId) -> Writer {
        Writer {
            client,
            upload,
            whole: blake3::Hasher::new(),
            size: 0,
            blocks: Vec::new(),
            index: Vec::new(),
            stores: JoinSet::new(),
        }
    }

    async fn add(&mut self, raw: Bytes) -> Result<(), ClientError> {
        let mut whole = std::mem::take(&mut self.whole);
        let bytes = raw.clone();
        let (whole, hash) = off_thread(move || {
            whole.update(&bytes);
            (whole, BlockHash::of(&bytes))
        })
        .await?;
        self.whole = whole;
        self.size += raw.len() as u64;
        self.blocks.push(BlockRef { hash, length: raw.len() as u32 });
        self.store(hash, raw).await?;
        if self.blocks.len() == index::ENTRIES_MAX {
            self.list().await?;
        }
        Ok(())
    }

    /// Begins to store a block, once there is room.
    async fn store(&mut self, hash: BlockHash, raw: Bytes) -> Result<(), ClientError> {
        while self.stores.len() >= UNDER_WAY_MAX {
            self.joined().await?;
        }
        let (client, upload) = (self.client.clone(), self.upload);
        self.stores.spawn(async move { client.store_block(upload, hash, raw).await });
        Ok(())
    }

    async fn joined(&mut self) -> Result<(), ClientError> {
        match self.stores.join_next().await {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(error)) => {
                Err(ClientError::Unreachable { tried: Vec::new(), why: format!("storing a block broke off: {error}") })
            }
        }
    }

    /// Moves the blocks so far into a block that lists them.
    async fn list(&mut self) -> Result<(), ClientError> {
        if self.index.len() == INDEX_MAX {
            return Err(ClientError::NotOffered("a file of more than 64 TiB".into()));
        }
        let blocks = std::mem::take(&mut self.blocks);
        let raw = index::encode(&blocks);
        let hash = BlockHash::of(&raw);
        let covers = blocks.iter().map(|block| u64::from(block.length)).sum();
        self.index.push(IndexRef { block: BlockRef { hash, length: raw.len() as u32 }, covers });
        self.store(hash, raw).await
    }

    async fn finish(mut self) -> Result<Content, ClientError> {
        if !self.blocks.is_empty() && (!self.index.is_empty() || self.blocks.len() > LISTED_MAX) {
            self.list().await?;
        }
        while !self.stores.is_empty() {
            self.joined().await?;
        }
        let body = if self.index.is_empty() { Body::Blocks(self.blocks) } else { Body::Indexed { index: self.index } };
        Ok(Content { size: self.size, hash: *self.whole.finalize().as_bytes(), body })
    }
}
