//! Random secrets, how they are written, and the hashes under which they are stored.
//!
//! All are random and long, so that a fast hash is enough; and rows are found by
//! the hash, so that the time a look-up takes tells nothing about how much of a guess was right.

use super::Token;
use crate::{UserId, hex};
use bytes::Bytes;

/// Letters and digits that are not mistaken for each other (RFC 4648).
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Bytes of typed secrets that are looked at.
const TYPED_BYTES_MAX: usize = 256;

/// A token that carries whose it is: a user's id and 32 random bytes, taken apart.
pub(super) struct Shown {
    pub user: UserId,
    pub hash: [u8; 32],
}

impl Shown {
    pub(super) fn parse(token: &str) -> Option<Shown> {
        if token.len() != 2 * 48 {
            return None;
        }
        let bytes = hex::decode(token)?;
        Some(Shown { user: UserId::from_slice(&bytes[..16])?, hash: *blake3::hash(&bytes).as_bytes() })
    }

    /// A fresh one for that user.
    pub(super) fn make(user: UserId) -> (Token, Shown) {
        let bytes = [&user.0[..], &rand::random::<[u8; 32]>()].concat();
        (Token(hex::encode(&bytes)), Shown { user, hash: *blake3::hash(&bytes).as_bytes() })
    }

    pub(super) fn sort_key(&self) -> Bytes {
        Bytes::copy_from_slice(&self.hash)
    }
}

/// How a row is called where people choose one: the beginning of the hash it is stored under.
pub(super) fn short_id(hash: &[u8]) -> String {
    hex::encode(&hash[..hash.len().min(8)])
}

/// The reverse, as the prefix of a sort key.
pub(super) fn long_prefix(id: &str) -> Option<Vec<u8>> {
    (id.len() == 16).then(|| hex::decode(id)).flatten()
}

/// Random letters and digits in groups of four, five bits each.
pub(super) fn typed_secret<const BYTES: usize>() -> String {
    let text = base32(&rand::random::<[u8; 32]>()[..BYTES]);
    let groups: Vec<&str> = (0..text.len()).step_by(4).map(|at| &text[at..text.len().min(at + 4)]).collect();
    groups.join("-")
}

/// The hash of a secret that someone typed, bound to whose it is: case, spaces and hyphens do not matter.
pub(super) fn typed_hash(purpose: &str, user: UserId, typed: &str) -> [u8; 32] {
    let typed = typed.get(..TYPED_BYTES_MAX).unwrap_or(typed);
    let plain: String =
        typed.chars().take(TYPED_BYTES_MAX).filter(|c| !c.is_whitespace() && *c != '-').collect::<String>();
    let mut hash = blake3::Hasher::new();
    hash.update(purpose.as_bytes()).update(&[0]).update(&user.0).update(plain.to_ascii_lowercase().as_bytes());
    *hash.finalize().as_bytes()
}

/// Base 32 without padding.
pub(super) fn base32(bytes: &[u8]) -> String {
    let mut out = String::new();
    let (mut held, mut bits) = (0u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            out.push(BASE32[(held >> bits & 31) as usize] as char);
        }
    }
    if bits > 0 {
        out.push(BASE32[(held << (5 - bits) & 31) as usize] as char);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_that_of_the_standard() {
        for (plain, coded) in [("", ""), ("f", "my"), ("fo", "mzxq"), ("foobar", "mzxw6ytboi")] {
            assert_eq!(base32(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn typed_secrets_are_forgiving_and_personal() {
        let (user, other) = (UserId::random(), UserId::random());
        let secret = typed_secret::<20>();
        assert_eq!((secret.len(), typed_secret::<10>().len()), (39, 19));
        let hash = typed_hash("app", user, &secret);
        assert_eq!(hash, typed_hash("app", user, &secret.replace('-', " ").to_uppercase()));
        assert_ne!(hash, typed_hash("app", other, &secret));
        assert_ne!(hash, typed_hash("recovery", user, &secret));
        typed_hash("app", user, &"é".repeat(1000));
    }
}
