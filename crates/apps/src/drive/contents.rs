//! A content's row: what the client needs to read it, and in whose name its blocks are referenced.
//!
//! That name has a part made anew with each row, so that it is never used
//! twice: someone slow, who still takes back the references of a row that is gone, cannot
//! hit those of a later row for the same version.

use super::DriveError;
use crate::{DriveId, VersionId};
use bytes::Bytes;
use client::{Body, Content};
use prost::Message;

/// A content as its row has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub content: Content,
    /// Empty for contents without blocks, and in rows of releases that had none.
    nonce: Bytes,
}

/// What follows the client's own fields in the row; it passes over this one.
#[derive(Clone, PartialEq, Message)]
struct Tail {
    #[prost(bytes = "bytes", tag = "1000")]
    nonce: Bytes,
}

pub(super) fn has_blocks(content: &Content) -> bool {
    !matches!(content.body, Body::Inline(_))
}

impl Stored {
    /// For a new row.
    pub(super) fn new(content: Content) -> Stored {
        let nonce = match has_blocks(&content) {
            true => Bytes::copy_from_slice(&rand::random::<[u8; 16]>()),
            false => Bytes::new(),
        };
        Stored { content, nonce }
    }

    pub(super) fn encode(&self) -> Bytes {
        [&self.content.encode()[..], &Tail { nonce: self.nonce.clone() }.encode_to_vec()].concat().into()
    }

    pub(super) fn decode(row: &[u8]) -> Result<Stored, DriveError> {
        let content = Content::decode(row)?;
        // Past the format byte, which the client has looked at.
        let tail: Tail = super::rows::decode("a content", row.get(1..).unwrap_or_default())?;
        Ok(Stored { content, nonce: tail.nonce })
    }

    /// Who the content's references belong to.
    pub(super) fn owner(&self, drive: DriveId, version: VersionId) -> Vec<u8> {
        [&drive.0[..], &version.0, &self.nonce].concat()
    }
}

#[cfg(test)]
#[test]
#[allow(clippy::unwrap_used)]
fn rows_of_contents_read_back() {
    use client::BlockRef;
    let (drive, version) = (DriveId([1; 16]), VersionId([2; 16]));
    let block = BlockRef { hash: types::BlockHash([3; 32]), length: 7 };
    let content = Content { size: 7, hash: [4; 32], body: Body::Blocks(vec![block]) };
    let (one, two) = (Stored::new(content.clone()), Stored::new(content.clone()));
    assert_ne!(one.owner(drive, version), two.owner(drive, version));
    assert_eq!(Stored::decode(&one.encode()).unwrap(), one);
    assert_eq!(Content::decode(&one.encode()).unwrap(), content, "an older release reads it too");
    // And its rows are read: their owner is as it was.
    let old = Stored::decode(&content.encode()).unwrap();
    assert_eq!(old.owner(drive, version), [drive.0, version.0].concat());
    assert_eq!(
        Stored::new(Content::inline("x".into()).unwrap()).encode(),
        Content::inline("x".into()).unwrap().encode()
    );
}
