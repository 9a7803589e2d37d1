//! A partition's tables as rows in the order of their keys: what a copy carries, and how two
//! replicas find out, without showing each other all rows, in which ranges they differ.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Pieces in one outline, at most: as many as [`Found`] has room for.
pub const PIECES_MAX: usize = 32;

/// A row, opaque to all but storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Key, without the partition.
    pub key: Bytes,
    /// Value.
    pub value: Bytes,
}

/// The rows with `after < key <= upto`; none: from the first, to the last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowRange {
    /// The last key before it.
    pub after: Option<Bytes>,
    /// The last key that may be in it.
    pub upto: Option<Bytes>,
}

impl RowRange {
    /// Whether a row with that key is in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.after.as_ref().is_none_or(|after| key > &after[..]) && self.upto.as_ref().is_none_or(|upto| key <= upto)
    }
}

/// A range in short. It begins where the one before it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The last key that may be in it; none: no key is above.
    pub upto: Option<Bytes>,
    /// BLAKE3 of all its rows. Two that are equal hold the same, whoever chose what is in them.
    pub digest: [u8; 32],
}

/// What a replica has where another has given an outline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Bit n: the nth piece differs.
    pub differing: u32,
    /// There is nothing here from the outline's beginning to the end of the tables.
    pub nothing: bool,
}

impl Found {
    /// Whether the nth piece differs.
    pub fn differs(&self, piece: usize) -> bool {
        u32::try_from(piece).ok().and_then(|piece| self.differing.checked_shr(piece)).is_some_and(|bits| bits & 1 == 1)
    }
}

/// The digest of rows that are fed in their order.
#[derive(Default)]
struct Digester {
    hasher: blake3::Hasher,
    bytes: usize,
}

impl Digester {
    fn row(&mut self, key: &[u8], value: &[u8]) {
        self.hasher.update(&(key.len() as u64).to_le_bytes()).update(key);
        self.hasher.update(&(value.len() as u64).to_le_bytes()).update(value);
        self.bytes += key.len() + value.len();
    }

    fn take(&mut self) -> [u8; 32] {
        let digest = *self.hasher.finalize().as_bytes();
        *self = Digester::default();
        digest
    }
}

/// The rows of a range in pieces of `piece_bytes` or a little more, [`PIECES_MAX`] at most: then the last of them
/// ends before the range does. `rows` are those of the range, in order. Also says how many bytes were looked at.
pub fn outline<E>(
    rows: impl Iterator<Item = Result<(Bytes, Bytes), E>>,
    range: &RowRange,
    piece_bytes: usize,
) -> Result<(Vec<Piece>, usize), E> {
    let (mut pieces, mut digester, mut bytes) = (Vec::new(), Digester::default(), 0);
    let mut last = None;
    for row in rows {
        let (key, value) = row?;
        if digester.bytes >= piece_bytes {
            bytes += digester.bytes;
            pieces.push(Piece { upto: last.take(), digest: digester.take() });
            if pieces.len() == PIECES_MAX {
                return Ok((pieces, bytes));
            }
        }
        digester.row(&key, &value);
        last = Some(key);
    }
    bytes += digester.bytes;
    pieces.push(Piece { upto: range.upto.clone(), digest: digester.take() });
    Ok((pieces, bytes))
}

/// Holds an outline against one's own rows: all that are above where it begins, in order. As many are
/// read as are needed, and one more.
pub fn compare<E>(rows: impl Iterator<Item = Result<(Bytes, Bytes), E>>, pieces: &[Piece]) -> Result<Found, E> {
    let mut found = Found { differing: 0, nothing: true };
    let mut rows = rows.peekable();
    for (at, piece) in pieces.iter().enumerate().take(PIECES_MAX) {
        let mut digester = Digester::default();
        let inside = |row: &Result<(Bytes, Bytes), E>| match row {
            Ok((key, _)) => piece.upto.as_ref().is_none_or(|upto| key <= upto),
            Err(_) => true,
        };
        while let Some(row) = rows.next_if(inside) {
            let (key, value) = row?;
            found.nothing = false;
            digester.row(&key, &value);
        }
        found.differing |= u32::from(digester.take() != piece.digest) << at;
    }
    if let Some(row) = rows.next() {
        row?;
        found.nothing = false;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

    fn within<'a>(
        rows: &'a Rows,
        range: &'a RowRange,
    ) -> impl Iterator<Item = Result<(Bytes, Bytes), Infallible>> + 'a {
        let pair = |(key, value): (&Vec<u8>, &Vec<u8>)| Ok((Bytes::from(key.clone()), Bytes::from(value.clone())));
        rows.iter().filter(|(key, _)| range.contains(key)).map(pair)
    }

    fn rows() -> impl Strategy<Value = Rows> {
        let bytes = |length| prop::collection::vec(0u8..4, 1..length);
        prop::collection::btree_map(bytes(4), bytes(9), 0..60)
    }

    proptest! {
        /// The pieces lie side by side, cover the range, and exactly those differ in which any row does.
        #[test]
        fn exactly_the_pieces_that_differ_are_found(
            theirs in rows(),
            ours in rows(),
            same in any::<bool>(),
            after in prop::option::of(prop::collection::vec(0u8..4, 1..3)),
            piece_bytes in 1usize..60,
        ) {
            let mut range = RowRange { after: after.map(Bytes::from), upto: None };
            let ours = if same { &theirs } else { &ours };
            loop {
                let (pieces, bytes) = outline(within(&theirs, &range), &range, piece_bytes).unwrap();
                prop_assert!(!pieces.is_empty() && pieces.len() <= PIECES_MAX);
                let found = compare(within(ours, &RowRange { after: range.after.clone(), upto: None }), &pieces).unwrap();
                prop_assert_eq!(found.nothing, within(ours, &range).next().is_none());
                let (mut after, mut sum) = (range.after.clone(), 0);
                for (at, piece) in pieces.iter().enumerate() {
                    let piece = RowRange { after: after.clone(), upto: piece.upto.clone() };
                    let (a, b): (Vec<_>, Vec<_>) = (within(&theirs, &piece).collect(), within(ours, &piece).collect());
                    prop_assert_eq!(found.differs(at), a != b);
                    sum += a.iter().flatten().map(|(key, value)| key.len() + value.len()).sum::<usize>();
                    after = piece.upto;
                }
                prop_assert_eq!(sum, bytes);
                match after {
                    Some(after) => range.after = Some(after),
                    None => break,
                }
            }
        }
    }
}
