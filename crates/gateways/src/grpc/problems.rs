//! What went wrong below, as the API says it.

use apps::{AccountError, DriveError};
use client::ClientError;
use rpc::grpc::{Malformed, Problem, kind};
use tonic::{Code, Status};
use types::{Action, Classify};

/// An error that has a place in the API.
pub(super) trait Explain: Sized {
    /// As the API says it.
    fn problem(self) -> Problem;
}

/// For `map_err`.
pub(super) fn status(error: impl Explain) -> Status {
    error.problem().to_status()
}

/// A request that is wrong in itself.
pub(super) fn invalid(text: impl Into<String>) -> Status {
    Problem::from(Malformed::new(text)).to_status()
}

impl Explain for Malformed {
    fn problem(self) -> Problem {
        self.into()
    }
}

impl Explain for Problem {
    fn problem(self) -> Problem {
        self
    }
}

impl Explain for ClientError {
    fn problem(self) -> Problem {
        let text = self.to_string();
        let rejected = |code, kind| Problem::rejected(code, kind, text.clone());
        match self {
            ClientError::Unreachable { .. } | ClientError::NoLeader(_) => Problem::retry(kind::UNREACHABLE, text),
            ClientError::Waiting(_) => Problem::retry(kind::WAITING, text),
            ClientError::Busy => Problem::retry(kind::BUSY, text),
            ClientError::Unknown { operation, why } => Problem::unknown(Some(operation), why),
            ClientError::Uncertain { what, why } => Problem::unknown(None, format!("whether {what}: {why}")),
            ClientError::Refused(refusal) => Problem::refused(refusal),
            ClientError::TooFewReplicas { .. } => rejected(Code::FailedPrecondition, kind::TOO_FEW_REPLICAS),
            ClientError::NoSpace { .. } => rejected(Code::ResourceExhausted, kind::NO_SPACE),
            ClientError::NoSuchTable(_) => rejected(Code::NotFound, kind::NO_SUCH_TABLE),
            ClientError::TableExists(_) => rejected(Code::AlreadyExists, kind::TABLE_EXISTS),
            ClientError::Invalid(_) | ClientError::Source(_) => rejected(Code::InvalidArgument, kind::INVALID),
            ClientError::Damaged(_) => rejected(Code::DataLoss, kind::DAMAGED),
            ClientError::NoSuchBlock(_) => rejected(Code::NotFound, kind::NOT_FOUND),
            ClientError::Compacted => rejected(Code::OutOfRange, kind::COMPACTED),
            ClientError::NotOffered(_) => rejected(Code::Unimplemented, kind::NOT_OFFERED),
            ClientError::Denied(_) => rejected(Code::PermissionDenied, kind::DENIED),
        }
    }
}

impl Explain for AccountError {
    fn problem(self) -> Problem {
        let text = self.to_string();
        let action = self.action();
        let rejected = |code, kind| Problem::rejected(code, kind, text.clone());
        match self {
            AccountError::Client(error) => error.problem(),
            AccountError::WrongCredentials => rejected(Code::Unauthenticated, kind::WRONG_PASSWORD),
            AccountError::WrongAppPassword => rejected(Code::Unauthenticated, kind::WRONG_PASSWORD),
            AccountError::WrongCode | AccountError::ChallengeOver | AccountError::CodeUsed => {
                rejected(Code::Unauthenticated, kind::WRONG_CODE)
            }
            AccountError::DoneSignIn => rejected(Code::FailedPrecondition, kind::DONE_SIGN_IN),
            AccountError::NoSuchUser { .. } | AccountError::NotFound { .. } | AccountError::WrongLink => {
                rejected(Code::NotFound, kind::NOT_FOUND)
            }
            AccountError::NoMember { .. } => rejected(Code::NotFound, kind::NOT_FOUND),
            AccountError::DriveRole { .. } => rejected(Code::PermissionDenied, kind::DENIED),
            AccountError::LastManager { .. } => rejected(Code::FailedPrecondition, kind::INVALID),
            AccountError::NameTaken { .. } | AccountError::MemberAlready { .. } => {
                rejected(Code::AlreadyExists, kind::EXISTS)
            }
            AccountError::SignUpOff | AccountError::InvitationNeeded => rejected(Code::PermissionDenied, kind::DENIED),
            AccountError::TooMany { .. } | AccountError::AccountsFull => {
                rejected(Code::ResourceExhausted, kind::TOO_MANY)
            }
            AccountError::NoRelay | AccountError::MailNotSent { .. } => {
                rejected(Code::FailedPrecondition, kind::INVALID)
            }
            AccountError::NotSignedIn => super::guard::signed_out(),
            AccountError::TooManyTries { .. } => rejected(Code::ResourceExhausted, kind::TOO_MANY),
            AccountError::OwnAccount { .. } => rejected(Code::FailedPrecondition, kind::INVALID),
            AccountError::Forbidden { .. } => rejected(Code::PermissionDenied, kind::DENIED),
            AccountError::Damaged(_) => rejected(Code::Internal, kind::INTERNAL),
            _ if action == Action::Retry => Problem::retry(kind::BUSY, text),
            _ => rejected(Code::InvalidArgument, kind::INVALID),
        }
    }
}

