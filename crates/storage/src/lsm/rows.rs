//! What rows hold. Every row begins with a format byte, so that a later release can tell.
//!
//! A value that would make its row too large for the tables' journal is split into CHUNK
//! rows, named after the write that put it: the LSM opens again after losing a page of its
//! journal only when every entry is smaller than a page (measured: `tests/rot.rs`).

use crate::StorageError;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use types::{HybridTime, Item, Outcome, PartitionId, Version, WallMillis};

const FORMAT: u8 = 1;

/// Bytes of key and value together in one row: below a page, with room for the journal's own.
pub(crate) const ROW_MAX: usize = 3900;
/// Bytes of a large value in one CHUNK row.
pub(crate) const CHUNK_BYTES: usize = 3072;
/// Bytes of an item row before an inline value, at most.
const ITEM_HEADER_MAX: usize = 64;

/// A row that does not read: rot that the LSM did not notice, or a newer release.
pub(crate) fn unreadable(what: &str) -> StorageError {
    StorageError::Damaged(format!("tables: a row of kind {what} is unreadable"))
}

thread_local! {
    /// Where rows are put together, so that what the tables keep of them is as long as they are.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

fn encode<T: Serialize>(row: &T, tail: &[u8]) -> Result<Bytes, StorageError> {
    let mut out = SCRATCH.take();
    out.clear();
    out.push(FORMAT);
    let mut out = postcard::to_extend(row, out).map_err(std::io::Error::other)?;
    out.extend_from_slice(tail);
    let bytes = Bytes::copy_from_slice(&out);
    SCRATCH.set(out);
    Ok(bytes)
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &str) -> Result<(T, &'a [u8]), StorageError> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => postcard::take_from_bytes(rest).map_err(|_| unreadable(what)),
        Some((&newer, _)) => Err(StorageError::Io(std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            format!("tables: a row of kind {what} has format {newer}; this release reads {FORMAT}"),
        ))),
        None => Err(unreadable(what)),
    }
}

/// Where an item's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Body {
    /// In the same row, behind this header.
    Inline,
    /// In CHUNK rows named by the item's sequence and this effect of it.
    Chunks { effect: u32, length: u32 },
}

/// An ITEM row without the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ItemRow {
    pub version: Version,
    pub time: HybridTime,
    pub expires: Option<WallMillis>,
    pub body: Body,
}

impl ItemRow {
    /// Whether a value goes into the item's own row.
    pub fn inlines(key: usize, value: usize) -> bool {
        key + ITEM_HEADER_MAX + value <= ROW_MAX
    }

    pub fn encode(&self, inline: &[u8]) -> Result<Bytes, StorageError> {
        encode(self, inline)
    }

    /// The header, and the inline value.
    pub fn decode(bytes: &Bytes) -> Result<(ItemRow, Bytes), StorageError> {
        let (row, rest) = decode::<ItemRow>(bytes, "ITEM")?;
        Ok((row, bytes.slice_ref(rest)))
    }

    pub fn with_value(self, value: Bytes) -> Item {
        Item { value, version: self.version, time: self.time, expires: self.expires }
    }

    /// Length of the value, given what is inline.
    pub fn value_len(&self, inline: &Bytes) -> usize {
        match self.body {
            Body::Inline => inline.len(),
            Body::Chunks { length, .. } => length as usize,
        }
    }

    /// Keys of the CHUNK rows, in order.
    pub fn chunk_keys(self, partition: PartitionId) -> impl Iterator<Item = Vec<u8>> {
        let (effect, count) = match self.body {
            Body::Inline => (0, 0),
            Body::Chunks { effect, length } => (effect, (length as usize).div_ceil(CHUNK_BYTES) as u32),
        };
        (0..count).map(move |number| super::keys::chunk(partition, self.version.seq.0, effect, number))
    }
}

/// The META row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MetaRow {
    pub version: Version,
    pub time: HybridTime,
}

impl MetaRow {
    pub fn encode(&self) -> Result<Bytes, StorageError> {
        encode(self, &[])
    }

    pub fn decode(bytes: &[u8]) -> Result<MetaRow, StorageError> {
        Ok(decode(bytes, "META")?.0)
    }
}

pub(crate) fn encode_count(count: u64) -> Result<Bytes, StorageError> {
    encode(&count, &[])
}

pub(crate) fn decode_count(bytes: &[u8]) -> Result<u64, StorageError> {
    Ok(decode(bytes, "COUNT")?.0)
}

pub(crate) fn encode_version(version: Version) -> Result<Bytes, StorageError> {
    encode(&version, &[])
}

pub(crate) fn decode_version(bytes: &[u8]) -> Result<Version, StorageError> {
    Ok(decode(bytes, "EXPIRY")?.0)
}

pub(crate) fn encode_outcome(outcome: &Outcome) -> Result<Bytes, StorageError> {
    encode(outcome, &[])
}

pub(crate) fn decode_outcome(bytes: &[u8]) -> Result<Outcome, StorageError> {
    Ok(decode(bytes, "OPERATION")?.0)
}
