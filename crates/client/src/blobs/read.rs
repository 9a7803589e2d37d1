//! Reading a file, or a range of it: a few blocks ahead, in bounded memory.

use super::content::{BlockRef, Body, Content, IndexRef};
use super::index;
use crate::{Client, ClientError};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use std::ops::Range;

/// Blocks fetched at the same time.
const AHEAD: usize = 4;

/// The part of a block that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    block: BlockRef,
    part: Range<usize>,
}

impl Client {
    /// The bytes of a file within `range`, as far as the file reaches. Ends after an error.
    pub fn read_blob(
        &self,
        content: Content,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, ClientError>> + Send + Unpin + use<> {
        let range = range.start..range.end.min(content.size);
        let bytes: BoxStream<'static, Result<Bytes, ClientError>> = match content.body {
            _ if range.is_empty() => stream::empty().boxed(),
            Body::Inline(bytes) => {
                let inline = range.end <= bytes.len() as u64;
                let part = inline.then(|| bytes.slice(range.start as usize..range.end as usize));
                let wrong = || ClientError::Invalid("a file's content is shorter than its size".into());
                stream::iter([part.ok_or_else(wrong)]).boxed()
            }
            Body::Blocks(blocks) => self.fetch(stream::iter(pieces(blocks, range).into_iter().map(Ok))),
            Body::Indexed { index } => {
                let client = self.clone();
                let lists = stream::iter(lists_within(index, range)).then(move |(list, range)| {
                    let client = client.clone();
                    async move {
                        let blocks = client.list_of_blocks(&list).await?;
                        Ok::<_, ClientError>(stream::iter(pieces(blocks, range).into_iter().map(Ok)))
                    }
                });
                self.fetch(lists.try_flatten())
            }
        };
        let mut failed = false;
        bytes.take_while(move |result| {
            let go_on = !failed;
            failed |= result.is_err();
            std::future::ready(go_on)
        })
    }

    fn fetch(
        &self,
        pieces: impl Stream<Item = Result<Piece, ClientError>> + Send + 'static,
    ) -> BoxStream<'static, Result<Bytes, ClientError>> {
        let client = self.clone();
        pieces
            .map(move |piece| {
                let client = client.clone();
                async move {
                    let Piece { block, part } = piece?;
                    Ok(client.get_whole(&block).await?.slice(part))
                }
            })
            .buffered(AHEAD)
            .boxed()
    }

    /// A block that must have the length that the file's content gives.
    async fn get_whole(&self, block: &BlockRef) -> Result<Bytes, ClientError> {
        let raw = self.get_block(block.hash).await?;
        if raw.len() != block.length as usize {
            return Err(ClientError::Invalid(format!(
                "block {} has {} bytes, and the file's content says {}",
                block.hash,
                raw.len(),
                block.length
            )));
        }
        Ok(raw)
    }

    /// The blocks that a list names.
    pub(super) async fn list_of_blocks(&self, list: &IndexRef) -> Result<Vec<BlockRef>, ClientError> {
        index::decode(&self.get_whole(&list.block).await?, list.covers)
    }
}

/// The parts of blocks, laid one after the other, that make up a range.
fn pieces(blocks: Vec<BlockRef>, range: Range<u64>) -> Vec<Piece> {
    let lengths = |block: &BlockRef| u64::from(block.length);
    within(blocks, lengths, range)
        .map(|(block, part)| Piece { block, part: part.start as usize..part.end as usize })
        .collect()
}

/// The lists that a range touches, each with the range within what it covers.
fn lists_within(index: Vec<IndexRef>, range: Range<u64>) -> impl Iterator<Item = (IndexRef, Range<u64>)> {
    within(index, |list| list.covers, range)
}

fn within<T>(parts: Vec<T>, length: impl Fn(&T) -> u64, range: Range<u64>) -> impl Iterator<Item = (T, Range<u64>)> {
    let mut begin = 0u64;
    parts.into_iter().filter_map(move |part| {
        let (from, to) = (begin, begin.saturating_add(length(&part)));
        begin = to;
        let cut = range.start.max(from)..range.end.min(to);
        (!cut.is_empty()).then(|| (part, cut.start - from..cut.end - from))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use types::BlockHash;

    proptest! {
        #[test]
        fn pieces_make_up_exactly_the_range(
            lengths in proptest::collection::vec(1u32..50, 0..20),
            start in 0u64..600,
            length in 0u64..600,
        ) {
            let whole: Vec<(usize, usize)> = lengths
                .iter()
                .enumerate()
                .flat_map(|(block, length)| (0..*length as usize).map(move |at| (block, at)))
                .collect();
            let blocks: Vec<BlockRef> = lengths
                .iter()
                .enumerate()
                .map(|(n, length)| BlockRef { hash: BlockHash([n as u8; 32]), length: *length })
                .collect();
            let range = start..(start + length).min(whole.len() as u64);
            let got: Vec<(usize, usize)> = pieces(blocks, range.clone())
                .into_iter()
                .flat_map(|piece| piece.part.map(move |at| (piece.block.hash.0[0] as usize, at)))
                .collect();
            let want = if range.is_empty() { &[][..] } else { &whole[range.start as usize..range.end as usize] };
            prop_assert_eq!(&got[..], want);
        }
    }
}
