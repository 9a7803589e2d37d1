//! What a block file holds.
//!
//! ```text
//! magic (8) · format (4) · codec (4) · raw length (8) · payload length (8) · BLAKE3 of the raw bytes (32) · CRC-32 of the header (4) · payload
//! ```
//! Numbers are little-endian. The payload is the raw bytes, or one zstd frame of them.

use bytes::Bytes;
use std::io;
use types::BlockHash;
use types::limits::BLOCK_BYTES;

pub(super) const HEADER: usize = 68;
const MAGIC: [u8; 8] = *b"ATOLLBLK";
const FORMAT: u32 = 1;
/// A block longer than this is not taken, and a header that says so is not believed.
pub(super) const RAW_MAX: usize = 4 * BLOCK_BYTES;
/// And no file is longer than this.
pub(super) const FILE_MAX: u64 = (HEADER + RAW_MAX) as u64;
const LEVEL: i32 = 1;
/// Compressed first, to see whether the rest is worth it.
const SAMPLE: usize = 16 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codec {
    Raw = 0,
    Zstd = 1,
}

/// Saving a tenth is worth the work of each read.
fn pays(before: usize, after: usize) -> bool {
    after <= before - before / 10
}

/// The payload for `raw`, compressed if a sample from the middle says that it pays and the whole agrees.
fn compress(raw: &[u8]) -> io::Result<(Codec, Option<Vec<u8>>)> {
    let middle = raw.len() / 2;
    let sample = &raw[middle.saturating_sub(SAMPLE / 2)..raw.len().min(middle + SAMPLE / 2)];
    if sample.len() < 64 || !pays(sample.len(), zstd::bulk::compress(sample, LEVEL)?.len()) {
        return Ok((Codec::Raw, None));
    }
    let whole = zstd::bulk::compress(raw, LEVEL)?;
    Ok(if pays(raw.len(), whole.len()) { (Codec::Zstd, Some(whole)) } else { (Codec::Raw, None) })
}

/// The whole file for a block.
pub(super) fn encode(hash: &BlockHash, raw: &[u8]) -> io::Result<Vec<u8>> {
    let (codec, compressed) = compress(raw)?;
    let payload = compressed.as_deref().unwrap_or(raw);
    let mut out = Vec::with_capacity(HEADER + payload.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.extend_from_slice(&(codec as u32).to_le_bytes());
    out.extend_from_slice(&(raw.len() as u64).to_le_bytes());
    out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    out.extend_from_slice(&hash.0);
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(payload);
    Ok(out)
}

/// Why a file gives no block.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// Some byte of it is wrong.
    Bad(&'static str),
    /// It is whole, and newer than this release.
    Newer(u32),
}

/// What a header says of the file that it begins.
struct Header {
    codec: u32,
    raw_len: u64,
}

fn header(hash: &BlockHash, head: &[u8; HEADER], file_len: u64) -> Result<Header, Unreadable> {
    let bad = Unreadable::Bad;
    let half = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let word = |at: usize| u64::from(half(at)) | u64::from(half(at + 4)) << 32;
    if head[..8] != MAGIC || half(64) != crc32fast::hash(&head[..64]) {
        return Err(bad("its header's checksum fails"));
    }
    if half(8) != FORMAT {
        return Err(Unreadable::Newer(half(8)));
    }
    let (raw_len, payload_len) = (word(16), word(24));
    if head[32..64] != hash.0 {
        return Err(bad("it holds another block"));
    }
    if raw_len > RAW_MAX as u64 || Some(payload_len) != file_len.checked_sub(HEADER as u64) {
        return Err(bad("its length is wrong"));
    }
    Ok(Header { codec: half(12), raw_len })
}

/// Whether the file is as long as its header says. Of one that is newer nothing else is known than that it is there.
pub(super) fn is_length(hash: &BlockHash, head: &[u8; HEADER], file_len: u64) -> bool {
    !matches!(header(hash, head, file_len), Err(Unreadable::Bad(_)))
}

/// The raw bytes, if everything about the file is right.
pub(super) fn decode(hash: &BlockHash, file: Vec<u8>) -> Result<Bytes, Unreadable> {
    let bad = Unreadable::Bad;
    let head = file.first_chunk().ok_or(bad("it is cut short"))?;
    let Header { codec, raw_len } = header(hash, head, file.len() as u64)?;
    let payload = Bytes::from(file).slice(HEADER..);
    let raw = match codec {
        codec if codec == Codec::Raw as u32 => payload,
        codec if codec == Codec::Zstd as u32 => {
            zstd::bulk::decompress(&payload, raw_len as usize).map_err(|_| bad("it does not decompress"))?.into()
        }
        newer => return Err(Unreadable::Newer(newer)),
    };
    if raw.len() as u64 != raw_len || BlockHash::of(&raw) != *hash {
        return Err(bad("its bytes do not have its hash"));
    }
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn blocks_read_back_and_no_flipped_bit_passes(
            raw in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..300),
                (any::<u8>(), 0usize..60_000).prop_map(|(byte, length)| vec![byte; length]),
            ],
            at: prop::sample::Index,
            bit in 0u8..8,
        ) {
            let hash = BlockHash::of(&raw);
            let file = encode(&hash, &raw).unwrap();
            prop_assert!(file.len() <= HEADER + raw.len());
            prop_assert_eq!(&decode(&hash, file.clone()).unwrap()[..], &raw[..]);
            let mut flipped = file.clone();
            let at = at.index(file.len());
            flipped[at] ^= 1 << bit;
            if let Ok(found) = decode(&hash, flipped) {
                // zstd has bits that mean nothing; what comes out is what went in.
                prop_assert_eq!(&found[..], &raw[..]);
            }
            prop_assert!(decode(&hash, file[..at].to_vec()).is_err());
        }
    }

    #[test]
    fn compresses_only_what_pays() {
        let text = b"the same words again and again, ".repeat(4000);
        assert!(encode(&BlockHash::of(&text), &text).unwrap().len() < text.len() / 10);
        let mut noise = vec![0; 100_000];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        assert_eq!(encode(&BlockHash::of(&noise), &noise).unwrap().len(), HEADER + noise.len());
    }
}
