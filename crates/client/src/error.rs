//! What can go wrong, said to people: what happened, what is safe, what to do next.

use types::{Action, BlockHash, Classify, NodeId, OperationId, Refusal};

/// Why a request was not answered as hoped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// No node that could answer did, in the time allowed. If it was a write, nothing was written.
    #[error("no node could answer{}: {why}", tried_text(tried))]
    Unreachable {
        /// Addresses asked.
        tried: Vec<String>,
        /// The last thing heard.
        why: String,
    },
    /// A partition is served by nobody, for machines are down that alone hold what was acknowledged last. If it was a
    /// write, nothing was written.
    #[error("{0}")]
    Waiting(String),
    /// Surely not applied, by the rules of the transaction itself.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too few replicas for the promise that a write makes. Nothing was written.
    #[error(
        "only {have} of the {need} replicas that a write needs are in service; nothing was written, reads go on. \
         Bring a node back, or see `atoll cluster status`"
    )]
    TooFewReplicas {
        /// Replicas in the chain.
        have: u8,
        /// Replicas that a write needs.
        need: u8,
    },
    /// A disk is full. Nothing was written.
    #[error("no space left on node {node}; nothing was written, deletes still work")]
    NoSpace {
        /// Whose disk.
        node: NodeId,
    },
    /// No such table.
    #[error("there is no table {0}")]
    NoSuchTable(String),
    /// A table of that name is there already.
    #[error("there is a table {0} already")]
    TableExists(String),
    /// The request itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The cluster has too much to do. Nothing was written.
    #[error("the cluster is busy; nothing was written, try again shortly")]
    Busy,
    /// The write may or may not have been applied.
    #[error(
        "it is not known whether the write was applied: {why}. \
         Sending operation {operation} again is harmless, and `atoll kv verify` tells its outcome"
    )]
    Unknown {
        /// Its id, for `verify` and for sending it again.
        operation: OperationId,
        /// What made it so.
        why: String,
    },
    /// An act without an operation id (making or deleting a table, a join token) may or may not have been done.
    #[error("it is not known whether {what}: {why}. Look before doing it again")]
    Uncertain {
        /// What may have been done.
        what: String,
        /// What made it so.
        why: String,
    },
    /// No good copy of the block is left on any holder.
    #[error("block {0} is damaged: every holder answered, and none has a good copy")]
    Damaged(BlockHash),
    /// Every holder answered that it has no such block.
    #[error("there is no block {0}")]
    NoSuchBlock(BlockHash),
    /// The history asked for is gone: read again, then watch from now.
    #[error("the history asked for is no longer kept: read again, then watch from now")]
    Compacted,
    /// Planned, and not there yet.
    #[error("{0} is not offered yet")]
    NotOffered(String),
    /// The control plane has no leader. Reads and writes of data go on while leases last.
    #[error("the cluster's control plane has no leader now: {0}. Nothing was changed; try again shortly")]
    NoLeader(String),
    /// Not allowed.
    #[error("{0}")]
    Denied(String),
    /// The source of an upload failed.
    #[error("the data to be stored could not be read: {0}. Nothing was stored under a name")]
    Source(String),
}

fn tried_text(tried: &[String]) -> String {
    if tried.is_empty() { String::new() } else { format!(" (asked {})", tried.join(", ")) }
}

impl Classify for ClientError {
    fn action(&self) -> Action {
        match self {
            ClientError::Unreachable { .. }
            | ClientError::Waiting(_)
            | ClientError::Busy
            | ClientError::NoLeader(_) => Action::Retry,
            ClientError::Unknown { .. } | ClientError::Uncertain { .. } => Action::Unknown,
            ClientError::Refused(_)
            | ClientError::TooFewReplicas { .. }
            | ClientError::NoSpace { .. }
            | ClientError::NoSuchTable(_)
            | ClientError::TableExists(_)
            | ClientError::Invalid(_)
            | ClientError::Damaged(_)
            | ClientError::NoSuchBlock(_)
            | ClientError::Compacted
            | ClientError::NotOffered(_)
            | ClientError::Denied(_)
            | ClientError::Source(_) => Action::Rejected,
        }
    }
}
