//! Content that no store can have seen before, made without copying it.

use bytes::Bytes;
use futures::{Stream, stream};
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};
use std::sync::LazyLock;

const MEBIBYTE: u64 = 1024 * 1024;
/// Bytes at the beginning of each MiB that differ from all others.
const STAMP: usize = 16;
/// What follows them, the same each time.
static FILLING: LazyLock<Bytes> = LazyLock::new(|| {
    let mut bytes = vec![0; MEBIBYTE as usize];
    SmallRng::seed_from_u64(1).fill_bytes(&mut bytes);
    bytes.into()
});

/// Pieces of so many bytes in all.
pub fn pieces(size: u64, random: &mut SmallRng) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut left = size;
    while left > 0 {
        let length = left.min(MEBIBYTE) as usize;
        let mut stamp = vec![0; STAMP.min(length)];
        random.fill_bytes(&mut stamp);
        let rest = length - stamp.len();
        pieces.push(stamp.into());
        pieces.push(FILLING.slice(..rest));
        left -= length as u64;
    }
    pieces
}

/// The same as a stream that cannot fail.
pub fn stream(size: u64, random: &mut SmallRng) -> impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin + use<> {
    stream::iter(pieces(size, random).into_iter().map(Ok))
}

/// Reads a size.
pub fn size(text: &str) -> Result<u64, String> {
    const WANT: &str = "a size like 4096, 4KiB, 1MiB or 1GiB, of at most 1TiB";
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit: u64 = match text[digits..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(WANT.into()),
    };
    let number: u64 = text[..digits].parse().map_err(|_| WANT)?;
    number.checked_mul(unit).filter(|size| (1..=1 << 40).contains(size)).ok_or_else(|| WANT.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_as_long_as_asked_and_never_the_same() {
        let mut random = SmallRng::seed_from_u64(7);
        for size in [1, 15, 16, 17, 4096, MEBIBYTE, MEBIBYTE + 1, 3 * MEBIBYTE] {
            let (one, other) = (pieces(size, &mut random).concat(), pieces(size, &mut random).concat());
            assert_eq!((one.len() as u64, other.len() as u64), (size, size));
            let mebibytes = |content: &[u8]| content.chunks(MEBIBYTE as usize).map(<[u8]>::to_vec).collect::<Vec<_>>();
            if size >= STAMP as u64 {
                assert_ne!(mebibytes(&one)[0], mebibytes(&other)[0]);
            }
        }
    }

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for (text, bytes) in [("4096", 4096), ("4KiB", 4096), ("1 MiB", MEBIBYTE), ("2GiB", 2 << 30), ("1TiB", 1 << 40)]
        {
            assert_eq!(size(text), Ok(bytes));
        }
        for text in ["", "0", "KiB", "1KB", "-1", "2TiB", "99999999999999999999"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
