//! How an error travels: a canonical gRPC code, a text for people, and an
//! [`v1::ErrorDetail`] for programs, as the one detail of a `google.rpc.Status`.

use super::{Malformed, v1, values};
use bytes::Bytes;
use prost::Message;
use tonic::{Code, Status};
use types::{Action, OperationId, Refusal};

/// Names of what can happen, in `ErrorDetail.kind`. Never renamed.
#[allow(missing_docs)]
pub mod kind {
    pub const CONDITION_FAILED: &str = "condition_failed";
    pub const COUNTER_OUT_OF_BOUNDS: &str = "counter_out_of_bounds";
    pub const NOT_A_COUNTER: &str = "not_a_counter";
    pub const OPERATION_REUSED: &str = "operation_reused";
    pub const OPERATION_EXPIRED: &str = "operation_expired";
    pub const OPERATION_FENCED: &str = "operation_fenced";
    pub const INVALID: &str = "invalid";
    pub const NO_SUCH_TABLE: &str = "no_such_table";
    pub const TABLE_EXISTS: &str = "table_exists";
    pub const NOT_FOUND: &str = "not_found";
    pub const EXISTS: &str = "exists";
    pub const CHANGED: &str = "changed";
    pub const NOT_EMPTY: &str = "not_empty";
    pub const NO_ROOM: &str = "no_room";
    pub const BLOCKS_MISSING: &str = "blocks_missing";
    pub const TOO_FEW_REPLICAS: &str = "too_few_replicas";
    pub const NO_SPACE: &str = "no_space";
    pub const BUSY: &str = "busy";
    pub const UNREACHABLE: &str = "unreachable";
    pub const WAITING: &str = "waiting";
    pub const UNKNOWN_OUTCOME: &str = "unknown_outcome";
    pub const DAMAGED: &str = "damaged";
    pub const COMPACTED: &str = "compacted";
    pub const NOT_OFFERED: &str = "not_offered";
    pub const SIGNED_OUT: &str = "signed_out";
    pub const WRONG_PASSWORD: &str = "wrong_password";
    pub const WRONG_CODE: &str = "wrong_code";
    pub const DONE_SIGN_IN: &str = "done_sign_in";
    pub const DENIED: &str = "denied";
    pub const TOO_MANY: &str = "too_many";
    pub const INTERNAL: &str = "internal";
}

/// Bytes of text in an error: status and detail travel in HTTP/2 headers, whose
/// size clients limit, and the text is in them twice.
const MESSAGE_BYTES_MAX: usize = 1024;

const DETAIL_TYPE: &str = "type.googleapis.com/atoll.v1.ErrorDetail";

/// The wire form of `google.rpc.Status`, which is what programs of other
/// languages expect to find in a status's details.
#[derive(Clone, PartialEq, Message)]
struct WireStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<WireAny>,
}

/// The wire form of `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct WireAny {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// An error of `atoll.v1`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// For programs that know gRPC only.
    pub code: Code,
    /// What can be done about it.
    pub action: Action,
    /// What happened, one of [`kind`].
    pub kind: String,
    /// What happened, for people.
    pub message: String,
    /// The write that it is about.
    pub operation: Option<OperationId>,
    /// Why a transaction was refused. Boxed, so that results stay small.
    pub refusal: Option<Box<Refusal>>,
}

impl types::Classify for Problem {
    fn action(&self) -> Action {
        self.action
    }
}

impl From<Malformed> for Problem {
    fn from(malformed: Malformed) -> Problem {
        Problem::rejected(Code::InvalidArgument, kind::INVALID, malformed.0)
    }
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Status {
        problem.to_status()
    }
}

impl Problem {
    /// An error with that action.
    pub fn new(code: Code, action: Action, kind: &str, message: impl Into<String>) -> Problem {
        let message = message.into();
        Problem { code, action, kind: kind.to_string(), message, operation: None, refusal: None }
    }

    /// Surely not applied, and sending it again will not help.
    pub fn rejected(code: Code, kind: &str, message: impl Into<String>) -> Problem {
        Problem::new(code, Action::Rejected, kind, message)
    }

    /// Surely not applied, and likely to pass.
    pub fn retry(kind: &str, message: impl Into<String>) -> Problem {
        Problem::new(Code::Unavailable, Action::Retry, kind, message)
    }

