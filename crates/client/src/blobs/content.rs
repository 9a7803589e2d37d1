//! What a file holds, as apps store it in an item.

use crate::ClientError;
use bytes::Bytes;
use prost::Message;
use types::BlockHash;
use types::limits::BLOCK_BYTES;

/// Files up to this size are kept in the item itself.
pub const INLINE_BYTES_MAX: usize = 16 * 1024;

/// The first byte of an encoded content. A release refuses those that it does not know.
const FORMAT: u8 = 1;

/// A file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Bytes in all.
    pub size: u64,
    /// BLAKE3 of the whole.
    pub hash: [u8; 32],
    /// Where the bytes are.
    pub body: Body,
}

/// Where a file's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Here; at most [`INLINE_BYTES_MAX`].
    Inline(Bytes),
    /// In these blocks, in order.
    Blocks(Vec<BlockRef>),
    /// In the blocks that these blocks list, in order.
    Indexed {
        /// In order.
        index: Vec<IndexRef>,
    },
}

/// A block of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRef {
    /// Its name.
    pub hash: BlockHash,
    /// Its bytes.
    pub length: u32,
}

/// A block that lists blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexRef {
    /// The block with the list.
    pub block: BlockRef,
    /// Bytes of the file that the list covers.
    pub covers: u64,
}

#[derive(Clone, PartialEq, Message)]
struct ContentMessage {
    #[prost(uint64, tag = "1")]
    size: u64,
    #[prost(bytes = "bytes", tag = "2")]
    hash: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    inline: Bytes,
    #[prost(message, repeated, tag = "4")]
    blocks: Vec<BlockMessage>,
    #[prost(message, repeated, tag = "5")]
    index: Vec<BlockMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BlockMessage {
    #[prost(bytes = "bytes", tag = "1")]
    hash: Bytes,
    #[prost(uint32, tag = "2")]
    length: u32,
    /// Of a list of blocks only.
    #[prost(uint64, tag = "3")]
    covers: u64,
}

impl BlockMessage {
    pub(super) fn of(block: &BlockRef, covers: u64) -> BlockMessage {
        BlockMessage { hash: Bytes::copy_from_slice(&block.hash.0), length: block.length, covers }
    }

    pub(super) fn block(&self) -> Result<BlockRef, ClientError> {
        if self.length == 0 || self.length as usize > BLOCK_BYTES {
            return Err(ClientError::Invalid(format!("a block of {} bytes; at most {BLOCK_BYTES}", self.length)));
        }
        Ok(BlockRef { hash: BlockHash(hash32(&self.hash)?), length: self.length })
    }
}

fn hash32(hash: &Bytes) -> Result<[u8; 32], ClientError> {
    <[u8; 32]>::try_from(&hash[..]).map_err(|_| ClientError::Invalid("a hash has 32 bytes".into()))
}

impl Content {
    /// Content that is kept in the item itself.
    pub fn inline(bytes: Bytes) -> Result<Content, ClientError> {
        if bytes.len() > INLINE_BYTES_MAX {
            return Err(ClientError::Invalid(format!(
                "{} bytes are too many to be kept inline; at most {INLINE_BYTES_MAX}",
                bytes.len()
            )));
        }
        let hash = *blake3::hash(&bytes).as_bytes();
        Ok(Content { size: bytes.len() as u64, hash, body: Body::Inline(bytes) })
    }

    /// The versioned form that apps store: a format byte, then protobuf.
    pub fn encode(&self) -> Bytes {
        let mut message =
            ContentMessage { size: self.size, hash: Bytes::copy_from_slice(&self.hash), ..ContentMessage::default() };
        match &self.body {
            Body::Inline(bytes) => message.inline = bytes.clone(),
            Body::Blocks(blocks) => message.blocks = blocks.iter().map(|block| BlockMessage::of(block, 0)).collect(),
            Body::Indexed { index } => {
                message.index = index.iter().map(|list| BlockMessage::of(&list.block, list.covers)).collect();
            }
        }
        let mut out = Vec::with_capacity(1 + message.encoded_len());
        out.push(FORMAT);
        // A vector grows: encoding into one cannot fail.
        let _ = message.encode(&mut out);
        out.into()
    }

    /// The reverse of [`Self::encode`]. Lengths must add up to the size.
    pub fn decode(bytes: &[u8]) -> Result<Content, ClientError> {
        let invalid = |why: &str| ClientError::Invalid(format!("a file's content record is not readable: {why}"));
        let (format, rest) = bytes.split_first().ok_or_else(|| invalid("it is empty"))?;
        if *format != FORMAT {
            return Err(invalid(&format!("format {format} belongs to a newer release")));
        }
        let message = ContentMessage::decode(rest).map_err(|error| invalid(&error.to_string()))?;
        let (body, total) = if !message.index.is_empty() {
            let index = message
                .index
                .iter()
                .map(|each| Ok(IndexRef { block: each.block()?, covers: each.covers }))
                .collect::<Result<Vec<_>, ClientError>>()?;
            let total = index.iter().try_fold(0u64, |sum, each| sum.checked_add(each.covers));
            (Body::Indexed { index }, total)
        } else if !message.blocks.is_empty() {
            let blocks = message.blocks.iter().map(BlockMessage::block).collect::<Result<Vec<_>, ClientError>>()?;
            let total = blocks.iter().map(|each| u64::from(each.length)).sum();
            (Body::Blocks(blocks), Some(total))
        } else {
            let total = message.inline.len() as u64;
            (Body::Inline(message.inline), Some(total))
        };
        if total != Some(message.size) {
            return Err(invalid("its parts do not add up to its size"));
        }
        Ok(Content { size: message.size, hash: hash32(&message.hash)?, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block() -> impl Strategy<Value = BlockRef> {
        (any::<[u8; 32]>(), 1..=BLOCK_BYTES as u32)
            .prop_map(|(hash, length)| BlockRef { hash: BlockHash(hash), length })
    }

    fn body() -> impl Strategy<Value = Body> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..100).prop_map(|bytes| Body::Inline(bytes.into())),
            proptest::collection::vec(block(), 1..20).prop_map(Body::Blocks),
            proptest::collection::vec((block(), 0..1u64 << 40), 1..20).prop_map(|lists| Body::Indexed {
                index: lists.into_iter().map(|(block, covers)| IndexRef { block, covers }).collect(),
            }),
        ]
    }

    fn covered(body: &Body) -> u64 {
        match body {
            Body::Inline(bytes) => bytes.len() as u64,
            Body::Blocks(blocks) => blocks.iter().map(|block| u64::from(block.length)).sum(),
            Body::Indexed { index } => index.iter().map(|list| list.covers).sum(),
        }
    }

    proptest! {
        #[test]
        fn contents_read_back(hash: [u8; 32], body in body()) {
            let content = Content { size: covered(&body), hash, body };
            let bytes = content.encode();
            prop_assert_eq!(Content::decode(&bytes), Ok(content.clone()));
            let wrong = Content { size: content.size + 1, ..content };
            prop_assert!(Content::decode(&wrong.encode()).is_err());
        }

        #[test]
        fn strange_bytes_are_refused_or_read(bytes: Vec<u8>) {
            let _ = Content::decode(&bytes);
            let _ = Content::decode(&[&[FORMAT], &bytes[..]].concat());
        }
    }

    #[test]
    fn only_small_files_are_inline() {
        assert!(Content::inline(Bytes::from(vec![0; INLINE_BYTES_MAX])).is_ok());
        assert!(Content::inline(Bytes::from(vec![0; INLINE_BYTES_MAX + 1])).is_err());
    }
}
