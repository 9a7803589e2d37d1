//! What went wrong, as the API and the pages say it: what happened, what is safe, what to do.
//!
//! A status and a `kind` for programs, an `outcome` that tells refused from not
//! known, words for people, and an id that leads to the log.

use super::text::{account_error, client_error, drive_error, words};
use apps::{AccountError, DriveError};
use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use client::ClientError;
use serde::Serialize;
use types::{Action, Classify};
use utoipa::ToSchema;

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Face {
    Json,
    Page,
}

/// Whether it was done all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ProblemOutcome)]
pub(super) enum Outcome {
    NotApplied,
    /// It may have been.
    Unknown,
    /// It was; only what was to follow did not.
    Applied,
}

/// What went wrong.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub status: StatusCode,
    pub kind: &'static str,
    pub message: String,
    pub action: &'static str,
    pub outcome: Outcome,
    /// Seconds.
    pub retry_after: Option<u64>,
    pub id: String,
    face: Face,
}

impl Problem {
    pub fn new(status: StatusCode, kind: &'static str, message: impl Into<String>, action: &'static str) -> Problem {
        let id = format!("{:012x}", rand::random::<u64>() >> 16);
        let message = sentence(message.into());
        let outcome = Outcome::NotApplied;
        Problem { status, kind, message, action, outcome, retry_after: None, id, face: Face::Json }
    }

    /// A request that is wrong in itself.
    pub fn bad_request(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "bad_request", message, words().do_rejected)
    }

    /// Nothing was changed, and it will pass.
    pub fn busy(kind: &'static str, message: impl Into<String>) -> Problem {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, kind, message, words().do_retry);
        Problem { retry_after: Some(1), ..problem }
    }

    /// Shown as a page, to someone without scripts.
    pub fn face(self, face: Face) -> Problem {
        Problem { face, ..self }
    }

    /// As a part of an answer.
    pub fn to_json(&self) -> ErrorJson {
        ErrorJson {
            kind: self.kind,
            message: self.message.clone(),
            action: self.action,
            outcome: self.outcome,
            id: self.id.clone(),
        }
    }

    /// Keeps what the cluster says of itself for the log.
    fn logged(self, error: &dyn std::error::Error) -> Problem {
        tracing::warn!(id = %self.id, kind = self.kind, %error, "a request failed");
        self
    }
}

/// What every refusal says.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemJson {
    error: ErrorJson,
}

/// Why, and whether it may have been done.
#[derive(Serialize, ToSchema)]
#[schema(as = ProblemDetail)]
pub(super) struct ErrorJson {
    /// For programs; never renamed.
    kind: &'static str,
    /// For people.
    message: String,
    /// What to do next, for people.
    action: &'static str,
    outcome: Outcome,
    /// Leads to the log.
    id: String,
}

/// A capital at the beginning, a full stop at the end.
fn sentence(text: String) -> String {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return text };
    let text: String = first.to_uppercase().chain(chars).collect();
    if text.ends_with(['.', '!', '?', '…']) { text } else { text + "." }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, retry_after) = (self.status, self.retry_after);
        let mut response = match self.face {
            Face::Page => super::pages::problem(&self),
            Face::Json => Json(ProblemJson { error: self.to_json() }).into_response(),
        };
        *response.status_mut() = status;
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Problem {
        let internal = |kind| {
            let (status, what) = (StatusCode::INTERNAL_SERVER_ERROR, words().something_failed);
            Problem::new(status, kind, what, words().do_ask_administrator).logged(&error)
        };
        let rejected = |status, kind| Problem::new(status, kind, client_error(&error), words().do_rejected);
        match &error {
            // Addresses of nodes are nothing for everybody's eyes.
            ClientError::Unreachable { .. } | ClientError::Waiting(_) | ClientError::NoLeader(_) => {
                Problem::busy("unavailable", words().unavailable_lead).logged(&error)
            }
            ClientError::Busy => Problem::busy("busy", words().busy),
            ClientError::TooFewReplicas { .. } => Problem::busy("too_few_replicas", client_error(&error)),
            ClientError::Unknown { .. } | ClientError::Uncertain { .. } => {
                let (status, what) = (StatusCode::GATEWAY_TIMEOUT, words().something_failed);
                let problem = Problem::new(status, "unknown_outcome", what, words().do_unknown).logged(&error);
                Problem { outcome: Outcome::Unknown, retry_after: Some(1), ..problem }
            }
            ClientError::NoSpace { .. } => {
                let status = StatusCode::INSUFFICIENT_STORAGE;
                Problem::new(status, "no_space", client_error(&error), words().do_free_space)
            }
            ClientError::Refused(_) => rejected(StatusCode::CONFLICT, "refused"),
            ClientError::Invalid(_) => rejected(StatusCode::BAD_REQUEST, "bad_request"),
            ClientError::Source(_) => {
                Problem::new(StatusCode::BAD_REQUEST, "incomplete", words().too_short, words().do_retry)
            }
            ClientError::NotOffered(_) => rejected(StatusCode::NOT_IMPLEMENTED, "not_offered"),
            ClientError::Denied(_) => rejected(StatusCode::FORBIDDEN, "forbidden"),
            ClientError::Damaged(_) | ClientError::NoSuchBlock(_) => internal("damaged"),
            ClientError::NoSuchTable(_) | ClientError::TableExists(_) | ClientError::Compacted => internal("internal"),
        }
    }
}

