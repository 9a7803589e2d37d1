//! Who is in the Raft group, and who of them votes.

use super::{RaftNode, leads};
use crate::store::MetadataError;
use crate::voters::{self, Candidate};
use openraft::error::{ChangeMembershipError, ClientWriteError, InitializeError, RaftError};
use openraft::{BasicNode, ChangeMembers, ServerState};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use types::NodeId;

/// A learner no further behind than this has caught up.
const CAUGHT_UP_ENTRIES: u64 = 64;

/// A member of the Raft group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Node.
    pub id: NodeId,
    /// Where it is reached.
    pub address: String,
    /// Votes, or merely learns.
    pub is_voter: bool,
    /// Last log entry known to be there. On the leader only.
    pub matched: Option<u64>,
    /// Entries that it lacks. On the leader only.
    pub lag: Option<u64>,
    /// Time since it last answered this node, if it ever did; zero for this node.
    pub last_contact: Option<Duration>,
}

type Failure = RaftError<u64, ClientWriteError<u64, BasicNode>>;

fn failed(error: Failure) -> MetadataError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            MetadataError::NotLeader { leader: forward.leader_id.map(NodeId) }
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(ChangeMembershipError::InProgress(_))) => {
            MetadataError::Unavailable("another change of members is under way".to_string())
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(other)) => {
            MetadataError::Invalid(other.to_string())
        }
        RaftError::Fatal(fatal) => super::stopped(fatal),
    }
}

impl RaftNode {
    /// True once the node belongs to a group, its own or another's.
    pub async fn is_initialized(&self) -> Result<bool, MetadataError> {
        self.raft.is_initialized().await.map_err(super::stopped)
    }

    /// Founds the group, with this node as its only voter, and waits until it leads. For the
    /// cluster's first node. Harmless on a node that belongs to a group.
    pub async fn initialize(&self, address: &str) -> Result<(), MetadataError> {
        let nodes = BTreeMap::from([(self.id.0, BasicNode::new(address))]);
        match self.raft.initialize(nodes).await {
            Ok(()) => {}
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => return Ok(()),
            Err(RaftError::APIError(other)) => return Err(MetadataError::Invalid(other.to_string())),
            Err(RaftError::Fatal(fatal)) => return Err(super::stopped(fatal)),
        }
        // One slow sync may take as long as a client waits: nobody is served by giving up sooner.
        let wait = self.raft.wait(Some(Duration::from_secs(60)));
        let leading = wait.state(ServerState::Leader, "founded").await;
        leading.map(|_| ()).map_err(|error| MetadataError::Unavailable(error.to_string()))
    }

