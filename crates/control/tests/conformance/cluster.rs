//! Several Raft nodes in one process, joined by links that can be cut.

use async_trait::async_trait;
use atoll_control::{
    Batch, Leadership, MetadataError, MetadataStore, Pair, RAFT_BODY_BYTES_MAX, RaftNode, RaftRpc, RaftTiming,
    RaftTransport, TransportError,
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use types::NodeId;

/// Nothing that a test waits for takes longer, unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` returns something.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// All links, and who listens where.
#[derive(Default)]
pub struct Switchboard {
    listeners: Mutex<HashMap<String, (NodeId, Weak<RaftNode>)>>,
    cut: Mutex<HashSet<(NodeId, NodeId)>>,
}

struct Port {
    from: NodeId,
    board: Arc<Switchboard>,
}

#[async_trait]
impl RaftTransport for Port {
    async fn send(
        &self,
        target: NodeId,
        address: &str,
        kind: RaftRpc,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, TransportError> {
        assert!(body.len() <= RAFT_BODY_BYTES_MAX);
        assert_eq!(RaftRpc::try_from(u16::from(kind)), Ok(kind));
        let listener = self.board.listeners.lock().get(address).cloned();
        let reached = listener.and_then(|(id, node)| node.upgrade().filter(|_| id == target));
        let Some(node) = reached else {
            return Err(TransportError::Unreachable(format!("nobody is at {address}")));
        };
        // A cut link swallows: the sender learns of it by waiting.
        if self.board.is_cut(self.from, target) {
            tokio::time::sleep(timeout).await;
            return Err(TransportError::Other("no answer".to_string()));
        }
        let answer = node.handle(kind, body).await.map_err(|error| TransportError::Other(error.to_string()))?;
        if self.board.is_cut(target, self.from) {
            tokio::time::sleep(timeout).await;
            return Err(TransportError::Other("no answer".to_string()));
        }
        Ok(answer)
    }
}

impl Switchboard {
    fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.cut.lock().contains(&(from, to))
    }

    /// Cuts or heals one direction.
    pub fn set_link(&self, from: NodeId, to: NodeId, cut: bool) {
        match cut {
            true => self.cut.lock().insert((from, to)),
            false => self.cut.lock().remove(&(from, to)),
        };
    }

    /// Heals everything.
    pub fn heal(&self) {
        self.cut.lock().clear();
    }
}

pub struct Cluster {
    pub board: Arc<Switchboard>,
    timing: RaftTiming,
    dirs: Mutex<BTreeMap<NodeId, TempDir>>,
    nodes: Mutex<BTreeMap<NodeId, Arc<RaftNode>>>,
}

impl Cluster {
    /// `voters` nodes that all vote, with node 1 the founder.
    pub async fn start(voters: u64) -> Cluster {
        let cluster = Cluster {
            board: Arc::default(),
            timing: RaftTiming::default(),
            dirs: Mutex::default(),
            nodes: Mutex::default(),
        };
        let founder = cluster.open(1, "host1").await;
        founder.initialize("host1").await.unwrap();
        for id in 2..=voters {
            cluster.join(id).await;
        }
        if voters > 1 {
            founder.set_voters((1..=voters).map(NodeId).collect()).await.unwrap();
        }
        cluster
    }

    /// Opens a node, new or with what it left.
    pub async fn open(&self, id: u64, address: &str) -> Arc<RaftNode> {
        let id = NodeId(id);
        let dir = self.dirs.lock().entry(id).or_insert_with(|| tempfile::tempdir().unwrap()).path().to_path_buf();
        let port = Arc::new(Port { from: id, board: self.board.clone() });
        let node = Arc::new(RaftNode::open(&dir, id, self.timing, port).await.unwrap());
        self.board.listeners.lock().insert(address.to_string(), (id, Arc::downgrade(&node)));
        self.nodes.lock().insert(id, node.clone());
        node
    }

    /// Opens a node and makes it a learner.
    pub async fn join(&self, id: u64) -> Arc<RaftNode> {
        let address = format!("host{id}");
        let node = self.open(id, &address).await;
        self.leader().await.add_learner(NodeId(id), &address).await.unwrap();
        node
    }

    pub async fn stop(&self, id: NodeId) {
        let node = self.nodes.lock().remove(&id).unwrap();
        self.board.listeners.lock().retain(|_, (listener, _)| *listener != id);
        node.shutdown().await;
    }

    pub fn nodes(&self) -> Vec<Arc<RaftNode>> {
        self.nodes.lock().values().cloned().collect()
    }

    /// Cuts every link of a node, both ways.
    pub fn isolate(&self, id: NodeId, cut: bool) {
        let others: BTreeSet<NodeId> = self.dirs.lock().keys().copied().filter(|other| *other != id).collect();
        for other in others {
            self.board.set_link(id, other, cut);
            self.board.set_link(other, id, cut);
        }
    }

    /// The node that can prove that it leads.
    pub async fn leader(&self) -> Arc<RaftNode> {
        eventually("somebody leads", || async {
            for node in self.nodes() {
                if leadership(&*node).is_self && node.confirm_leadership().await.is_ok() {
                    return Some(node);
                }
            }
            None
        })
        .await
    }

    /// Commits it through whoever leads, and says who did, and at which revision. Only for what may be done twice:
    /// a slow disk costs leaders their office, and then an outcome is unknown.
    pub async fn commit(&self, batch: Batch) -> (Arc<RaftNode>, u64) {
        eventually("it is committed", || async {
            let leader = self.leader().await;
            let committed = passing(leader.commit(batch.clone()).await)?;
            Some((leader, committed.revision))
        })
        .await
    }

    /// [`Self::commit`] of a key.
    pub async fn put(&self, key: &str) -> (Arc<RaftNode>, u64) {
        self.commit(Batch::new().put(key, "v")).await
    }

    /// The pairs under a prefix, as whoever leads knows them.
    pub async fn range(&self, prefix: &str) -> Vec<Pair> {
        eventually("it is read", || async { passing(self.leader().await.range(prefix).await) }).await.pairs
    }

    pub async fn follower(&self) -> Arc<RaftNode> {
        let leader = self.leader().await.id();
        self.nodes().into_iter().find(|node| node.id() != leader).unwrap()
    }

    pub async fn shutdown(&self) {
        for id in self.nodes().iter().map(|node| node.id()) {
            self.stop(id).await;
        }
    }
}

/// Whether it is what one hears from a leader that has just lost its office: then the next one is asked.
pub fn lost_office(error: &MetadataError) -> bool {
    matches!(error, MetadataError::Unknown(_) | MetadataError::NotLeader { .. } | MetadataError::Unavailable(_))
}

/// What was answered; nothing where another leader is to be asked.
fn passing<T>(answer: Result<T, MetadataError>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(error) if lost_office(&error) => None,
        Err(error) => panic!("{error}"),
    }
}

pub fn leadership(store: &dyn MetadataStore) -> Leadership {
    *store.leader().borrow()
}