impl From<DriveError> for Problem {
    fn from(error: DriveError) -> Problem {
        let say = |status, kind, action| Problem::new(status, kind, drive_error(&error), action);
        let conflict = |kind, action| say(StatusCode::CONFLICT, kind, action);
        match error {
            DriveError::Client(error) => error.into(),
            DriveError::NoSuchUpload { .. } => say(StatusCode::NOT_FOUND, "no_such_upload", words().do_look_again),
            DriveError::NotInTrash | DriveError::NoSuchVersion { .. } | DriveError::NoSuchJob => {
                say(StatusCode::NOT_FOUND, "not_found", words().do_look_again)
            }
            DriveError::NotFound { .. } => say(StatusCode::NOT_FOUND, "not_found", words().do_look_again),
            DriveError::Exists { .. } => conflict("exists", words().do_choose_name),
            DriveError::NotAFolder { .. } => conflict("not_a_folder", words().do_look_again),
            DriveError::IsAFolder { .. } => conflict("is_a_folder", words().do_look_again),
            DriveError::NotEmpty { .. } => conflict("not_empty", words().do_look_again),
            DriveError::Cycle { .. } => conflict("cycle", words().do_rejected),
            DriveError::FolderFull { .. } => conflict("folder_full", words().do_rejected),
            DriveError::Changed { .. } => say(StatusCode::PRECONDITION_FAILED, "changed", words().do_look_again),
            DriveError::BadName { .. } => say(StatusCode::BAD_REQUEST, "bad_name", words().do_choose_name),
            DriveError::BadPath { .. } => say(StatusCode::BAD_REQUEST, "bad_path", words().do_rejected),
            DriveError::Held { .. } => say(StatusCode::FORBIDDEN, "held", words().do_rejected),
            DriveError::Locked { .. } | DriveError::LockedDrive => {
                say(StatusCode::FORBIDDEN, "locked", words().do_rejected)
            }
            DriveError::NotHeld => say(StatusCode::NOT_FOUND, "not_held", words().do_look_again),
            DriveError::NoSuchLink => say(StatusCode::NOT_FOUND, "no_such_link", words().do_look_again),
            DriveError::LinkOver => say(StatusCode::GONE, "link_over", words().do_ask_sender),
            DriveError::LinkFull => say(StatusCode::INSUFFICIENT_STORAGE, "link_full", words().do_ask_sender),
            DriveError::LinkBusy { .. } => {
                Problem { retry_after: Some(5), ..Problem::busy("link_busy", drive_error(&error)) }
            }
            DriveError::TooManyLinks { .. } | DriveError::TooManyStars { .. } => {
                conflict("too_many_of_these", words().do_rejected)
            }
            DriveError::BadCursor => say(StatusCode::BAD_REQUEST, "bad_cursor", words().do_look_again),
            DriveError::Invalid(_) => say(StatusCode::BAD_REQUEST, "bad_request", words().do_rejected),
            DriveError::Quota { .. } => say(StatusCode::INSUFFICIENT_STORAGE, "quota", words().do_free_space),
            DriveError::Conflict { .. } => Problem::busy("contended", drive_error(&error)),
            DriveError::Damaged(_) => {
                let (status, what) = (StatusCode::INTERNAL_SERVER_ERROR, words().something_failed);
                Problem::new(status, "damaged", what, words().do_ask_administrator).logged(&error)
            }
        }
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Problem {
        let say = |status, kind| Problem::new(status, kind, account_error(&error), words().do_rejected);
        match error {
            AccountError::Client(error) => error.into(),
            AccountError::NotSignedIn => super::session::not_signed_in(),
            AccountError::WrongCredentials => say(StatusCode::UNAUTHORIZED, "wrong_credentials"),
            AccountError::TooManyTries { wait } => {
                Problem { retry_after: Some(wait.as_secs().max(1)), ..say(StatusCode::TOO_MANY_REQUESTS, "too_many") }
            }
            AccountError::CodeNeeded { .. } => say(StatusCode::UNAUTHORIZED, "code_needed"),
            AccountError::WrongCode => say(StatusCode::BAD_REQUEST, "wrong_code"),
            AccountError::ChallengeOver => say(StatusCode::FORBIDDEN, "challenge_over"),
            AccountError::CodeUsed => Problem { action: "", ..say(StatusCode::CONFLICT, "code_used") },
            AccountError::DoneSignIn => {
                let problem = say(StatusCode::CONFLICT, "done_sign_in");
                Problem { outcome: Outcome::Applied, action: "", ..problem }
            }
            AccountError::WrongAppPassword => say(StatusCode::UNAUTHORIZED, "wrong_credentials"),
            AccountError::SignUpOff => say(StatusCode::FORBIDDEN, "sign_up_off"),
            AccountError::InvitationNeeded => say(StatusCode::FORBIDDEN, "invitation_needed"),
            AccountError::AccountsFull => say(StatusCode::CONFLICT, "accounts_full"),
            AccountError::WrongLink => say(StatusCode::NOT_FOUND, "wrong_link"),
            AccountError::NotFound { .. } => say(StatusCode::NOT_FOUND, "not_found"),
            AccountError::TooMany { .. } => say(StatusCode::CONFLICT, "too_many_of_these"),
            AccountError::FactorOn => say(StatusCode::CONFLICT, "second_factor_on"),
            AccountError::FactorOff => say(StatusCode::CONFLICT, "second_factor_off"),
            AccountError::NothingToConfirm => say(StatusCode::CONFLICT, "nothing_to_confirm"),
            AccountError::BadName { .. } => say(StatusCode::BAD_REQUEST, "bad_name"),
            AccountError::BadPassword { .. } => say(StatusCode::BAD_REQUEST, "bad_password"),
            AccountError::Forbidden { .. } => say(StatusCode::FORBIDDEN, "forbidden"),
            AccountError::WrongSetupSecret => say(StatusCode::FORBIDDEN, "wrong_setup_secret"),
            AccountError::NoSuchUser { .. } => say(StatusCode::NOT_FOUND, "not_found"),
            AccountError::OwnAccount { .. } => say(StatusCode::CONFLICT, "own_account"),
            AccountError::NoMember { .. } => say(StatusCode::NOT_FOUND, "not_found"),
            AccountError::MemberAlready { .. } => say(StatusCode::CONFLICT, "member_already"),
            AccountError::LastManager { .. } => say(StatusCode::CONFLICT, "last_manager"),
            AccountError::DriveRole { .. } => say(StatusCode::FORBIDDEN, "forbidden"),
            AccountError::NameTaken { .. } => say(StatusCode::CONFLICT, "name_taken"),
            AccountError::SetupDone => say(StatusCode::CONFLICT, "setup_done"),
            AccountError::LastAdministrator => say(StatusCode::CONFLICT, "last_administrator"),
            AccountError::NoRelay => say(StatusCode::CONFLICT, "no_relay"),
            AccountError::MailNotSent { .. } => say(StatusCode::BAD_GATEWAY, "mail_not_sent"),
            AccountError::Damaged(_) => {
                let (status, what) = (StatusCode::INTERNAL_SERVER_ERROR, words().something_failed);
                Problem::new(status, "damaged", what, words().do_ask_administrator).logged(&error)
            }
            _ if error.action() == Action::Retry => Problem::busy("busy", account_error(&error)),
            _ => say(StatusCode::BAD_REQUEST, "bad_request"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{NodeId, OperationId, Refusal};

    #[test]
    fn refused_and_not_known_are_kept_apart() {
        let operation = OperationId::from_bytes(&[1; 32]);
        let unknown = [
            ClientError::Unknown { operation, why: "w".into() },
            ClientError::Uncertain { what: "w".into(), why: "w".into() },
        ];
        for error in unknown {
            let problem = Problem::from(DriveError::Client(error));
            assert!(problem.outcome == Outcome::Unknown && problem.status == StatusCode::GATEWAY_TIMEOUT);
        }
        let again = [
            ClientError::Unreachable { tried: vec!["10.0.0.1:7071".into()], why: "w".into() },
            ClientError::Busy,
            ClientError::TooFewReplicas { have: 1, need: 2 },
        ];
        for error in again {
            let problem = Problem::from(DriveError::Client(error));
            assert!(problem.outcome == Outcome::NotApplied && problem.retry_after.is_some());
            assert!(!problem.message.contains("10.0.0.1"));
            assert_eq!(problem.status, StatusCode::SERVICE_UNAVAILABLE);
        }
        let refused = [
            (ClientError::NoSpace { node: NodeId(1) }, 507),
            (ClientError::Refused(Refusal::Fenced), 409),
            (ClientError::Source("s".into()), 400),
        ];
        for (error, status) in refused {
            let problem = Problem::from(DriveError::Client(error));
            assert_eq!((problem.outcome, problem.retry_after), (Outcome::NotApplied, None));
            assert_eq!(problem.status.as_u16(), status);
        }
    }

    #[test]
    fn what_was_done_is_not_said_to_be_undone() {
        let problem = Problem::from(AccountError::DoneSignIn);
        let json = serde_json::to_value(problem.to_json()).unwrap();
        assert_eq!((json["outcome"].as_str(), json["action"].as_str()), (Some("applied"), Some("")));
        assert_eq!(Problem::from(AccountError::CodeUsed).action, "");
    }

    #[test]
    fn messages_are_sentences() {
        assert_eq!(sentence("there is nothing at /a".into()), "There is nothing at /a.");
        assert_eq!(sentence("Wait…".into()), "Wait…");
        assert_eq!(sentence(String::new()), "");
    }
}
