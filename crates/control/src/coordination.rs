//! What a node needs of whatever keeps the metadata beyond the [`MetadataStore`]: to found it, to be
//! one of its members, and to leave it.

use crate::raft::{MemberStatus, RaftNode, RaftRpc};
use crate::store::{MetadataError, MetadataStore};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::time::Duration;
use types::NodeId;

/// A node's part in whatever keeps the metadata. A backend outside of the cluster has no members among
/// its nodes: it lists none, and takes no messages.
#[async_trait]
pub trait Coordination: MetadataStore {
    /// True once the metadata belongs to a cluster.
    async fn is_initialized(&self) -> Result<bool, MetadataError>;

    /// Founds the metadata and waits until this node leads it. For the cluster's first node.
    async fn initialize(&self, address: &str) -> Result<(), MetadataError>;

    /// The nodes that keep the metadata, as this node knows them.
    fn members(&self) -> Vec<MemberStatus>;

    /// On the leader: lets a node hear the metadata, at this address from now on.
    async fn add_learner(&self, id: NodeId, address: &str) -> Result<(), MetadataError>;

    /// On the leader: sees to it that the right members vote. Returns the new voters, if it changed them.
    async fn tend_voters(
        &self,
        dead_after: Duration,
        leaving: &BTreeSet<NodeId>,
    ) -> Result<Option<BTreeSet<NodeId>>, MetadataError>;

    /// On the leader: a node votes no longer, and others do if need be. An error if too few others are there.
    async fn retire(&self, id: NodeId) -> Result<(), MetadataError>;

    /// On the leader: a node keeps the metadata no longer.
    async fn remove(&self, id: NodeId) -> Result<(), MetadataError>;

    /// Takes a message of another member and returns the answer.
    async fn handle(&self, kind: RaftRpc, body: Bytes) -> Result<Bytes, MetadataError>;

    /// That node's process has surely ended: if it led, nobody need wait for its silence to be noticed. A hint, which
    /// costs a live leader its office at worst.
    fn died(&self, node: NodeId);

    /// If this node leads: decides nothing more, and lets another follow it. False: nobody did in time.
    async fn hand_over(&self) -> bool;

    /// Stops taking part. On return the data folder may be opened again.
    async fn shutdown(&self);

    /// Why this node takes no further part in keeping the metadata, if its own part of it failed: what it knows
    /// of the map is out of date from then on.
    fn failure(&self) -> Option<String> {
        None
    }
}

#[async_trait]
impl Coordination for RaftNode {
    async fn is_initialized(&self) -> Result<bool, MetadataError> {
        RaftNode::is_initialized(self).await
    }

    async fn initialize(&self, address: &str) -> Result<(), MetadataError> {
        RaftNode::initialize(self, address).await
    }

    fn members(&self) -> Vec<MemberStatus> {
        RaftNode::members(self)
    }

    async fn add_learner(&self, id: NodeId, address: &str) -> Result<(), MetadataError> {
        RaftNode::add_learner(self, id, address).await
    }

    async fn tend_voters(
        &self,
        dead_after: Duration,
        leaving: &BTreeSet<NodeId>,
    ) -> Result<Option<BTreeSet<NodeId>>, MetadataError> {
        RaftNode::tend_voters(self, dead_after, leaving).await
    }

    async fn retire(&self, id: NodeId) -> Result<(), MetadataError> {
        RaftNode::retire(self, id).await
    }

    async fn remove(&self, id: NodeId) -> Result<(), MetadataError> {
        RaftNode::remove(self, id).await
    }

    async fn handle(&self, kind: RaftRpc, body: Bytes) -> Result<Bytes, MetadataError> {
        RaftNode::handle(self, kind, body).await
    }

    fn died(&self, node: NodeId) {
        RaftNode::died(self, node);
    }

    async fn hand_over(&self) -> bool {
        RaftNode::hand_over(self).await
    }

    async fn shutdown(&self) {
        RaftNode::shutdown(self).await;
    }

    fn failure(&self) -> Option<String> {
        RaftNode::failure(self)
    }
}
