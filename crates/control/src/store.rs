//! The metadata store as its users see it: few, small, ordered keys that every
//! node can read and that only whole batches change.
//!
//! Invariants of every backend, proved for each by `tests/conformance`:
//! - a batch is applied whole or not at all, and its checks and its changes see
//!   the same state;
//! - the global revision rises with every batch that changes anything, and a key
//!   carries the revision of the batch that last put it;
//! - a fenced batch is applied only under the very leadership that its token
//!   names, so that a leader that was replaced cannot write what it decided before;
//! - [`MetadataStore::confirm_leadership`] succeeds only if this node still led
//!   after the call began;
//! - errors keep apart *surely not applied* from *unknown*.
//!
//! Leases are left to the controller, and live in the leader's memory; or in the store, where it keeps
//! [`Lives`].

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::sync::watch;
use types::{Action, Classify, NodeId, ReplicaId};

/// Most bytes in a key.
pub const KEY_BYTES_MAX: usize = 512;
/// Most bytes in a batch: keys and values together.
pub const BATCH_BYTES_MAX: usize = 512 * 1024;
/// Most checks in a batch, and most operations.
pub const BATCH_OPERATIONS_MAX: usize = 1024;

/// A key with what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The key.
    pub key: String,
    /// Opaque to the store.
    pub value: Bytes,
    /// Global revision of the batch that put it.
    pub revision: u64,
}

/// All keys under a prefix, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// In key order.
    pub pairs: Vec<Pair>,
    /// The global revision at that moment.
    pub revision: u64,
}

/// What a batch expects of a key before any of its changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expect {
    /// Nothing is there.
    Absent,
    /// Something is there, whatever its revision.
    Present,
    /// What is there was put by this revision.
    Revision(u64),
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Puts a value, over whatever is there.
    Put {
        /// Key.
        key: String,
        /// Value.
        value: Bytes,
    },
    /// Deletes a key; nothing happens when it is absent.
    Delete {
        /// Key.
        key: String,
    },
}

/// One leadership: who leads, and since which vote. Ordered by age; a node that
/// loses leadership, or restarts, and leads again has a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeaderToken {
    /// Rises with every election.
    pub term: u64,
    /// The leader; breaks ties, for two nodes can win the same term one after the other.
    pub node: NodeId,
}

/// Checks and changes that are applied together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// All must hold.
    pub checks: Vec<(String, Expect)>,
    /// Applied in order.
    pub operations: Vec<Operation>,
    /// If given: applied only under this leadership.
    pub fence: Option<LeaderToken>,
}

impl Batch {
    /// No checks, no changes, no fence.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Adds a check.
    #[must_use]
    pub fn expect(mut self, key: impl Into<String>, expect: Expect) -> Batch {
        self.checks.push((key.into(), expect));
        self
    }

    /// Adds a put.
    #[must_use]
    pub fn put(mut self, key: impl Into<String>, value: impl Into<Bytes>) -> Batch {
        self.operations.push(Operation::Put { key: key.into(), value: value.into() });
        self
    }

    /// Adds a delete.
    #[must_use]
    pub fn delete(mut self, key: impl Into<String>) -> Batch {
        self.operations.push(Operation::Delete { key: key.into() });
        self
    }

    /// Binds the batch to a leadership.
    #[must_use]
    pub fn fenced(mut self, token: LeaderToken) -> Batch {
        self.fence = Some(token);
        self
    }

    /// Checks every bound that needs no data.
    pub fn validate(&self) -> Result<(), MetadataError> {
        let invalid = |text: String| Err(MetadataError::Invalid(text));
        if self.checks.len() > BATCH_OPERATIONS_MAX || self.operations.len() > BATCH_OPERATIONS_MAX {
            return invalid(format!("a batch has at most {BATCH_OPERATIONS_MAX} checks and as many changes"));
        }
        let operations = self.operations.iter().map(|operation| match operation {
            Operation::Put { key, value } => (key, value.len()),
            Operation::Delete { key } => (key, 0),
        });
        let mut total = 0;
        for (key, value) in self.checks.iter().map(|(key, _)| (key, 0)).chain(operations) {
            if key.is_empty() || key.len() > KEY_BYTES_MAX {
                return invalid(format!("a key has between 1 and {KEY_BYTES_MAX} bytes; this one has {}", key.len()));
            }
            total += key.len() + value;
        }
        if total > BATCH_BYTES_MAX {
            return invalid(format!("a batch has at most {BATCH_BYTES_MAX} bytes; this one has {total}"));
        }
        Ok(())
    }
}

/// An applied batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// Global revision after it; the revision of every key that it put.
    pub revision: u64,
}

/// Who leads, as far as this node has heard. A hint, except that `is_self`
/// turning false means that this node certainly led no longer at that moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leadership {
    /// The leader, if one is known.
    pub leader: Option<NodeId>,
    /// This node is the leader, unless it was replaced and has not heard of it.
    pub is_self: bool,
    /// Newest term seen.
    pub term: u64,
}

