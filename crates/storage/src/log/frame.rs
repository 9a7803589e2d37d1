//! One record on disk.
//!
//! ```text
//! magic (4) · payload length (4) · CRC-32 (4) · chain (8) · synced through (8) · payload
//! ```
//! Numbers are little-endian. The CRC covers everything behind itself, the length, and the
//! frame's own log position, so that a frame is valid only where it was written. The chain is
//! the first eight bytes of BLAKE3(chain before ‖ payload): a record lost or exchanged shows
//! at the next one. *Synced through* is the log position up to which the log was durable
//! when the frame was written: a valid frame beyond a bad one proves that the bad one once was.

use serde::{Deserialize, Serialize};
use std::io;
use types::Record;
use types::limits::FRAME_BYTES_MAX;

pub(crate) const HEADER: usize = 28;
const MAGIC: [u8; 4] = [0xa7, b'L', b'O', b'G'];
/// A length beyond this is not one that we wrote.
pub(crate) const PAYLOAD_MAX: usize = 2 * FRAME_BYTES_MAX;

/// What a frame carries. New variants go at the end.
#[derive(Serialize)]
enum PayloadOut<'a> {
    Record(&'a Record),
    Cut,
}

/// The same, read back.
#[derive(Debug, Deserialize)]
pub(crate) enum Payload {
    /// A record of a partition.
    Record(Record),
    /// The log was found torn here, and cut.
    Cut,
}

/// A frame that passed its CRC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub chain: u64,
    pub synced_through: u64,
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes in the file.
    pub fn len(&self) -> usize {
        HEADER + self.payload.len()
    }

    /// Fails only for what a newer release wrote.
    pub fn read(&self) -> io::Result<Payload> {
        postcard::from_bytes(self.payload).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("a log record that this release cannot read: {error}"))
        })
    }
}

/// The chain behind `payload`.
pub(crate) fn link(chain: u64, payload: &[u8]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&chain.to_le_bytes()).update(payload);
    first(hasher.finalize())
}

fn first(hash: blake3::Hash) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// Where a frame goes and what it continues.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub position: u64,
    pub chain: u64,
    pub synced_through: u64,
}

/// Appends a record's frame to `out`; returns the chain behind it.
pub(crate) fn encode(record: Option<&Record>, place: Place, out: &mut Vec<u8>) -> io::Result<u64> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    let payload = record.map_or(PayloadOut::Cut, PayloadOut::Record);
    postcard::to_io(&payload, &mut *out).map_err(io::Error::other)?;
    let length = out.len() - start - HEADER;
    if length > PAYLOAD_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("a record of {length} bytes is too large")));
    }
    let frame = &mut out[start..];
    // What [`link`] hashes, in one piece.
    frame[HEADER - 8..HEADER].copy_from_slice(&place.chain.to_le_bytes());
    let chain = first(blake3::hash(&frame[HEADER - 8..]));
    frame[..4].copy_from_slice(&MAGIC);
    frame[4..8].copy_from_slice(&(length as u32).to_le_bytes());
    frame[12..20].copy_from_slice(&chain.to_le_bytes());
    frame[20..28].copy_from_slice(&place.synced_through.to_le_bytes());
    let crc = checksum(frame, place.position);
    frame[8..12].copy_from_slice(&crc.to_le_bytes());
    Ok(chain)
}

fn checksum(frame: &[u8], position: u64) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&position.to_le_bytes());
    crc.update(&frame[4..8]);
    crc.update(&frame[12..]);
    crc.finalize()
}

/// Length of the frame that begins `bytes`, by its header alone.
pub(crate) fn length(bytes: &[u8]) -> Option<usize> {
    let payload = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?) as usize;
    (bytes[..4] == MAGIC && payload <= PAYLOAD_MAX).then_some(HEADER + payload)
}

/// The frame that begins `bytes`, if it is whole and was written at `position`.
pub(crate) fn decode(bytes: &[u8], position: u64) -> Option<Frame<'_>> {
    let frame = bytes.get(..length(bytes)?).filter(|frame| frame.len() >= HEADER)?;
    let word = |at: usize| frame[at..at + 8].try_into().map(u64::from_le_bytes).ok();
    let crc = u32::from_le_bytes(frame[8..12].try_into().ok()?);
    if crc != checksum(frame, position) {
        return None;
    }
    Some(Frame { chain: word(12)?, synced_through: word(20)?, payload: &frame[HEADER..] })
}

/// Whether any frame in `bytes`, which begin at `position`, proves that the log
/// beyond `bad` was once durable.
pub(crate) fn proves_synced(bytes: &[u8], position: u64, bad: u64) -> bool {
    (0..bytes.len().saturating_sub(HEADER - 1)).any(|at| {
        bytes[at] == MAGIC[0]
            && decode(&bytes[at..], position + at as u64).is_some_and(|frame| frame.synced_through > bad)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use types::{Epoch, PartitionId};

    fn record(n: u64) -> Record {
        Record::Epoch { partition: PartitionId(3), epoch: Epoch(n) }
    }

    proptest! {
        #[test]
        fn frames_read_back_only_where_they_were_written(epoch: u64, position in 0u64..1 << 40, chain: u64, at in 0usize..40, bit in 0u8..8) {
            let mut out = Vec::new();
            let after = encode(Some(&record(epoch)), Place { position, chain, synced_through: 7 }, &mut out).unwrap();
            let frame = decode(&out, position).unwrap();
            prop_assert_eq!((frame.chain, frame.synced_through, frame.len()), (after, 7, out.len()));
            prop_assert_eq!(frame.chain, link(chain, frame.payload));
            prop_assert!(matches!(frame.read().unwrap(), Payload::Record(found) if found == record(epoch)));
            prop_assert!(decode(&out, position + 1).is_none());
            let at = at % out.len();
            out[at] ^= 1 << bit;
            prop_assert!(decode(&out, position).is_none());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, position: u64) {
            decode(&bytes, position);
        }
    }
}
