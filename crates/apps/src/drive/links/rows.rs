//! Links as they are stored, and what leads to them.

use super::super::DriveError;
use crate::{DriveId, LinkId};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use prost::Message;

/// A link. Its secret is kept so that its owner can copy it again: see `docs/decisions/links.md`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct LinkRow {
    #[prost(bytes = "bytes", tag = "1")]
    pub secret: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub entry: Bytes,
    #[prost(bool, tag = "3")]
    pub folder: bool,
    #[prost(enumeration = "ModeRow", tag = "4")]
    pub mode: i32,
    #[prost(bytes = "bytes", tag = "5")]
    pub by: Bytes,
    #[prost(uint64, tag = "6")]
    pub created: u64,
    /// 0: never.
    #[prost(uint64, tag = "7")]
    pub expires: u64,
    /// Its hash; empty: none is asked for.
    #[prost(string, tag = "8")]
    pub password: String,
    #[prost(uint64, optional, tag = "9")]
    pub downloads_max: Option<u64>,
    #[prost(uint64, optional, tag = "10")]
    pub bytes_max: Option<u64>,
    /// As it was when the link was made: for the list, should it be gone.
    #[prost(string, tag = "11")]
    pub name: String,
}

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum ModeRow {
    /// From a newer release: leads nowhere here.
    Unknown = 0,
    View = 1,
    DropBox = 2,
}

/// Bytes of a secret.
const SECRET_BYTES: usize = 16;

/// What a link's address ends in: whose drive it is of, and its secret. So everything about it is under one partition key.
pub(super) struct LinkToken {
    pub drive: DriveId,
    pub secret: Bytes,
}

impl LinkToken {
    pub fn new(drive: DriveId) -> LinkToken {
        LinkToken { drive, secret: Bytes::copy_from_slice(&rand::random::<[u8; SECRET_BYTES]>()) }
    }

    pub fn parse(text: &str) -> Result<LinkToken, DriveError> {
        if text.len() > 64 {
            return Err(DriveError::NoSuchLink);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| DriveError::NoSuchLink)?;
        match (bytes.len() == 16 + SECRET_BYTES, bytes.get(..16).and_then(DriveId::from_slice)) {
            (true, Some(drive)) => Ok(LinkToken { drive, secret: Bytes::copy_from_slice(&bytes[16..]) }),
            _ => Err(DriveError::NoSuchLink),
        }
    }

    /// Links are found by a hash, so that the time it takes tells nothing about how much of a guess was right.
    pub fn id(&self) -> LinkId {
        let mut hash = blake3::Hasher::new_derive_key("atoll link id 1");
        hash.update(&self.drive.0).update(&self.secret);
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize().as_bytes()[..16]);
        LinkId(id)
    }
}

impl std::fmt::Display for LinkToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode([&self.drive.0[..], &self.secret].concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_read_back() {
        let token = LinkToken::new(DriveId::random());
        let read = LinkToken::parse(&token.to_string()).unwrap();
        assert_eq!((read.drive, &read.secret, read.id()), (token.drive, &token.secret, token.id()));
        assert_eq!(token.to_string().len(), 43);
        assert_ne!(LinkToken::new(token.drive).id(), token.id());
    }

    proptest! {
        #[test]
        fn any_text_is_a_token_or_none(text in ".{0,70}") {
            let _ = LinkToken::parse(&text);
        }
    }
}
