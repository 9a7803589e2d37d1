//! What can go wrong, said to people.

use super::gateways::{Gateway, NoLink};
use rpc::grpc::{Malformed, Problem, kind};
use std::sync::Arc;
use types::{Action, BlockHash, Classify, OperationId, Refusal};

/// What goes on with a sign-in that needs a code. A secret: it is not in what is logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Challenge(pub String);

impl std::fmt::Debug for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Challenge(…)")
    }
}

/// Why a call through a gateway did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// No gateway answered. Nothing was changed.
    #[error("no gateway could be reached (tried {}): {why}", listed(tried))]
    Unreachable {
        /// Addresses tried.
        tried: Vec<String>,
        /// The last thing heard.
        why: String,
    },
    /// Gateways answered, and none of them can serve: most of the cluster's machines are away. Nothing was changed.
    #[error("the cluster cannot serve now: {why} (answering: {}; silent: {})", listed(answering), listed(silent))]
    NotServing {
        /// Who answered.
        answering: Vec<String>,
        /// Who did not.
        silent: Vec<String>,
        /// What those who answered say.
        why: String,
    },
    /// What was asked for is held by machines that are down, and by no other. Nothing was changed.
    #[error("{0}")]
    Waiting(String),
    /// At the addresses that are known answers a cluster that is not the one that is meant. It was shown nothing.
    #[error("at {0} answers another cluster than the one that you signed in to")]
    WrongCluster(String),
    /// There is no session, or it has ended.
    #[error("not signed in, or the session has ended")]
    SignedOut,
    /// Name and password do not fit.
    #[error("{0}")]
    WrongPassword(String),
    /// The password was right, and a code of the second factor is needed.
    #[error("a code of your second factor is needed")]
    CodeNeeded {
        /// For [`super::Remote::sign_in_with_code`]. A secret.
        challenge: Challenge,
    },
    /// What was asked for is done; only the session that was to follow it was not begun.
    #[error("{0}")]
    DoneSignIn(String),
    /// Not allowed.
    #[error("{0}")]
    Denied(String),
    /// A transaction was refused: surely not applied.
    #[error(transparent)]
    Refused(Refusal),
    /// No such file or folder.
    #[error("{0}")]
    NotFound(String),
    /// Something of that name is there already.
    #[error("{0}")]
    Exists(String),
    /// The file is not, or no longer, the version that was asked for.
    #[error("{0}")]
    Changed(String),
    /// The folder is not empty.
    #[error("{0}")]
    NotEmpty(String),
    /// No such table.
    #[error("{0}")]
    NoSuchTable(String),
    /// A table of that name is there already.
    #[error("{0}")]
    TableExists(String),
    /// Too few replicas for the promise that a write makes. Nothing was written.
    #[error("{0}")]
    TooFewReplicas(String),
    /// A disk is full. Nothing was written.
    #[error("{0}")]
    NoSpace(String),
    /// The drive is full. Nothing was written.
    #[error("{0}")]
    NoRoom(String),
    /// The cluster could not answer now. Nothing was written.
    #[error("{0}")]
    Busy(String),
    /// Too much asked for, or too often.
    #[error("{0}")]
    TooMany(String),
    /// The request itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// Planned, and not there yet.
    #[error("{0}")]
    NotOffered(String),
    /// The history asked for is gone: read again, then watch from now.
    #[error("{0}")]
    Compacted(String),
    /// Blocks of an upload are not there any more: upload again, only those are sent.
    #[error("{0}")]
    BlocksMissing(String),
    /// No node that could be reached gave an intact copy of a block.
    #[error("block {hash} could not be read intact from any node: {why}")]
    Damaged {
        /// Which block.
        hash: BlockHash,
        /// The last thing heard.
        why: String,
    },
    /// The write may or may not have been applied.
    #[error("it is not known whether the change was made{}: {why}", named(operation))]
    Unknown {
        /// For [`super::Remote::verify`], when the write has one.
        operation: Option<OperationId>,
        /// What made it so.
        why: String,
    },
    /// Reading the source or writing the target on this machine failed.
    #[error("on this machine: {0}")]
    Local(#[from] std::io::Error),
    /// A gateway's answer makes no sense to this release.
    #[error("a gateway answered what this release does not understand: {0}")]
    Protocol(String),
    /// Something is wrong in the cluster.
    #[error("{0}")]
    Internal(String),
}

fn listed(addresses: &[String]) -> String {
    if addresses.is_empty() { "none".to_string() } else { addresses.join(", ") }
}

impl RemoteError {
    /// No gateway gave a connection to use.
    pub(super) fn nobody(order: &[Arc<Gateway>], failed: Vec<(String, NoLink)>) -> RemoteError {
        let of = |wanted: fn(&NoLink) -> bool| -> Vec<String> {
            failed.iter().filter(|(_, why)| wanted(why)).map(|(address, _)| address.clone()).collect()
        };
        if let Some((_, NoLink::Idle(why))) = failed.iter().find(|(_, why)| matches!(why, NoLink::Idle(_))) {
            let answering = of(|why| matches!(why, NoLink::Idle(_)));
            let all = order.iter().map(|gateway| gateway.address().to_string());
            let silent = all.filter(|address| !answering.contains(address)).collect();
            return RemoteError::NotServing { answering, silent, why: why.clone() };
        }
        let foreign = of(|why| *why == NoLink::Foreign);
        if !foreign.is_empty() && foreign.len() == order.len() {
            return RemoteError::WrongCluster(foreign.join(", "));
        }
        let why: Vec<String> = match failed.as_slice() {
            [(_, why)] => vec![why.why().to_string()],
            several => several.iter().map(|(address, why)| format!("{address}: {}", why.why())).collect(),
        };
        let tried = failed.into_iter().map(|(address, _)| address).collect();
        RemoteError::Unreachable { tried, why: why.join("; ") }
    }
}

