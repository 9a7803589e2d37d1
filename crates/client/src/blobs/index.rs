//! Blocks that list blocks, for files with very many of them.

use super::content::{BlockMessage, BlockRef};
use crate::ClientError;
use bytes::Bytes;
use prost::Message;

/// Blocks in one list: 16 GiB of a file, and well below a block's size when encoded.
pub(crate) const ENTRIES_MAX: usize = 16 * 1024;
/// The first byte of an encoded list.
const FORMAT: u8 = 1;

#[derive(Clone, PartialEq, Message)]
struct IndexMessage {
    #[prost(message, repeated, tag = "1")]
    blocks: Vec<BlockMessage>,
}

/// The bytes of a block that lists these.
pub(crate) fn encode(blocks: &[BlockRef]) -> Bytes {
    let message = IndexMessage { blocks: blocks.iter().map(|block| BlockMessage::of(block, 0)).collect() };
    let mut out = Vec::with_capacity(1 + message.encoded_len());
    out.push(FORMAT);
    // A vector grows: encoding into one cannot fail.
    let _ = message.encode(&mut out);
    out.into()
}

/// The reverse; the blocks must cover exactly `covers` bytes.
pub(crate) fn decode(bytes: &[u8], covers: u64) -> Result<Vec<BlockRef>, ClientError> {
    let invalid = |why: &str| ClientError::Invalid(format!("a file's list of blocks is not readable: {why}"));
    let (format, rest) = bytes.split_first().ok_or_else(|| invalid("it is empty"))?;
    if *format != FORMAT {
        return Err(invalid(&format!("format {format} belongs to a newer release")));
    }
    let message = IndexMessage::decode(rest).map_err(|error| invalid(&error.to_string()))?;
    let blocks = message.blocks.iter().map(BlockMessage::block).collect::<Result<Vec<_>, ClientError>>()?;
    if blocks.iter().map(|block| u64::from(block.length)).sum::<u64>() != covers {
        return Err(invalid("its blocks do not add up"));
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::BlockHash;
    use types::limits::BLOCK_BYTES;

    #[test]
    fn a_full_list_fits_in_a_block_and_reads_back() {
        let blocks: Vec<BlockRef> = (0..ENTRIES_MAX as u32)
            .map(|n| BlockRef { hash: BlockHash::of(&n.to_be_bytes()), length: BLOCK_BYTES as u32 })
            .collect();
        let bytes = encode(&blocks);
        assert!(bytes.len() <= BLOCK_BYTES, "{}", bytes.len());
        let covers = (ENTRIES_MAX * BLOCK_BYTES) as u64;
        assert_eq!(decode(&bytes, covers), Ok(blocks));
        assert!(decode(&bytes, covers - 1).is_err());
        assert!(decode(&bytes[..100], covers).is_err());
        assert!(decode(&[], 0).is_err());
        assert!(decode(&[9], 0).is_err());
    }
}
