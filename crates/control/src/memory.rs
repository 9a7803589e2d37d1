//! A metadata store of one process, for tests: same semantics as a replicated
//! one, with leadership under the test's control.

use crate::state::State;
use crate::store::{Batch, Committed, LeaderToken, Leadership, MetadataError, MetadataStore, Pair, Range};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::watch;
use types::NodeId;

struct Shared {
    state: Mutex<(State, LeaderToken)>,
    revision: watch::Sender<u64>,
    nodes: Mutex<Vec<(NodeId, watch::Sender<Leadership>)>>,
}

/// One node's handle on the common store. Clones are the same node.
#[derive(Clone)]
pub struct MemoryStore {
    node: NodeId,
    shared: Arc<Shared>,
    leader: watch::Receiver<Leadership>,
}

impl MemoryStore {
    /// A new, empty store, led by `node`.
    pub fn new(node: NodeId) -> MemoryStore {
        let token = LeaderToken { term: 1, node };
        let shared = Arc::new(Shared {
            state: Mutex::new((State::default(), token)),
            revision: watch::Sender::new(0),
            nodes: Mutex::new(Vec::new()),
        });
        MemoryStore::attach(shared, node)
    }

    /// Another node's handle on the same store.
    pub fn join(&self, node: NodeId) -> MemoryStore {
        MemoryStore::attach(self.shared.clone(), node)
    }

    fn attach(shared: Arc<Shared>, node: NodeId) -> MemoryStore {
        let token = shared.state.lock().1;
        let (sender, leader) = watch::channel(seen_by(node, token));
        shared.nodes.lock().push((node, sender));
        MemoryStore { node, shared, leader }
    }

    /// Makes this node the leader, under a new term.
    pub fn take_leadership(&self) -> LeaderToken {
        let token = {
            let mut guard = self.shared.state.lock();
            guard.1 = LeaderToken { term: guard.1.term + 1, node: self.node };
            guard.1
        };
        for (node, sender) in self.shared.nodes.lock().iter() {
            sender.send_replace(seen_by(*node, token));
        }
        token
    }

    fn leading(&self, token: LeaderToken) -> Result<LeaderToken, MetadataError> {
        if token.node == self.node { Ok(token) } else { Err(MetadataError::NotLeader { leader: Some(token.node) }) }
    }
}

fn seen_by(node: NodeId, token: LeaderToken) -> Leadership {
    Leadership { leader: Some(token.node), is_self: token.node == node, term: token.term }
}

#[async_trait]
impl MetadataStore for MemoryStore {
    async fn get(&self, key: &str) -> Result<Option<Pair>, MetadataError> {
        let guard = self.shared.state.lock();
        self.leading(guard.1)?;
        Ok(guard.0.get(key))
    }

    async fn range(&self, prefix: &str) -> Result<Range, MetadataError> {
        let guard = self.shared.state.lock();
        self.leading(guard.1)?;
        Ok(guard.0.range(prefix))
    }

    fn local_range(&self, prefix: &str) -> Range {
        self.shared.state.lock().0.range(prefix)
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, MetadataError> {
        batch.validate()?;
        let mut guard = self.shared.state.lock();
        let leadership = self.leading(guard.1)?;
        let result = guard.0.apply(batch, leadership);
        self.shared.revision.send_replace(guard.0.revision());
        result
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.shared.revision.subscribe()
    }

    fn leader(&self) -> watch::Receiver<Leadership> {
        self.leader.clone()
    }

    async fn confirm_leadership(&self) -> Result<LeaderToken, MetadataError> {
        let guard = self.shared.state.lock();
        self.leading(guard.1)
    }
}