/// Why the metadata store did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum MetadataError {
    /// Ask the leader.
    #[error("this node does not lead the metadata; {}", match leader { Some(id) => format!("node {id} may"), None => "no leader is known".to_string() })]
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// A check does not hold.
    #[error("the metadata at {key} is not as expected: {}", match found { Some(n) => format!("it is at revision {n}"), None => "it is absent".to_string() })]
    Conflict {
        /// The key whose check failed first.
        key: String,
        /// Its revision, if it exists.
        found: Option<u64>,
    },
    /// The batch was bound to a leadership that is over.
    #[error("leadership {} of node {} is over", token.term, token.node)]
    Fenced {
        /// That leadership.
        token: LeaderToken,
    },
    /// No quorum of voters can be reached. Surely not applied.
    #[error("the metadata cannot be reached: {0}")]
    Unavailable(String),
    /// The answer did not come. The batch may have been applied, or may be still.
    #[error("it is not known whether the metadata was changed: {0}")]
    Unknown(String),
    /// A bound is exceeded, or the request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// What this node has on disk is not what it once made durable. It must be
    /// given a new node id and join again.
    #[error("this node's copy of the metadata is damaged: {0}")]
    Damaged(String),
    /// A write or sync failed, or the node was shut down: it takes no part any longer. Surely not applied.
    #[error("this node's metadata store has stopped: {0}")]
    Stopped(String),
}

impl Classify for MetadataError {
    fn action(&self) -> Action {
        match self {
            MetadataError::NotLeader { .. } | MetadataError::Unavailable(_) => Action::Retry,
            MetadataError::Conflict { .. } | MetadataError::Fenced { .. } | MetadataError::Invalid(_) => {
                Action::Rejected
            }
            MetadataError::Unknown(_) => Action::Unknown,
            MetadataError::Damaged(_) | MetadataError::Stopped(_) => Action::Fatal,
        }
    }
}

/// Ordered keys, replicated, changed by atomic batches.
#[async_trait]
pub trait MetadataStore: Send + Sync + 'static {
    /// One key, linearizable. On a node that does not lead: [`MetadataError::NotLeader`].
    async fn get(&self, key: &str) -> Result<Option<Pair>, MetadataError>;

    /// All keys that begin with `prefix`, linearizable. On a node that does not lead: [`MetadataError::NotLeader`].
    async fn range(&self, prefix: &str) -> Result<Range, MetadataError>;

    /// What this node has applied; possibly old, never a state that did not exist.
    fn local_range(&self, prefix: &str) -> Range;

    /// Applies a batch. On a node that does not lead: [`MetadataError::NotLeader`], with whom to ask.
    async fn commit(&self, batch: Batch) -> Result<Committed, MetadataError>;

    /// The newest global revision that this node has applied. Level-triggered:
    /// revisions may be skipped, the last one is always seen, and it never goes back.
    fn watch(&self) -> watch::Receiver<u64>;

    /// Who leads.
    fn leader(&self) -> watch::Receiver<Leadership>;

    /// Proves, by asking a quorum after the call began, that this node leads,
    /// and waits until it has applied everything that was committed before.
    async fn confirm_leadership(&self) -> Result<LeaderToken, MetadataError>;

    /// The nodes' lives, where the store itself keeps their leases. None: the leader's memory does.
    fn lives(&self) -> Option<&dyn Lives> {
        None
    }
}

/// What a batch begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifeChange {
    /// A life begins: from now on it can be renewed.
    Begin(ReplicaId),
    /// A life ends, whenever it was renewed last: it serves nothing any more, as is known from elsewhere.
    End(ReplicaId),
    /// A life ends, unless it was renewed after the renewal of this number.
    EndUnrenewed(ReplicaId, i32),
}

/// The last renewal of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// Rises with each.
    pub number: i32,
    /// For how long, from the sending of it. Zero: it only began.
    pub lease: Duration,
}

/// Leases as the nodes' own conditional writes: a renewal succeeds exactly as long as the life has not been
/// ended, and a life that is ended *unrenewed* was not renewed since the renewal that the leader saw.
#[async_trait]
pub trait Lives: Send + Sync {
    /// Renews a life, for `lease` from the moment of the call. False: it was ended, or never begun.
    async fn renew(&self, life: ReplicaId, lease: Duration) -> Result<bool, MetadataError>;

    /// The last renewals, as they were seen after the call; none for a life that is not there.
    async fn look(&self, lives: &[ReplicaId]) -> Result<Vec<Option<Renewal>>, MetadataError>;

    /// As [`MetadataStore::commit`], together with these changes. [`MetadataError::Conflict`] also when a
    /// life was renewed that was to end unrenewed.
    async fn commit(&self, batch: Batch, changes: &[LifeChange]) -> Result<Committed, MetadataError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_checked() {
        assert_eq!(Batch::new().put("a", "1").expect("b", Expect::Absent).validate(), Ok(()));
        assert!(Batch::new().put("", "1").validate().is_err());
        assert!(Batch::new().delete("k".repeat(KEY_BYTES_MAX + 1)).validate().is_err());
        assert!(Batch::new().put("a", vec![0; BATCH_BYTES_MAX]).validate().is_err());
        let many = (0..=BATCH_OPERATIONS_MAX).fold(Batch::new(), |batch, n| batch.put(n.to_string(), ""));
        assert!(many.validate().is_err());
    }

    #[test]
    fn errors_survive_the_wire() {
        let errors = [
            MetadataError::NotLeader { leader: Some(NodeId(3)) },
            MetadataError::Conflict { key: "k".into(), found: None },
            MetadataError::Fenced { token: LeaderToken { term: 4, node: NodeId(1) } },
            MetadataError::Unknown("?".into()),
        ];
        for error in errors {
            let bytes = postcard::to_stdvec(&error).unwrap();
            assert_eq!(postcard::from_bytes::<MetadataError>(&bytes).unwrap(), error);
        }
    }
}
