//! Tickets to read a block: so that a node can give it out without asking
//! anybody whether it belongs to a file of the caller's.
//!
//! A ticket is its expiry and a keyed BLAKE3 of block, person, drive and expiry, under a
//! key that every node derives from the cluster's.

use apps::{DriveId, UserId};
use bytes::Bytes;
use client::ClusterKey;
use std::time::Duration;
use types::{BlockHash, WallMillis};

/// How long a ticket is good. Long downloads get new ones.
const GOOD_FOR: Duration = Duration::from_secs(60 * 60);
/// How far the clocks of two nodes may be apart.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// Makes out tickets and checks them.
pub(super) struct Tickets {
    key: [u8; 32],
}

impl Tickets {
    pub(super) fn new(key: &ClusterKey) -> Tickets {
        Tickets { key: blake3::derive_key("atoll.v1 2025 ticket to read a block", &key.0) }
    }

    /// When a ticket made out now stops being good.
    pub(super) fn expiry(now: WallMillis) -> WallMillis {
        WallMillis(now.0.saturating_add(GOOD_FOR.as_millis() as u64))
    }

    /// A ticket for this person and block.
    pub(super) fn make(&self, user: &UserId, drive: Option<DriveId>, hash: &BlockHash, expires: WallMillis) -> Bytes {
        let mut ticket = [0u8; 40];
        ticket[..8].copy_from_slice(&expires.0.to_be_bytes());
        ticket[8..].copy_from_slice(self.mac(user, drive, hash, expires).as_bytes());
        Bytes::copy_from_slice(&ticket)
    }

    /// Is it good, for this person and block, now?
    pub(super) fn check(
        &self,
        ticket: &[u8],
        user: &UserId,
        drive: Option<DriveId>,
        hash: &BlockHash,
        now: WallMillis,
    ) -> bool {
        let Some((expires, mac)) = ticket.split_first_chunk::<8>() else { return false };
        let Ok(mac) = <[u8; 32]>::try_from(mac) else { return false };
        let expires = WallMillis(u64::from_be_bytes(*expires));
        // `blake3::Hash` compares in constant time.
        let genuine = self.mac(user, drive, hash, expires) == blake3::Hash::from_bytes(mac);
        genuine && now.0 < expires.0.saturating_add(SKEW.as_millis() as u64)
    }

    fn mac(&self, user: &UserId, drive: Option<DriveId>, hash: &BlockHash, expires: WallMillis) -> blake3::Hash {
        // All parts have fixed lengths: no two of these give the same bytes. One's own drive is not said, as in releases that
        // knew no other.
        let mut said = Vec::with_capacity(32 + 16 + 8 + 16);
        said.extend_from_slice(&hash.0);
        said.extend_from_slice(&user.0);
        said.extend_from_slice(&expires.0.to_be_bytes());
        said.extend(drive.iter().flat_map(|drive| drive.0));
        blake3::keyed_hash(&self.key, &said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DRIVE: Option<DriveId> = Some(DriveId([7; 16]));
    const NOW: WallMillis = WallMillis(1_700_000_000_000);

    proptest! {
        #[test]
        fn a_ticket_is_good_for_its_person_and_block_alone(
            user: [u8; 16], other: [u8; 16], block: [u8; 32], another: [u8; 32], key: [u8; 32], flipped in 0usize..320,
        ) {
            let tickets = Tickets::new(&ClusterKey(key));
            let (user, block) = (UserId(user), BlockHash(block));
            let ticket = tickets.make(&user, DRIVE, &block, Tickets::expiry(NOW));
            prop_assert!(tickets.check(&ticket, &user, DRIVE, &block, NOW));
            prop_assert_eq!(tickets.check(&ticket, &UserId(other), DRIVE, &block, NOW), other == user.0);
            prop_assert_eq!(tickets.check(&ticket, &user, DRIVE, &BlockHash(another), NOW), another == block.0);
            prop_assert!(!tickets.check(&ticket, &user, Some(DriveId([8; 16])), &block, NOW));
            prop_assert!(!tickets.check(&ticket, &user, None, &block, NOW));
            let mut forged = ticket.to_vec();
            forged[flipped / 8] ^= 1 << (flipped % 8);
            prop_assert!(!tickets.check(&forged, &user, DRIVE, &block, NOW));
            let mut strangers = key;
            strangers[0] ^= 1;
            prop_assert!(!Tickets::new(&ClusterKey(strangers)).check(&ticket, &user, DRIVE, &block, NOW));
        }

        #[test]
        fn noise_is_no_ticket(noise: Vec<u8>) {
            let tickets = Tickets::new(&ClusterKey([1; 32]));
            prop_assert!(!tickets.check(&noise, &UserId([0; 16]), DRIVE, &BlockHash([0; 32]), NOW));
        }
    }

    #[test]
    fn a_ticket_runs_out() {
        let tickets = Tickets::new(&ClusterKey([1; 32]));
        let (user, block) = (UserId([2; 16]), BlockHash([3; 32]));
        let ticket = tickets.make(&user, DRIVE, &block, Tickets::expiry(NOW));
        let after = |time: Duration| WallMillis(NOW.0 + time.as_millis() as u64);
        assert!(tickets.check(&ticket, &user, DRIVE, &block, after(GOOD_FOR)));
        assert!(!tickets.check(&ticket, &user, DRIVE, &block, after(GOOD_FOR + SKEW)));
    }
}