impl RemoteError {
    /// Why it is not known what became of an attempt that ended like that, when this was heard afterwards.
    pub(super) fn after(&self, why: String) -> String {
        match self {
            RemoteError::NotServing { .. } => format!("{why}; since then {self}"),
            _ => why,
        }
    }
}

fn named(operation: &Option<OperationId>) -> String {
    operation.map(|operation| format!(" (operation {operation})")).unwrap_or_default()
}

impl Classify for RemoteError {
    fn action(&self) -> Action {
        match self {
            RemoteError::Unreachable { .. }
            | RemoteError::NotServing { .. }
            | RemoteError::Waiting(_)
            | RemoteError::Busy(_) => Action::Retry,
            RemoteError::Unknown { .. } => Action::Unknown,
            RemoteError::WrongCluster(_)
            | RemoteError::SignedOut
            | RemoteError::WrongPassword(_)
            | RemoteError::CodeNeeded { .. }
            | RemoteError::DoneSignIn(_)
            | RemoteError::Denied(_)
            | RemoteError::Refused(_)
            | RemoteError::NotFound(_)
            | RemoteError::Exists(_)
            | RemoteError::Changed(_)
            | RemoteError::NotEmpty(_)
            | RemoteError::NoSuchTable(_)
            | RemoteError::TableExists(_)
            | RemoteError::TooFewReplicas(_)
            | RemoteError::NoSpace(_)
            | RemoteError::NoRoom(_)
            | RemoteError::TooMany(_)
            | RemoteError::Invalid(_)
            | RemoteError::NotOffered(_)
            | RemoteError::Compacted(_)
            | RemoteError::BlocksMissing(_)
            | RemoteError::Damaged { .. }
            | RemoteError::Local(_)
            | RemoteError::Protocol(_)
            | RemoteError::Internal(_) => Action::Rejected,
        }
    }
}

impl From<Malformed> for RemoteError {
    fn from(malformed: Malformed) -> RemoteError {
        RemoteError::Protocol(malformed.0)
    }
}

impl From<Problem> for RemoteError {
    /// By action first: whatever the kind, *unknown* stays unknown, and nothing else becomes it.
    fn from(problem: Problem) -> RemoteError {
        let text = problem.message;
        if problem.action == Action::Unknown {
            return RemoteError::Unknown { operation: problem.operation, why: text };
        }
        if let Some(refusal) = problem.refusal {
            return RemoteError::Refused(*refusal);
        }
        match problem.kind.as_str() {
            kind::WAITING => RemoteError::Waiting(text),
            kind::SIGNED_OUT => RemoteError::SignedOut,
            kind::WRONG_PASSWORD | kind::WRONG_CODE => RemoteError::WrongPassword(text),
            kind::DONE_SIGN_IN => RemoteError::DoneSignIn(text),
            kind::DENIED => RemoteError::Denied(text),
            kind::NOT_FOUND => RemoteError::NotFound(text),
            kind::EXISTS => RemoteError::Exists(text),
            kind::CHANGED => RemoteError::Changed(text),
            kind::NOT_EMPTY => RemoteError::NotEmpty(text),
            kind::NO_SUCH_TABLE => RemoteError::NoSuchTable(text),
            kind::TABLE_EXISTS => RemoteError::TableExists(text),
            kind::TOO_FEW_REPLICAS => RemoteError::TooFewReplicas(text),
            kind::NO_SPACE => RemoteError::NoSpace(text),
            kind::NO_ROOM => RemoteError::NoRoom(text),
            kind::TOO_MANY => RemoteError::TooMany(text),
            kind::INVALID => RemoteError::Invalid(text),
            kind::NOT_OFFERED => RemoteError::NotOffered(text),
            kind::COMPACTED => RemoteError::Compacted(text),
            kind::BLOCKS_MISSING => RemoteError::BlocksMissing(text),
            _ => match problem.action {
                Action::Retry | Action::RefreshLayout => RemoteError::Busy(text),
                _ => RemoteError::Internal(text),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_stays_unknown_and_nothing_else_becomes_it() {
        let operation = OperationId::from_bytes(&[3; 32]);
        let error = RemoteError::from(Problem::unknown(Some(operation), "the head was lost"));
        assert_eq!(error.action(), Action::Unknown);
        assert!(error.to_string().contains(&operation.to_string()));
        for action in [Action::Retry, Action::RefreshLayout, Action::Rejected, Action::Fatal] {
            for kind in [kind::UNKNOWN_OUTCOME, kind::BUSY, kind::EXISTS, "a kind of a newer release"] {
                let error = RemoteError::from(Problem::new(tonic::Code::Aborted, action, kind, "…"));
                assert_ne!(error.action(), Action::Unknown, "{action:?} {kind}");
            }
        }
    }
}
