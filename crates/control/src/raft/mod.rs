//! The embedded metadata store: a Raft group of this cluster's nodes.
//!
//! Owns vote, log, snapshot and applied state below `<dir>/control`, and the
//! Raft core's tasks. Leaves to others: carrying messages ([`RaftTransport`]), deciding who
//! is alive, and everything that the keys mean.
//!
//! Invariants: nothing is acknowledged before it is durable here (log, vote,
//! snapshot); after a failed write or sync the node takes no further part and [`RaftNode::health`]
//! says so; a leadership belongs to one process ([`log`]); a damaged disk is refused
//! at opening ([`tail`], [`load`]).
//!
//! Proved by openraft's storage suite (`suite.rs`), by `tests/conformance` with
//! links cut, nodes lost and everything restarted, and by unit tests of each file.

mod disk;
mod election;
mod hand_over;
mod load;
mod log;
mod machine;
mod membership;
mod metadata;
mod network;
#[cfg(test)]
mod suite;
mod tail;
mod types;

pub use membership::MemberStatus;
pub use network::{RAFT_BODY_BYTES_MAX, RaftRpc, RaftTransport, TransportError};

use self::disk::{Disk, Task};
use self::election::Hearing;
use self::log::LogStore;
use self::machine::{Machine, View};
use self::network::{Network, Peers, SNAPSHOT_PIECE_BYTES};
use self::types::{Types, decode, encode};
use crate::store::{Leadership, MetadataError};
use ::types::NodeId;
use bytes::Bytes;
use openraft::error::{InstallSnapshotError, RaftError};
use openraft::raft::{AppendEntriesRequest, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest};
use openraft::{BasicNode, Config, Raft, RaftMetrics, ServerState, SnapshotPolicy};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Entries between snapshots.
const SNAPSHOT_EVERY: u64 = 500;
/// Entries kept behind a snapshot, for followers that are a little late.
const KEEP_BEHIND_SNAPSHOT: u64 = 200;
/// Largest snapshot taken from a leader.
const SNAPSHOT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Batches that may wait for their commit at once.
const COMMITS_MAX: usize = 256;

/// How fast a lost leader is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaftTiming {
    /// Interval of a leader's heartbeats; also how long it waits for an answer to one.
    pub heartbeat: Duration,
    /// Least silence of the leader after which a voter stands for election.
    pub election_min: Duration,
    /// Most silence of the leader before a voter stands for election.
    pub election_max: Duration,
}

impl Default for RaftTiming {
    fn default() -> RaftTiming {
        RaftTiming {
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(400),
            election_max: Duration::from_millis(650),
        }
    }
}

impl RaftTiming {
    /// Voters grant nothing while their leader was heard within `election_min`: the library's longest
    /// time-out. Its shortest is what an answer to a request for a vote may take, the voter's fsync
    /// included. Neither of them begins an election: [`election`] does.
    fn config(&self) -> Result<Config, MetadataError> {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
        let heartbeat = millis(self.heartbeat);
        let lease = millis(self.election_min).max(heartbeat + 2);
        let config = Config {
            cluster_name: "atoll".to_string(),
            heartbeat_interval: heartbeat,
            election_timeout_min: lease - 1,
            election_timeout_max: lease,
            enable_elect: false,
            install_snapshot_timeout: 5_000,
            snapshot_max_chunk_size: SNAPSHOT_PIECE_BYTES,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(SNAPSHOT_EVERY),
            max_in_snapshot_log_to_keep: KEEP_BEHIND_SNAPSHOT,
            replication_lag_threshold: 2 * SNAPSHOT_EVERY,
            max_payload_entries: 64,
            ..Config::default()
        };
        config.validate().map_err(|error| MetadataError::Invalid(error.to_string()))
    }

    /// How long a commit or a confirmation may take before it is given up: an
    /// election that has just begun may still end well within it.
    fn patience(&self) -> Duration {
        (self.election_max * 3).max(Duration::from_secs(2))
    }
}

/// One node's part in the metadata's Raft group.
pub struct RaftNode {
    id: NodeId,
    timing: RaftTiming,
    raft: Raft<Types>,
    view: Arc<View>,
    disk: Disk,
    peers: Arc<Peers>,
    leadership: watch::Receiver<Leadership>,
    commits: Semaphore,
    transport: Arc<dyn RaftTransport>,
    hearing: Arc<Hearing>,
    /// Leadership is being handed over: nothing is decided here any more.
    retiring: AtomicBool,
}

