//! The Raft library's types, as this crate instantiates them, and how they are
//! written to disk and wire: a version byte, then postcard.

use crate::store::{Batch, Committed, LeaderToken, MetadataError};
use openraft::CommittedLeaderId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::Cursor;
use types::NodeId;

openraft::declare_raft_types!(
    /// Types of the metadata's Raft group.
    pub Types:
        D = Batch,
        R = Applied,
        NodeId = u64,
        Node = openraft::BasicNode,
        Entry = openraft::Entry<Types>,
        SnapshotData = Cursor<Vec<u8>>,
);

/// What applying an entry returned. `None`: the entry held no batch.
pub type Applied = Option<Result<Committed, MetadataError>>;

pub(super) type Entry = openraft::Entry<Types>;
pub(super) type LogId = openraft::LogId<u64>;
pub(super) type Vote = openraft::Vote<u64>;
pub(super) type Membership = openraft::StoredMembership<u64, openraft::BasicNode>;
pub(super) type SnapshotMeta = openraft::SnapshotMeta<u64, openraft::BasicNode>;
pub(super) type StorageError = openraft::StorageError<u64>;
pub(super) type StorageIOError = openraft::StorageIOError<u64>;

const VERSION: u8 = 1;

/// The leadership that a log entry was proposed under.
pub(super) fn token(leader: &CommittedLeaderId<u64>) -> LeaderToken {
    LeaderToken { term: leader.term, node: NodeId(leader.node_id) }
}

pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    let start = vec![VERSION];
    postcard::to_extend(value, start).map_err(|error| error.to_string())
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match bytes.split_first() {
        Some((&VERSION, body)) => postcard::from_bytes(body).map_err(|error| error.to_string()),
        Some((version, _)) => Err(format!("written in format {version}, which this release does not know")),
        None => Err("empty".to_string()),
    }
}

/// As [`encode`], with a checksum in front.
pub(super) fn seal<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    let mut sealed = postcard::to_extend(value, vec![0, 0, 0, 0, VERSION]).map_err(|error| error.to_string())?;
    let checksum = crc32fast::hash(&sealed[4..]);
    sealed[..4].copy_from_slice(&checksum.to_le_bytes());
    Ok(sealed)
}

/// The reverse of [`seal`].
pub(super) fn unseal<T: DeserializeOwned>(sealed: &[u8]) -> Result<T, String> {
    let Some((checksum, body)) = sealed.split_at_checked(4) else { return Err("too short".to_string()) };
    if crc32fast::hash(body).to_le_bytes() != checksum {
        return Err("checksum does not match".to_string());
    }
    decode(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, VoteRequest};
    use openraft::{BasicNode, EntryPayload};
    use std::collections::{BTreeMap, BTreeSet};

    fn roundtrip<T: Serialize + DeserializeOwned + std::fmt::Debug>(value: &T) {
        let sealed = seal(value).unwrap();
        let back: T = unseal(&sealed).unwrap();
        assert_eq!(format!("{value:?}"), format!("{back:?}"));
        let back: T = decode(&encode(value).unwrap()).unwrap();
        assert_eq!(format!("{value:?}"), format!("{back:?}"));
        for bit in 0..sealed.len() * 8 {
            let mut rotten = sealed.clone();
            rotten[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal::<T>(&rotten).is_err());
        }
    }

    #[test]
    fn everything_survives_the_wire() {
        let log_id = LogId::new(CommittedLeaderId::new(3, 2), 17);
        let nodes: BTreeMap<u64, BasicNode> = (1..4).map(|id| (id, BasicNode::new(format!("host{id}:1")))).collect();
        let membership = openraft::Membership::new(vec![BTreeSet::from([1]), BTreeSet::from([1, 2, 3])], nodes);
        let vote = Vote::new_committed(3, 2);
        let batch = Batch::new().put("k", "v").expect("k", crate::Expect::Revision(2)).delete("x");
        let entries = vec![
            Entry { log_id, payload: EntryPayload::Blank },
            Entry { log_id, payload: EntryPayload::Normal(batch) },
            Entry { log_id, payload: EntryPayload::Membership(membership.clone()) },
        ];
        roundtrip(&AppendEntriesRequest::<Types> { vote, prev_log_id: Some(log_id), entries, leader_commit: None });
        roundtrip(&AppendEntriesResponse::<u64>::PartialSuccess(Some(log_id)));
        roundtrip(&AppendEntriesResponse::<u64>::HigherVote(vote));
        roundtrip(&VoteRequest::<u64> { vote, last_log_id: Some(log_id) });
        roundtrip(&InstallSnapshotRequest::<Types> {
            vote,
            meta: SnapshotMeta {
                last_log_id: Some(log_id),
                last_membership: Membership::new(Some(log_id), membership),
                snapshot_id: "3-17".to_string(),
            },
            offset: 4,
            data: vec![1, 2, 3],
            done: true,
        });
    }
}
