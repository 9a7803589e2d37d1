//! [`MetadataStore`] and [`Coordination`] on ZooKeeper.

use super::journal::unavailable;
use super::session::within;
use super::{Shared, ZooKeeperNode};
use crate::coordination::Coordination;
use crate::raft::{MemberStatus, RaftRpc};
use crate::store::{
    Batch, Committed, LeaderToken, Leadership, LifeChange, Lives, MetadataError, MetadataStore, Pair, Range,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use types::NodeId;

/// How long another may take to follow a leader that goes.
const HAND_OVER_MAX: Duration = Duration::from_secs(3);
/// How long proving leadership may take.
const PROOF_MAX: Duration = Duration::from_secs(2);

impl Shared {
    pub(super) async fn commit(
        self: &Arc<Self>,
        batch: Batch,
        lives: &[LifeChange],
    ) -> Result<Committed, MetadataError> {
        batch.validate()?;
        self.leading()?;
        let Ok(_permit) = self.commits.try_acquire() else {
            return Err(unavailable("too many batches are waiting already"));
        };
        let committed = self.order(batch, lives).await?;
        if let (Ok(mine), Ok(tail)) = (self.leading(), self.journal.try_lock()) {
            self.save_if_due(&tail, &mine);
        }
        Ok(committed)
    }

    async fn confirm(&self) -> Result<LeaderToken, MetadataError> {
        let mine = self.leading()?;
        let client = self.client()?;
        let mut tail = self.journal.lock().await;
        self.prove(&client, &mut tail, &mine).await?;
        // The same leadership before and after.
        self.leading().map(|now| now.token).and_then(|now| match now == mine.token {
            true => Ok(now),
            false => Err(MetadataError::NotLeader { leader: None }),
        })
    }

    /// Takes this node's registration away: another leads.
    async fn withdraw(&self) {
        let mine = self.mine.lock().clone();
        self.step_down(None);
        if let (Some(mine), Ok(client)) = (mine, self.client()) {
            let _ = within(client.delete(&mine.path, None)).await;
        }
    }
}

#[async_trait]
impl MetadataStore for ZooKeeperNode {
    async fn get(&self, key: &str) -> Result<Option<Pair>, MetadataError> {
        self.confirm_leadership().await?;
        Ok(self.shared.image.read().state.get(key))
    }

    async fn range(&self, prefix: &str) -> Result<Range, MetadataError> {
        self.confirm_leadership().await?;
        Ok(self.local_range(prefix))
    }

    fn local_range(&self, prefix: &str) -> Range {
        self.shared.image.read().state.range(prefix)
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, MetadataError> {
        self.shared.commit(batch, &[]).await
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.shared.revision.subscribe()
    }

    fn leader(&self) -> watch::Receiver<Leadership> {
        self.shared.leadership.subscribe()
    }

    async fn confirm_leadership(&self) -> Result<LeaderToken, MetadataError> {
        let proved = tokio::time::timeout(PROOF_MAX, self.shared.confirm()).await;
        proved.unwrap_or_else(|_| Err(unavailable(format!("{} does not answer", self.shared.place))))
    }

    fn lives(&self) -> Option<&dyn Lives> {
        Some(self)
    }
}

#[async_trait]
impl Coordination for ZooKeeperNode {
    async fn is_initialized(&self) -> Result<bool, MetadataError> {
        Ok(self.shared.founded)
    }

    async fn initialize(&self, _address: &str) -> Result<(), MetadataError> {
        match self.shared.founded {
            true => Ok(()),
            false => self.shared.found().await,
        }
    }

    fn members(&self) -> Vec<MemberStatus> {
        Vec::new()
    }

    async fn add_learner(&self, _id: NodeId, _address: &str) -> Result<(), MetadataError> {
        Ok(())
    }

    async fn tend_voters(
        &self,
        _dead_after: Duration,
        _leaving: &BTreeSet<NodeId>,
    ) -> Result<Option<BTreeSet<NodeId>>, MetadataError> {
        Ok(None)
    }

    async fn retire(&self, _id: NodeId) -> Result<(), MetadataError> {
        Ok(())
    }

    async fn remove(&self, _id: NodeId) -> Result<(), MetadataError> {
        Ok(())
    }

    async fn handle(&self, _kind: RaftRpc, _body: Bytes) -> Result<Bytes, MetadataError> {
        Err(MetadataError::Invalid("this node keeps its metadata in ZooKeeper and takes no part in Raft".to_string()))
    }

    fn died(&self, node: NodeId) {
        let first = self.shared.leadership.borrow().leader;
        if node != self.shared.id && first == Some(node) {
            self.shared.dead.send_replace(Some(node));
        }
    }

    async fn hand_over(&self) -> bool {
        let shared = &self.shared;
        shared.retiring.store(true, Ordering::SeqCst);
        if shared.mine.lock().is_none() {
            return true;
        }
        let Ok(client) = shared.client() else { return false };
        shared.withdraw().await;
        // Somebody else's registration is the first now.
        let followed = async {
            loop {
                let listed = within(client.list_children(&shared.paths.candidates())).await;
                let others = listed.map(|names| super::records::candidates(&names)).unwrap_or_default();
                if let Some(first) = others.first() {
                    shared.step_down(Some(first.node));
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(HAND_OVER_MAX, followed).await.is_ok()
    }

    async fn shutdown(&self) {
        self.shared.retiring.store(true, Ordering::SeqCst);
        self.shared.withdraw().await;
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            task.abort();
            let _ = task.await;
        }
    }
}