impl RaftNode {
    /// Opens or creates the node's state in `<dir>/control` and starts taking part.
    pub async fn open(
        dir: &Path,
        id: NodeId,
        timing: RaftTiming,
        transport: Arc<dyn RaftTransport>,
    ) -> Result<RaftNode, MetadataError> {
        let config = Arc::new(timing.config()?);
        let dir = dir.to_path_buf();
        let opening = tokio::task::spawn_blocking(move || Disk::open(&dir)).await;
        let (disk, mut loaded) = opening.map_err(|error| MetadataError::Stopped(error.to_string()))??;
        let machine = Machine::new(loaded.snapshot.take(), disk.clone());
        let view = machine.view.clone();
        let log = LogStore::new(id.0, loaded, disk.clone());
        let peers = Arc::new(Peers::default());
        let hearing = Arc::new(Hearing::default());
        let network = Network {
            transport: transport.clone(),
            peers: peers.clone(),
            hearing: hearing.clone(),
            retry_after: timing.heartbeat * 2,
        };
        let raft = Raft::new(id.0, config, network, log, machine).await.map_err(stopped)?;
        let (sender, leadership) = watch::channel(Leadership::default());
        tokio::spawn(follow(raft.metrics(), sender, peers.clone()));
        tokio::spawn(election::stand(raft.clone(), timing, hearing.clone(), disk.pace.clone()));
        let (commits, retiring) = (Semaphore::new(COMMITS_MAX), AtomicBool::new(false));
        Ok(RaftNode { id, timing, raft, view, disk, peers, leadership, commits, transport, hearing, retiring })
    }

    /// This node.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Takes a message of another node and returns the answer. An error is no
    /// answer: the other node is to treat it as a failure of the transport.
    pub async fn handle(&self, kind: RaftRpc, body: Bytes) -> Result<Bytes, MetadataError> {
        if body.len() > RAFT_BODY_BYTES_MAX {
            return Err(MetadataError::Invalid(format!("a message of {} bytes is too large", body.len())));
        }
        let invalid = MetadataError::Invalid;
        let answer = match kind {
            RaftRpc::Append => {
                let request: AppendEntriesRequest<Types> = decode(&body).map_err(invalid)?;
                // Before and after: the answer may have to wait for the disk.
                self.hearing.heard();
                let answer = self.raft.append_entries(request).await.map_err(stopped)?;
                self.hearing.heard();
                encode(&answer)
            }
            RaftRpc::Vote => {
                let request: VoteRequest<u64> = decode(&body).map_err(invalid)?;
                encode(&self.raft.vote(request).await.map_err(stopped)?)
            }
            RaftRpc::Snapshot => {
                let request: InstallSnapshotRequest<Types> = decode(&body).map_err(invalid)?;
                if request.offset.saturating_add(request.data.len() as u64) > SNAPSHOT_BYTES_MAX {
                    return Err(MetadataError::Invalid("the snapshot is too large".to_string()));
                }
                self.hearing.heard();
                let answer: Result<InstallSnapshotResponse<u64>, InstallSnapshotError> =
                    match self.raft.install_snapshot(request).await {
                        Ok(answer) => Ok(answer),
                        Err(RaftError::APIError(refusal)) => Err(refusal),
                        Err(RaftError::Fatal(fatal)) => return Err(stopped(fatal)),
                    };
                encode(&answer)
            }
            RaftRpc::Campaign => {
                self.hearing.call();
                Ok(Vec::new())
            }
        };
        answer.map(Bytes::from).map_err(invalid)
    }

    /// Whether this node still takes part. After an error it does not, until it is opened anew.
    pub fn health(&self) -> Result<(), MetadataError> {
        self.raft.metrics().borrow().running_state.clone().map_err(stopped)
    }

    /// What ended this node's part in Raft, if something did that nobody asked for.
    pub fn failure(&self) -> Option<String> {
        match &self.raft.metrics().borrow().running_state {
            Ok(()) | Err(openraft::error::Fatal::Stopped) => None,
            Err(failure) => Some(failure.to_string()),
        }
    }

    /// Stops taking part. On return the data folder may be opened again.
    pub async fn shutdown(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "the raft core did not stop cleanly");
        }
        if let Err(error) = self.disk.run(|reply| Task::Stop { reply }).await {
            tracing::debug!(%error, "the metadata's disk had stopped before");
        }
    }
}

fn stopped(error: impl std::fmt::Display) -> MetadataError {
    MetadataError::Stopped(error.to_string())
}

type Metrics = RaftMetrics<u64, BasicNode>;

fn leads(metrics: &Metrics) -> bool {
    metrics.running_state.is_ok() && metrics.state == ServerState::Leader && metrics.current_leader == Some(metrics.id)
}

fn leader_hint(metrics: &Metrics) -> Option<NodeId> {
    metrics.current_leader.filter(|leader| *leader != metrics.id || leads(metrics)).map(NodeId)
}

/// Publishes what the Raft core reports, until it ends.
async fn follow(mut metrics: watch::Receiver<Metrics>, leadership: watch::Sender<Leadership>, peers: Arc<Peers>) {
    let mut known = None;
    loop {
        {
            let metrics = metrics.borrow_and_update();
            let now =
                Leadership { leader: leader_hint(&metrics), is_self: leads(&metrics), term: metrics.current_term };
            leadership.send_if_modified(|seen| std::mem::replace(seen, now) != now);
            if known != Some(*metrics.membership_config.log_id()) {
                known = Some(*metrics.membership_config.log_id());
                let nodes = metrics.membership_config.nodes();
                *peers.addresses.lock() = nodes.map(|(id, node)| (*id, node.addr.clone())).collect();
            }
        }
        if metrics.changed().await.is_err() {
            leadership.send_modify(|seen| *seen = Leadership { leader: None, is_self: false, term: seen.term });
            return;
        }
    }
}
