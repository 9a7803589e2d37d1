//! The Raft library's types, as this crate instantiates them. Written to disk and wire by [`crate::codec`].

use crate::store::{Batch, Committed, LeaderToken, MetadataError};
use openraft::CommittedLeaderId;
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

pub(super) use crate::codec::{decode, encode, seal, unseal};

pub(super) type Entry = openraft::Entry<Types>;
pub(super) type LogId = openraft::LogId<u64>;
pub(super) type Vote = openraft::Vote<u64>;
pub(super) type Membership = openraft::StoredMembership<u64, openraft::BasicNode>;
pub(super) type SnapshotMeta = openraft::SnapshotMeta<u64, openraft::BasicNode>;
pub(super) type StorageError = openraft::StorageError<u64>;
pub(super) type StorageIOError = openraft::StorageIOError<u64>;

/// The leadership that a log entry was proposed under.
pub(super) fn token(leader: &CommittedLeaderId<u64>) -> LeaderToken {
    LeaderToken { term: leader.term, node: NodeId(leader.node_id) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, VoteRequest};
    use openraft::{BasicNode, EntryPayload};
    use serde::{Serialize, de::DeserializeOwned};
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