    /// May have been applied. `DEADLINE_EXCEEDED` is gRPC's own code for that.
    pub fn unknown(operation: Option<OperationId>, message: impl Into<String>) -> Problem {
        let problem = Problem::new(Code::DeadlineExceeded, Action::Unknown, kind::UNKNOWN_OUTCOME, message);
        Problem { operation, ..problem }
    }

    /// A transaction was refused.
    pub fn refused(refusal: Refusal) -> Problem {
        let (code, kind) = match &refusal {
            Refusal::Condition { .. } => (Code::FailedPrecondition, kind::CONDITION_FAILED),
            Refusal::Bounds { .. } => (Code::FailedPrecondition, kind::COUNTER_OUT_OF_BOUNDS),
            Refusal::NotACounter { .. } => (Code::FailedPrecondition, kind::NOT_A_COUNTER),
            Refusal::OperationReused => (Code::FailedPrecondition, kind::OPERATION_REUSED),
            Refusal::OperationExpired => (Code::FailedPrecondition, kind::OPERATION_EXPIRED),
            Refusal::Fenced => (Code::FailedPrecondition, kind::OPERATION_FENCED),
            Refusal::Invalid(_) => (Code::InvalidArgument, kind::INVALID),
        };
        let text = refusal.to_string();
        Problem { refusal: Some(Box::new(refusal)), ..Problem::rejected(code, kind, text) }
    }

    /// The same, naming the write that it is about.
    #[must_use]
    pub fn about(self, operation: OperationId) -> Problem {
        Problem { operation: Some(operation), ..self }
    }

    /// To the wire.
    pub fn to_status(&self) -> Status {
        let detail = self.to_detail();
        let message = shortened(&self.message);
        let any = WireAny { type_url: DETAIL_TYPE.to_string(), value: detail.encode_to_vec().into() };
        let details = WireStatus { code: self.code as i32, message: message.to_string(), details: vec![any] };
        Status::with_details(self.code, message, details.encode_to_vec().into())
    }

    /// As a part of a message.
    pub fn to_detail(&self) -> v1::ErrorDetail {
        let mut refusal = self.refusal.as_deref().map(refusal_to_wire);
        if let Some(v1::refusal::Reason::Invalid(text)) = refusal.as_mut().and_then(|refusal| refusal.reason.as_mut()) {
            *text = shortened(text).to_string();
        }
        v1::ErrorDetail {
            action: action_to_wire(self.action).into(),
            kind: self.kind.clone(),
            message: shortened(&self.message).to_string(),
            operation_id: self.operation.map(values::operation).unwrap_or_default(),
            refusal,
        }
    }

    /// From the wire. None when there is no readable [`v1::ErrorDetail`]: the
    /// status then does not come from a service of `atoll.v1`, and says nothing
    /// about whether a write was applied.
    pub fn from_status(status: &Status) -> Option<Problem> {
        let details = WireStatus::decode(status.details()).ok()?;
        let any = details.details.iter().find(|any| any.type_url == DETAIL_TYPE)?;
        Problem::from_detail(status.code(), v1::ErrorDetail::decode(&any.value[..]).ok()?)
    }

    /// The reverse of [`Self::to_detail`].
    pub fn from_detail(code: Code, detail: v1::ErrorDetail) -> Option<Problem> {
        Some(Problem {
            code,
            action: action_of_wire(detail.action())?,
            operation: values::operation_of(&detail.operation_id).ok()?,
            refusal: detail.refusal.and_then(refusal_of_wire).map(Box::new),
            kind: detail.kind,
            message: detail.message,
        })
    }
}

/// At most [`MESSAGE_BYTES_MAX`] bytes of the text, whole characters.
fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(MESSAGE_BYTES_MAX)]
}

fn action_to_wire(action: Action) -> v1::Action {
    match action {
        Action::Retry => v1::Action::Retry,
        Action::RefreshLayout => v1::Action::RefreshLayout,
        Action::Rejected => v1::Action::Rejected,
        Action::Unknown => v1::Action::Unknown,
        Action::Fatal => v1::Action::Fatal,
    }
}

fn action_of_wire(action: v1::Action) -> Option<Action> {
    match action {
        v1::Action::Unspecified => None,
        v1::Action::Retry => Some(Action::Retry),
        v1::Action::RefreshLayout => Some(Action::RefreshLayout),
        v1::Action::Rejected => Some(Action::Rejected),
        v1::Action::Unknown => Some(Action::Unknown),
        v1::Action::Fatal => Some(Action::Fatal),
    }
}