    /// The members, as this node knows them.
    pub fn members(&self) -> Vec<MemberStatus> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let voters: BTreeSet<u64> = metrics.membership_config.voter_ids().collect();
        let contacts = self.peers.contacts.lock();
        let last = metrics.last_log_index.map_or(0, |index| index + 1);
        let status = |(id, node): (&u64, &BasicNode)| {
            let progress = metrics.replication.as_ref().and_then(|replication| replication.get(id));
            let progress = progress.map(|matched| matched.map(|log_id| log_id.index));
            MemberStatus {
                id: NodeId(*id),
                address: node.addr.clone(),
                is_voter: voters.contains(id),
                matched: progress.flatten(),
                lag: progress.map(|matched| last.saturating_sub(matched.map_or(0, |index| index + 1))),
                last_contact: match *id == self.id.0 {
                    true => Some(Duration::ZERO),
                    false => contacts.get(id).map(Instant::elapsed),
                },
            }
        };
        metrics.membership_config.nodes().map(status).collect()
    }

    /// Adds a node that learns, and does not vote. A member already: only its address is updated.
    pub async fn add_learner(&self, id: NodeId, address: &str) -> Result<(), MetadataError> {
        self.change(ChangeMembers::SetNodes(BTreeMap::from([(id.0, BasicNode::new(address))])), |members| {
            members.iter().any(|member| member.id == id && member.address == address)
        })
        .await
    }

    /// Says where a member is reached now.
    pub async fn update_address(&self, id: NodeId, address: &str) -> Result<(), MetadataError> {
        match self.members().iter().any(|member| member.id == id) {
            true => self.add_learner(id, address).await,
            false => Err(MetadataError::Invalid(format!("node {id} is not a member"))),
        }
    }

    /// Makes these members, and no others, the voters. Former voters go on learning.
    pub async fn set_voters(&self, voters: BTreeSet<NodeId>) -> Result<(), MetadataError> {
        let ids: BTreeSet<u64> = voters.iter().map(|id| id.0).collect();
        self.change(ChangeMembers::ReplaceAllVoters(ids.clone()), |_| {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow();
            *metrics.membership_config.membership().get_joint_config() == [ids.clone()]
        })
        .await
    }

    /// A member votes no longer; others are made voters in its place, never two. It goes on learning.
    pub async fn retire(&self, id: NodeId) -> Result<(), MetadataError> {
        // Somebody may only be slow to answer, or have yet to catch up.
        let until = Instant::now() + self.timing.patience();
        loop {
            self.ready_to_propose()?;
            let candidates = self.candidates(self.timing.election_max * 2, &BTreeSet::new());
            if !candidates.iter().any(|candidate| candidate.id == id && candidate.is_voter) {
                return Ok(());
            }
            if let Some(voters) = voters::without(&candidates, id) {
                return self.set_voters(voters).await;
            }
            if Instant::now() > until {
                return Err(MetadataError::Unavailable(format!(
                    "too few machines are up that could decide in place of node {id}: start those that are down, or \
                     remove those that are lost first"
                )));
            }
            tokio::time::sleep(self.timing.heartbeat).await;
        }
    }

    /// Removes a member, which votes no longer before that.
    pub async fn remove(&self, id: NodeId) -> Result<(), MetadataError> {
        self.retire(id).await?;
        if !self.members().iter().any(|member| member.id == id) {
            return Ok(());
        }
        self.change(ChangeMembers::RemoveNodes(BTreeSet::from([id.0])), |members| {
            members.iter().all(|member| member.id != id)
        })
        .await
    }

    /// On the leader: grows the voters to three or five, replaces dead and leaving ones by live learners,
    /// and ends a change that an earlier leader left half done. Returns the new voters, if it changed them.
    pub async fn tend_voters(
        &self,
        dead_after: Duration,
        leaving: &BTreeSet<NodeId>,
    ) -> Result<Option<BTreeSet<NodeId>>, MetadataError> {
        self.ready_to_propose()?;
        let unfinished = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow();
            let config = metrics.membership_config.membership().get_joint_config();
            config.last().filter(|_| config.len() > 1).cloned()
        };
        let wanted = match unfinished {
            Some(ids) => Some(ids.into_iter().map(NodeId).collect()),
            None => voters::desired(&self.candidates(dead_after, leaving)),
        };
        if let Some(voters) = &wanted {
            tracing::info!(?voters, "changing the voters of the metadata");
            self.set_voters(voters.clone()).await?;
        }
        Ok(wanted)
    }

    fn candidates(&self, dead_after: Duration, leaving: &BTreeSet<NodeId>) -> Vec<Candidate> {
        let candidate = |member: MemberStatus| Candidate {
            id: member.id,
            is_voter: member.is_voter,
            alive: member.last_contact.is_some_and(|age| age < dead_after),
            caught_up: member.lag.is_some_and(|lag| lag <= CAUGHT_UP_ENTRIES),
            leaving: leaving.contains(&member.id),
        };
        self.members().into_iter().map(candidate).collect()
    }

    /// Makes a change, unless it is `done`.
    async fn change(
        &self,
        change: ChangeMembers<u64, BasicNode>,
        done: impl Fn(&[MemberStatus]) -> bool,
    ) -> Result<(), MetadataError> {
        self.ready_to_propose()?;
        if leads(&self.raft.metrics().borrow()) && done(&self.members()) {
            return Ok(());
        }
        match timeout(self.timing.patience() * 2, self.raft.change_membership(change, true)).await {
            Ok(result) => result.map(|_| ()).map_err(failed),
            Err(_) => Err(MetadataError::Unknown("the change of members was not confirmed in time".to_string())),
        }
    }
}
