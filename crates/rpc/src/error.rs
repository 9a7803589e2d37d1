//! What can go wrong with a call, seen from the caller.

use crate::HandshakeError;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;
use types::{Action, Classify};

/// Why a handler did not do what was asked. A number on the wire; a release
/// that does not know the number reads [`Code::Unknown`], the cautious one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u16)]
pub enum Code {
    /// Not now: too much to do, or stopping. Surely not applied.
    Busy = 1,
    /// This is not the node for it. Surely not applied.
    WrongNode = 2,
    /// No; [`Status::detail`] may say why in the method's own words. Surely not applied.
    Refused = 3,
    /// The body makes no sense here. Surely not applied.
    Invalid = 4,
    /// No such method in this release. Surely not applied.
    NoSuchMethod = 5,
    /// May have been applied.
    Unknown = 6,
    /// The handler broke down over it. May have been applied.
    Internal = 7,
    /// That node has stopped taking writes. May have been applied.
    Failed = 8,
}

impl Code {
    /// From its number.
    pub fn from_wire(number: u16) -> Code {
        match number {
            1 => Code::Busy,
            2 => Code::WrongNode,
            3 => Code::Refused,
            4 => Code::Invalid,
            5 => Code::NoSuchMethod,
            7 => Code::Internal,
            8 => Code::Failed,
            _ => Code::Unknown,
        }
    }
}

impl Classify for Code {
    /// Never [`Action::Fatal`]: that another node failed is no reason for the caller to stop.
    fn action(&self) -> Action {
        match self {
            Code::Busy => Action::Retry,
            Code::WrongNode => Action::RefreshLayout,
            Code::Refused | Code::Invalid | Code::NoSuchMethod => Action::Rejected,
            Code::Unknown | Code::Internal | Code::Failed => Action::Unknown,
        }
    }
}

/// A handler's answer when it is not the one hoped for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What kind.
    pub code: Code,
    /// For people.
    pub message: String,
    /// For programs, in the method's own encoding; often empty.
    pub detail: Bytes,
}

impl Status {
    /// A status without detail.
    pub fn new(code: Code, message: impl Into<String>) -> Status {
        Status { code, message: message.into(), detail: Bytes::new() }
    }

    /// The same with detail.
    #[must_use]
    pub fn with_detail(mut self, detail: Bytes) -> Status {
        self.detail = detail;
        self
    }

    /// What a caller should be told of an error that happened here.
    pub fn of(error: &(impl Classify + fmt::Display)) -> Status {
        let code = match error.action() {
            Action::Retry => Code::Busy,
            Action::RefreshLayout => Code::WrongNode,
            Action::Rejected => Code::Refused,
            Action::Unknown => Code::Unknown,
            Action::Fatal => Code::Failed,
        };
        Status::new(code, error.to_string())
    }

    pub(crate) fn to_body(&self) -> Bytes {
        crate::codec::encode(&(&self.message, &self.detail))
    }

    pub(crate) fn from_wire(code: u16, body: &[u8]) -> Result<Status, RpcError> {
        let (message, detail) = crate::codec::decode(body)?;
        Ok(Status { code: Code::from_wire(code), message, detail })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<RpcError> for Status {
    /// So that a handler may use `?` on [`crate::codec::decode`]. Of other
    /// errors it keeps what the caller needs to know: may it have been applied?
    fn from(error: RpcError) -> Status {
        match error {
            RpcError::Remote(status) => status,
            RpcError::Protocol(reason) => Status::new(Code::Invalid, reason),
            other => Status::of(&other),
        }
    }
}

/// Why a call has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    /// No byte of it left this process.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It may have arrived; no answer will come.
    #[error("no answer: {0}")]
    Lost(String),
    /// The handler said so.
    #[error("{0}")]
    Remote(Status),
    /// What came back cannot be understood.
    #[error("protocol: {0}")]
    Protocol(String),
    /// The ends did not accept each other; nothing was sent.
    #[error("{0}")]
    Handshake(#[from] HandshakeError),
    /// It does not fit in a frame; nothing was sent.
    #[error("a message of {bytes} bytes; at most {max} can be sent")]
    TooLarge {
        /// How many.
        bytes: usize,
        /// How many may be.
        max: usize,
    },
}

impl Classify for RpcError {
    fn action(&self) -> Action {
        match self {
            RpcError::NotSent(_) => Action::Retry,
            RpcError::Lost(_) | RpcError::Protocol(_) => Action::Unknown,
            RpcError::Remote(status) => status.code.action(),
            RpcError::Handshake(_) | RpcError::TooLarge { .. } => Action::Rejected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_back_and_strange_ones_are_cautious() {
        for number in 1..=8 {
            assert_eq!(Code::from_wire(number) as u16, number);
        }
        for number in [0, 9, 4000] {
            assert_eq!(Code::from_wire(number).action(), Action::Unknown);
        }
    }

    #[test]
    fn another_nodes_failure_is_not_ours() {
        struct Broken;
        impl Classify for Broken {
            fn action(&self) -> Action {
                Action::Fatal
            }
        }
        impl fmt::Display for Broken {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("disk gone")
            }
        }
        let status = Status::of(&Broken);
        assert_eq!(RpcError::Remote(status.clone()).action(), Action::Unknown);
        let body = status.with_detail(Bytes::from_static(b"d")).to_body();
        let read = Status::from_wire(Code::Failed as u16, &body).unwrap();
        assert_eq!((read.code, &*read.message, &read.detail[..]), (Code::Failed, "disk gone", &b"d"[..]));
    }
}