fn refusal_to_wire(refusal: &Refusal) -> v1::Refusal {
    use v1::refusal::Reason;
    let reason = match refusal {
        Refusal::Condition { index, found } => {
            Reason::Condition(v1::ConditionFailed { index: *index, found: found.map(values::version) })
        }
        Refusal::Bounds { index, would_be, min, max } => {
            Reason::Bounds(v1::CounterOutOfBounds { index: *index, would_be: *would_be, min: *min, max: *max })
        }
        Refusal::NotACounter { index } => Reason::NotACounter(*index),
        Refusal::OperationReused => Reason::OperationReused(v1::Empty {}),
        Refusal::OperationExpired => Reason::OperationExpired(v1::Empty {}),
        Refusal::Fenced => Reason::Fenced(v1::Empty {}),
        Refusal::Invalid(text) => Reason::Invalid(text.clone()),
    };
    v1::Refusal { reason: Some(reason) }
}

fn refusal_of_wire(refusal: v1::Refusal) -> Option<Refusal> {
    use v1::refusal::Reason;
    Some(match refusal.reason? {
        Reason::Condition(failed) => {
            Refusal::Condition { index: failed.index, found: failed.found.map(values::version_of) }
        }
        Reason::Bounds(bounds) => {
            Refusal::Bounds { index: bounds.index, would_be: bounds.would_be, min: bounds.min, max: bounds.max }
        }
        Reason::NotACounter(index) => Refusal::NotACounter { index },
        Reason::OperationReused(_) => Refusal::OperationReused,
        Reason::OperationExpired(_) => Refusal::OperationExpired,
        Reason::Fenced(_) => Refusal::Fenced,
        Reason::Invalid(text) => Refusal::Invalid(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use types::{Classify, Version};

    fn refusals() -> impl Strategy<Value = Refusal> {
        let versions = any::<(u64, u64)>().prop_map(|(epoch, seq)| Version::new(epoch, seq));
        prop_oneof![
            (any::<u32>(), proptest::option::of(versions))
                .prop_map(|(index, found)| Refusal::Condition { index, found }),
            any::<(u32, i64, i64, i64)>().prop_map(|(index, would_be, min, max)| Refusal::Bounds {
                index,
                would_be,
                min,
                max
            }),
            any::<u32>().prop_map(|index| Refusal::NotACounter { index }),
            Just(Refusal::OperationReused),
            Just(Refusal::OperationExpired),
            Just(Refusal::Fenced),
            any::<String>().prop_map(Refusal::Invalid),
        ]
    }

    const ACTIONS: [Action; 5] =
        [Action::Retry, Action::RefreshLayout, Action::Rejected, Action::Unknown, Action::Fatal];

    proptest! {
        #[test]
        fn problems_read_back(
            code in 1i32..17, action in 0usize..5, kind: String, message: String, operation: Option<[u8; 32]>,
            refusal in proptest::option::of(refusals()),
        ) {
            let original = Problem {
                code: Code::from_i32(code),
                action: ACTIONS[action],
                kind,
                message,
                operation: operation.map(|bytes| OperationId::from_bytes(&bytes)),
                refusal: refusal.map(Box::new),
            };
            prop_assert_eq!(Problem::from_status(&original.to_status()), Some(original));
        }

        /// What a transaction was refused for is refused everywhere, and never becomes unknown.
        #[test]
        fn refusals_stay_refusals(refusal in refusals()) {
            let back = Problem::from_status(&Problem::refused(refusal.clone()).to_status());
            prop_assert_eq!(back.as_ref().map(Classify::action), Some(Action::Rejected));
            prop_assert_eq!(back.and_then(|back| back.refusal), Some(Box::new(refusal)));
        }

        #[test]
        fn details_that_are_noise_say_nothing(noise: Vec<u8>) {
            let _ = Problem::from_status(&Status::with_details(Code::Aborted, "", noise.into()));
        }
    }

    #[test]
    fn a_status_from_elsewhere_says_nothing_about_a_write() {
        assert_eq!(Problem::from_status(&Status::unavailable("broken pipe")), None);
    }

    #[test]
    fn long_texts_fit_into_headers() {
        let long = "ü".repeat(100_000);
        let status = Problem::refused(Refusal::Invalid(long.clone())).about(OperationId::from_bytes(&[1; 32]));
        let status = status.to_status();
        assert!(status.details().len() + 3 * status.message().len() < 8 * 1024, "{}", status.details().len());
        let back = Problem::from_status(&status).map(|back| back.message);
        assert!(back.is_some_and(|text| !text.is_empty() && long.starts_with(&text)));
    }
}