impl Explain for DriveError {
    fn problem(self) -> Problem {
        let text = self.to_string();
        let action = self.action();
        let rejected = |code, kind| Problem::rejected(code, kind, text.clone());
        match self {
            DriveError::Client(error) => error.problem(),
            DriveError::NotFound { .. }
            | DriveError::NotInTrash
            | DriveError::NoSuchVersion { .. }
            | DriveError::NoSuchLink
            | DriveError::NotHeld
            | DriveError::LinkOver
            | DriveError::NoSuchUpload { .. }
            | DriveError::NoSuchJob => rejected(Code::NotFound, kind::NOT_FOUND),
            DriveError::Held { .. } | DriveError::Locked { .. } | DriveError::LockedDrive => {
                rejected(Code::PermissionDenied, kind::DENIED)
            }
            DriveError::Exists { .. } => rejected(Code::AlreadyExists, kind::EXISTS),
            DriveError::NotEmpty { .. } => rejected(Code::FailedPrecondition, kind::NOT_EMPTY),
            DriveError::Changed { .. } => rejected(Code::FailedPrecondition, kind::CHANGED),
            DriveError::Quota { .. }
            | DriveError::LinkFull
            | DriveError::LinkBusy { .. }
            | DriveError::TooManyLinks { .. }
            | DriveError::TooManyStars { .. } => rejected(Code::ResourceExhausted, kind::NO_ROOM),
            DriveError::Damaged(_) => rejected(Code::Internal, kind::INTERNAL),
            _ if action == Action::Retry => Problem::retry(kind::BUSY, text),
            _ => rejected(Code::InvalidArgument, kind::INVALID),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{BlockHash, NodeId, OperationId, Refusal};

    /// The one thing that must survive every translation: what can be done about it.
    #[test]
    fn translation_keeps_the_action() {
        let operation = OperationId::from_bytes(&[1; 32]);
        let errors = [
            ClientError::Unreachable { tried: vec!["a".into()], why: "b".into() },
            ClientError::Waiting("w".into()),
            ClientError::Refused(Refusal::Fenced),
            ClientError::TooFewReplicas { have: 1, need: 2 },
            ClientError::NoSpace { node: NodeId(1) },
            ClientError::NoSuchTable("t".into()),
            ClientError::TableExists("t".into()),
            ClientError::Invalid("i".into()),
            ClientError::Busy,
            ClientError::Unknown { operation, why: "w".into() },
            ClientError::Uncertain { what: "w".into(), why: "w".into() },
            ClientError::Damaged(BlockHash([0; 32])),
            ClientError::NoSuchBlock(BlockHash([0; 32])),
            ClientError::Compacted,
            ClientError::NotOffered("n".into()),
            ClientError::NoLeader("n".into()),
            ClientError::Denied("d".into()),
            ClientError::Source("s".into()),
        ];
        for error in errors {
            let action = error.action();
            let account = AccountError::Client(error.clone());
            let drive = DriveError::Client(error.clone());
            assert_eq!((account.action(), drive.action()), (action, action));
            for status in [status(error.clone()), status(account), status(drive)] {
                let heard = Problem::from_status(&status);
                assert_eq!(heard.map(|problem| problem.action), Some(action), "{error:?}");
            }
        }
        let path = || "/a".to_string();
        for error in
            [DriveError::Conflict { path: path() }, DriveError::NotFound { path: path() }, DriveError::BadCursor]
        {
            assert_eq!(error.clone().problem().action, error.action(), "{error:?}");
        }
        for error in
            [AccountError::Busy, AccountError::Conflict, AccountError::WrongCredentials, AccountError::DoneSignIn]
        {
            assert_eq!(error.clone().problem().action, error.action(), "{error:?}");
        }
    }

    #[test]
    fn an_unknown_outcome_names_its_operation() {
        let operation = OperationId::from_bytes(&[7; 32]);
        let problem = ClientError::Unknown { operation, why: "w".into() }.problem();
        assert_eq!(problem.operation, Some(operation));
        assert_eq!(problem.code, Code::DeadlineExceeded);
    }
}
