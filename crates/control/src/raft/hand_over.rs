//! A leader that is about to stop lets another voter follow it, without the wait for silence.

use super::network::RaftRpc;
use super::{RaftNode, leads};
use bytes::Bytes;
use openraft::ServerState;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl RaftNode {
    /// If this node leads: goes silent, calls on the voter that is furthest, and waits until it leads.
    /// From now on this node decides nothing. False: nobody followed in time.
    pub async fn hand_over(&self) -> bool {
        if !leads(&self.raft.metrics().borrow()) {
            return true;
        }
        let fresh = |age: Duration| age < self.timing.heartbeat * 10;
        let others = self.members().into_iter().filter(|member| member.id != self.id && member.is_voter);
        let mut heirs: Vec<_> = others.filter(|member| member.last_contact.is_some_and(fresh)).collect();
        heirs.sort_by_key(|member| std::cmp::Reverse(member.matched));
        let Some(heir) = heirs.first() else { return false };
        self.retiring.store(true, Ordering::SeqCst);
        // Voters grant nothing while they hear a leader.
        self.raft.runtime_config().heartbeat(false);
        let called = self.transport.send(
            heir.id,
            &heir.address,
            RaftRpc::Campaign,
            Bytes::new(),
            self.timing.election_min.max(self.timing.heartbeat * 5),
        );
        if let Err(error) = called.await {
            // Then the others notice the silence by themselves.
            tracing::debug!(%error, heir = %heir.id, "the next leader could not be called");
        }
        let patience = self.timing.election_max * 2 + self.disk.pace.worst() * 8;
        let wait = self.raft.wait(Some(patience.min(Duration::from_secs(4))));
        let followed = |metrics: &super::Metrics| {
            metrics.state != ServerState::Leader && metrics.current_leader.is_some_and(|leader| leader != metrics.id)
        };
        wait.metrics(followed, "another leads").await.is_ok()
    }
}
