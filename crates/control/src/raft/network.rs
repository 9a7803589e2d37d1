//! Raft's messages over somebody else's transport.
//!
//! A body is a version byte and postcard; an answer holds the Raft library's
//! answer, or a refusal of a snapshot piece. Where a peer lives is looked up at each
//! message, so that a node which comes back at another address is found at once.

use super::election::Hearing;
use super::types::{Types, decode, encode};
use async_trait::async_trait;
use bytes::Bytes;
use openraft::error::{InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Unreachable};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest,
    VoteResponse,
};
use openraft::{BasicNode, RaftNetwork, RaftNetworkFactory};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use types::NodeId;

/// Most bytes in a message's body.
pub const RAFT_BODY_BYTES_MAX: usize = 2 * 1024 * 1024 + 64 * 1024;
/// Most bytes in a piece of a snapshot.
pub(super) const SNAPSHOT_PIECE_BYTES: u64 = 1024 * 1024;

/// Kinds of messages between Raft nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum RaftRpc {
    /// Entries, or a heartbeat.
    Append = 1,
    /// A request for a vote.
    Vote = 2,
    /// A piece of a snapshot.
    Snapshot = 3,
    /// From a leader that is about to stop: stand for election.
    Campaign = 4,
}

impl From<RaftRpc> for u16 {
    fn from(kind: RaftRpc) -> u16 {
        kind as u16
    }
}

impl TryFrom<u16> for RaftRpc {
    type Error = u16;

    fn try_from(number: u16) -> Result<RaftRpc, u16> {
        match number {
            1 => Ok(RaftRpc::Append),
            2 => Ok(RaftRpc::Vote),
            3 => Ok(RaftRpc::Snapshot),
            4 => Ok(RaftRpc::Campaign),
            other => Err(other),
        }
    }
}

/// Why a message got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No connection: wait a little before the next attempt.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// Anything else: a time-out, a refusal.
    #[error("{0}")]
    Other(String),
}

/// Carries messages to other nodes, which hand them to [`super::RaftNode::handle`].
#[async_trait]
pub trait RaftTransport: Send + Sync + 'static {
    /// Sends a message and waits for its answer, at most `timeout`. `address` is what the
    /// membership says; the transport may know better.
    async fn send(
        &self,
        target: NodeId,
        address: &str,
        kind: RaftRpc,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, TransportError>;
}

/// What is known of the other members.
#[derive(Default)]
pub(super) struct Peers {
    /// By the newest membership.
    pub(super) addresses: Mutex<BTreeMap<u64, String>>,
    /// When each answered last.
    pub(super) contacts: Mutex<BTreeMap<u64, Instant>>,
}

pub(super) struct Network {
    pub(super) transport: Arc<dyn RaftTransport>,
    pub(super) peers: Arc<Peers>,
    pub(super) hearing: Arc<Hearing>,
    pub(super) retry_after: Duration,
}

/// Messages to one node.
pub(super) struct Connection {
    transport: Arc<dyn RaftTransport>,
    peers: Arc<Peers>,
    hearing: Arc<Hearing>,
    retry_after: Duration,
    target: u64,
    address: String,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Connection;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Connection {
        Connection {
            transport: self.transport.clone(),
            peers: self.peers.clone(),
            hearing: self.hearing.clone(),
            retry_after: self.retry_after,
            target,
            address: node.addr.clone(),
        }
    }
}

type Failure<E> = RPCError<u64, BasicNode, RaftError<u64, E>>;

fn failed<E: std::error::Error>(error: TransportError) -> Failure<E> {
    match error {
        TransportError::Unreachable(_) => RPCError::Unreachable(Unreachable::new(&error)),
        TransportError::Other(_) => RPCError::Network(NetworkError::new(&error)),
    }
}

impl Connection {
    async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        kind: RaftRpc,
        request: &Q,
        option: &RPCOption,
    ) -> Result<A, TransportError> {
        let other = |text: String| TransportError::Other(text);
        let body = Bytes::from(encode(request).map_err(other)?);
        let address = self.peers.addresses.lock().get(&self.target).unwrap_or(&self.address).clone();
        let answer = self.transport.send(NodeId(self.target), &address, kind, body, option.hard_ttl()).await?;
        let answer = decode(&answer).map_err(other)?;
        self.peers.contacts.lock().insert(self.target, Instant::now());
        Ok(answer)
    }
}

impl RaftNetwork<Types> for Connection {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, Failure<openraft::error::Infallible>> {
        self.call(RaftRpc::Append, &request, &option).await.map_err(failed)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, Failure<openraft::error::Infallible>> {
        let answer: VoteResponse<u64> = self.call(RaftRpc::Vote, &request, &option).await.map_err(failed)?;
        if answer.last_log_id > request.last_log_id {
            self.hearing.lacks();
        }
        Ok(answer)
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<Types>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, Failure<InstallSnapshotError>> {
        let answer: Result<InstallSnapshotResponse<u64>, InstallSnapshotError> =
            self.call(RaftRpc::Snapshot, &request, &option).await.map_err(failed)?;
        answer.map_err(|refusal| RPCError::RemoteError(RemoteError::new(self.target, RaftError::APIError(refusal))))
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(self.retry_after))
    }
}
