//! One attempt of one request: encoding, sending, and what may be done when it fails.

use crate::ClientError;
use bytes::Bytes;
use rpc::wire::Fault;
use rpc::{Body, Code, HandshakeError, Local, Pool, RpcError, codec};
use serde::de::DeserializeOwned;
use std::time::Duration;
use types::{Action, Classify, Layout};

/// How an attempt failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The node said so.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// No answer of a node.
    #[error("{0}")]
    Rpc(#[from] RpcError),
    /// A newer map took the node out of its role before it answered.
    #[error("the node left its chain before it answered")]
    Superseded,
    /// There is nobody to ask.
    #[error("{0}")]
    Nobody(String),
    /// Nor will there be, before machines that are down come back.
    #[error("{0}")]
    Waiting(String),
}

impl Classify for Failure {
    /// For a write; a read may be asked again whatever happened to it.
    fn action(&self) -> Action {
        match self {
            Failure::Fault(fault) => fault.action(),
            // Not this node, but perhaps another one: an address changes hands, a key is renewed.
            Failure::Rpc(RpcError::Handshake(_)) => Action::Retry,
            Failure::Rpc(error) => error.action(),
            Failure::Superseded => Action::Unknown,
            Failure::Nobody(_) | Failure::Waiting(_) => Action::RefreshLayout,
        }
    }
}

impl Failure {
    /// The node itself seems to be in trouble, whatever it was asked.
    pub(crate) fn blames_node(&self) -> bool {
        match self {
            Failure::Fault(fault) => matches!(fault, Fault::NotReady(_) | Fault::Stopped(_)),
            Failure::Rpc(RpcError::Remote(status)) => matches!(status.code, Code::Internal | Code::Failed),
            Failure::Rpc(RpcError::TooLarge { .. }) | Failure::Nobody(_) | Failure::Waiting(_) => false,
            Failure::Rpc(_) | Failure::Superseded => true,
        }
    }

    /// The two ends will never accept each other.
    pub(crate) fn turns_away(&self) -> bool {
        use HandshakeError::{Claim, Clocks, NoCommonProtocol, NotAtoll, Refused, Removed, Stranger};
        matches!(
            self,
            Failure::Rpc(RpcError::Handshake(
                Claim | Clocks(_) | NoCommonProtocol { .. } | NotAtoll | Refused(_) | Removed | Stranger(_)
            ))
        )
    }

    /// A member says that the node whose certificate is shown is one no more: its number is not used again.
    pub(crate) fn dismisses(&self) -> bool {
        matches!(self, Failure::Rpc(RpcError::Handshake(HandshakeError::Dismissed)))
    }

    /// It was not taken, because too much is under way.
    pub(crate) fn is_busy(&self) -> bool {
        match self {
            Failure::Fault(fault) => matches!(fault, Fault::Busy),
            Failure::Rpc(RpcError::Remote(status)) => status.code == Code::Busy,
            _ => false,
        }
    }

    /// What is said when it is the last word. `layout` gives tables their names.
    pub(crate) fn into_error(self, tried: Vec<String>, layout: &Layout) -> ClientError {
        let unreachable = |why: String| ClientError::Unreachable { tried, why };
        match self {
            Failure::Fault(fault) => match fault {
                Fault::Refused(refusal) => ClientError::Refused(refusal),
                Fault::Invalid(why) => ClientError::Invalid(why),
                Fault::NoSuchTable(id) => ClientError::NoSuchTable(
                    layout.tables.get(&id).map_or_else(|| format!("number {id}"), |table| table.name.clone()),
                ),
                Fault::NoSpace { node } => ClientError::NoSpace { node },
                Fault::TooFewReplicas { have, need } => ClientError::TooFewReplicas { have, need },
                Fault::Busy => ClientError::Busy,
                Fault::NoLeader(why) => ClientError::NoLeader(why),
                Fault::Denied(why) => ClientError::Denied(why),
                other => unreachable(other.to_string()),
            },
            Failure::Rpc(error @ RpcError::TooLarge { .. }) => ClientError::Invalid(error.to_string()),
            Failure::Rpc(RpcError::Remote(status)) => match status.code {
                Code::Busy => ClientError::Busy,
                Code::Refused | Code::Invalid => ClientError::Invalid(status.message),
                Code::NoSuchMethod => ClientError::NotOffered(status.message),
                _ => unreachable(status.message),
            },
            Failure::Waiting(why) => ClientError::Waiting(why),
            other => unreachable(other.to_string()),
        }
    }
}

/// Sends requests; clones share connections.
#[derive(Clone)]
pub(crate) struct Link {
    pool: Pool,
    /// The node in this process.
    own: Option<Local>,
}

impl Link {
    pub(crate) fn new(pool: Pool, own: Option<Local>) -> Link {
        Link { pool, own }
    }

    /// The node in this process, if it is that one.
    fn own(&self, address: &str) -> Option<&Local> {
        self.own.as_ref().filter(|own| own.address() == address)
    }

    /// What comes from there never was on a wire.
    pub(crate) fn is_own(&self, address: &str) -> bool {
        self.own(address).is_some()
    }

    /// One attempt. The reply's payload, if it has one, comes after it.
    pub(crate) async fn call<R: DeserializeOwned>(
        &self,
        address: &str,
        method: u16,
        body: impl Into<rpc::Body>,
        timeout: Duration,
    ) -> Result<(R, Bytes), Failure> {
        let reply = match self.own(address) {
            Some(own) => match own.call(method, body, timeout).await? {
                Body { head, payload } if payload.is_empty() => head,
                Body { head, payload } => return Ok((codec::decode::<Result<R, Fault>>(&head)??, payload)),
            },
            None => self.pool.call(address, method, body, timeout).await?,
        };
        let (reply, payload) = codec::decode_head::<Result<R, Fault>>(&reply)?;
        Ok((reply?, payload))
    }

    /// Ends the connections to addresses that are no longer of use.
    pub(crate) fn retain(&self, wanted: impl FnMut(&str) -> bool) {
        self.pool.retain(wanted);
    }
}
