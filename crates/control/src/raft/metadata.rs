//! [`MetadataStore`] on a Raft node.

use super::{RaftNode, leader_hint, leads};
use crate::store::{Batch, Committed, LeaderToken, Leadership, MetadataError, MetadataStore, Pair, Range};
use async_trait::async_trait;
use openraft::error::{CheckIsLeaderError, ClientWriteError, RaftError};
use std::sync::atomic::Ordering;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use types::NodeId;

impl RaftNode {
    /// Why a batch must not be proposed here now, if so. What is refused here is surely not applied.
    pub(super) fn ready_to_propose(&self) -> Result<(), MetadataError> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        metrics.running_state.clone().map_err(super::stopped)?;
        if !leads(&metrics) || self.retiring.load(Ordering::SeqCst) {
            return Err(MetadataError::NotLeader { leader: leader_hint(&metrics) });
        }
        // A leader that is cut off would only pile up entries that may or may not survive it.
        let silence = u128::from(metrics.millis_since_quorum_ack.unwrap_or(0));
        if metrics.membership_config.voter_ids().count() > 1 && silence > (self.timing.election_max * 2).as_millis() {
            return Err(MetadataError::Unavailable(format!("no majority of voters has answered for {silence} ms")));
        }
        Ok(())
    }

    /// The leadership that this node's vote stands for.
    async fn own_leadership(&self) -> Result<LeaderToken, MetadataError> {
        let vote = self.raft.with_raft_state(|state| *state.vote_ref()).await.map_err(super::stopped)?;
        if vote.committed && vote.leader_id.node_id == self.id.0 {
            return Ok(LeaderToken { term: vote.leader_id.term, node: self.id });
        }
        let leader = vote.committed.then_some(NodeId(vote.leader_id.node_id));
        Err(MetadataError::NotLeader { leader })
    }

    async fn confirm(&self) -> Result<LeaderToken, MetadataError> {
        loop {
            // The same vote before and after: the quorum has confirmed this very leadership.
            let before = self.own_leadership().await?;
            match self.raft.ensure_linearizable().await {
                Ok(_) => {
                    let after = self.own_leadership().await?;
                    if before == after {
                        return Ok(after);
                    }
                }
                Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(forward))) => {
                    return Err(MetadataError::NotLeader { leader: forward.leader_id.map(NodeId) });
                }
                // Too few answers within one heartbeat: on a busy machine the next round may do.
                Err(RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_))) => {
                    tokio::time::sleep(self.timing.heartbeat / 4).await;
                }
                Err(RaftError::Fatal(fatal)) => return Err(super::stopped(fatal)),
            }
        }
    }
}

#[async_trait]
impl MetadataStore for RaftNode {
    async fn get(&self, key: &str) -> Result<Option<Pair>, MetadataError> {
        self.confirm_leadership().await?;
        Ok(self.view.image.read().state.get(key))
    }

    async fn range(&self, prefix: &str) -> Result<Range, MetadataError> {
        self.confirm_leadership().await?;
        Ok(self.local_range(prefix))
    }

    fn local_range(&self, prefix: &str) -> Range {
        self.view.image.read().state.range(prefix)
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, MetadataError> {
        batch.validate()?;
        self.ready_to_propose()?;
        let Ok(_permit) = self.commits.try_acquire() else {
            return Err(MetadataError::Unavailable("too many batches are waiting already".to_string()));
        };
        let deadline = Instant::now() + self.timing.patience();
        match timeout_at(deadline, self.raft.client_write(batch)).await {
            Ok(Ok(written)) => {
                written.data.unwrap_or_else(|| Err(MetadataError::Unknown("the entry returned nothing".to_string())))
            }
            // Said both of a batch that was never in the log and of one that a newer leader cut
            // from this node's; the latter may survive elsewhere.
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward)))) => {
                Err(MetadataError::Unknown(match forward.leader_id {
                    Some(leader) => format!("leadership went to node {leader} meanwhile"),
                    None => "leadership was lost meanwhile".to_string(),
                }))
            }
            Ok(Err(RaftError::APIError(other))) => Err(MetadataError::Unknown(other.to_string())),
            Ok(Err(RaftError::Fatal(fatal))) => {
                Err(MetadataError::Unknown(format!("this node stopped meanwhile: {fatal}")))
            }
            Err(_) => Err(MetadataError::Unknown("no majority of voters has answered in time".to_string())),
        }
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.view.watch()
    }

    fn leader(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    async fn confirm_leadership(&self) -> Result<LeaderToken, MetadataError> {
        if self.retiring.load(Ordering::SeqCst) {
            return Err(MetadataError::NotLeader { leader: None });
        }
        // Shorter than a commit's patience: whoever asks wants to know whether it leads *now*.
        let deadline = Instant::now() + self.timing.election_max;
        timeout_at(deadline, self.confirm()).await.unwrap_or_else(|_| {
            Err(MetadataError::Unavailable("no majority of voters has answered in time".to_string()))
        })
    }
}
