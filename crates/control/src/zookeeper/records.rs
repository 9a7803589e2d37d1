//! What the znodes below the cluster's path hold, and how they are called.
//!
//! ```text
//! <path>/header                      [`Header`]: how far the log goes; its version fences every write
//! <path>/log/<position>              [`Entry`]: one batch
//! <path>/snapshots/<name>-<piece>    the state at one position, in pieces
//! <path>/candidates/<node>-<nonce>-<sequence>   ephemeral: the lowest sequence leads
//! <path>/lives/<node>.<incarnation>  one life; its owner writes it again to renew its lease
//! ```

use crate::store::{Batch, LeaderToken};
use serde::{Deserialize, Serialize};
use types::{ClusterId, NodeId, ReplicaId};

/// A znode of this size is well below what a server takes in one packet.
pub(super) const PIECE_BYTES: usize = 400 * 1024;
/// Largest state that is kept.
pub(super) const SNAPSHOT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How far the log goes, and from where it can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub cluster: ClusterId,
    /// The last entry; 0: none yet.
    pub position: u64,
    /// The first entry that is still kept.
    pub first: u64,
    pub snapshot: Option<SnapshotName>,
}

/// A snapshot that is there in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SnapshotName {
    /// The last entry in it.
    pub position: u64,
    /// Two leaders may have made one of the same position.
    pub term: u64,
    pub pieces: u32,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Random: by it a writer knows its own again.
    pub id: u128,
    pub leadership: LeaderToken,
    pub batch: Batch,
}

/// Paths below the cluster's own.
#[derive(Clone, Debug)]
pub(super) struct Paths(pub String);

impl Paths {
    pub fn root(&self) -> &str {
        &self.0
    }

    pub fn header(&self) -> String {
        format!("{}/header", self.0)
    }

    pub fn log(&self) -> String {
        format!("{}/log", self.0)
    }

    pub fn entry(&self, position: u64) -> String {
        format!("{}/log/{position:020}", self.0)
    }

    pub fn snapshots(&self) -> String {
        format!("{}/snapshots", self.0)
    }

    pub fn piece(&self, name: &SnapshotName, piece: u32) -> String {
        format!("{}/snapshots/{}", self.0, piece_name(name, piece))
    }

    pub fn candidates(&self) -> String {
        format!("{}/candidates", self.0)
    }

    pub fn candidate(&self, name: &str) -> String {
        format!("{}/candidates/{name}", self.0)
    }

    pub fn lives(&self) -> String {
        format!("{}/lives", self.0)
    }

    pub fn life(&self, replica: ReplicaId) -> String {
        format!("{}/lives/{}.{}", self.0, replica.node.0, replica.incarnation.0)
    }
}

/// The name of a piece below `snapshots`.
pub(super) fn piece_name(name: &SnapshotName, piece: u32) -> String {
    format!("{:020}-{}-{piece:04}", name.position, name.term)
}

/// One registration, as its name tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub sequence: u64,
    pub node: NodeId,
    pub name: String,
}

/// The registrations, the one that leads first. What is called otherwise is not ours.
pub(super) fn candidates(names: &[String]) -> Vec<Candidate> {
    let parse = |name: &String| {
        let mut parts = name.split('-');
        let (node, _nonce, sequence) = (parts.next()?, parts.next()?, parts.next()?);
        let (node, sequence) = (NodeId(node.parse().ok()?), sequence.parse().ok()?);
        parts.next().is_none().then(|| Candidate { sequence, node, name: name.clone() })
    };
    let mut all: Vec<Candidate> = names.iter().filter_map(parse).collect();
    all.sort_by(|a, b| (a.sequence, &a.name).cmp(&(b.sequence, &b.name)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_sequence_leads_whatever_the_names() {
        let names = ["9-ffff-0000000012", "1-aaaa-0000000013", "10-bbbb-0000000002", "stranger", "1-2", "x-y-1"];
        let found = candidates(&names.map(String::from));
        let order: Vec<_> = found.iter().map(|candidate| (candidate.node.0, candidate.sequence)).collect();
        assert_eq!(order, [(10, 2), (9, 12), (1, 13)]);
    }
}
