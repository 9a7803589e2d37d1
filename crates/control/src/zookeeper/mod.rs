//! The metadata in a ZooKeeper ensemble that is already there.
//!
//! Owns what is kept below the cluster's path ([`records`]), the node's session, its candidacy and its
//! copy of the state. Leaves to others: everything that the keys mean, and the running of the ensemble.
//!
//! Invariants: a batch is ordered by one multi-operation that checks the leader's registration and the
//! header's version ([`journal`]); a life ends only together with the batch that says so, and only unrenewed
//! ([`lives`]); watches are hints, and a lost one is made good for by looking again ([`follow`]).
//!
//! Proved by `tests/conformance` against a real server, with connections cut, sessions expired and
//! registrations taken away; and by the process tests of `server` that kill nodes and ZooKeeper's servers.

mod address;
mod election;
mod follow;
mod founding;
mod journal;
mod lives;
mod metadata;
mod records;
mod session;
mod snapshot;

pub use address::{Backend, ZooKeeperAddress};

use self::election::Mine;
use self::journal::{Image, Tail, unavailable};
use self::records::Paths;
use self::session::Sessions;
use crate::pace::Pace;
use crate::store::{Leadership, MetadataError};
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use types::{BlockHash, ClusterId, NodeId};
use zookeeper_client::Client;

/// Batches that may wait for their commit at once.
const COMMITS_MAX: usize = 256;

/// With what a node takes part.
#[derive(Clone, Debug)]
pub struct ZooKeeperOptions {
    /// Where the metadata is.
    pub address: ZooKeeperAddress,
    /// Whose it is.
    pub cluster: ClusterId,
    /// Known to all nodes of the cluster and to nobody else: without it nothing can be read or written.
    pub secret: [u8; 32],
    /// The metadata was there before: it is never made anew.
    pub founded: bool,
}

/// One node's part in the metadata in ZooKeeper.
pub struct ZooKeeperNode {
    shared: Arc<Shared>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    id: NodeId,
    cluster: ClusterId,
    founded: bool,
    /// As people know it.
    place: String,
    paths: Paths,
    sessions: Sessions,
    image: RwLock<Image>,
    revision: watch::Sender<u64>,
    /// Held by whoever reads the log or writes it.
    journal: tokio::sync::Mutex<Tail>,
    mine: Mutex<Option<Mine>>,
    leadership: watch::Sender<Leadership>,
    commits: Semaphore,
    pace: Pace,
    saving: AtomicBool,
    /// This node stops: it decides nothing any more.
    retiring: AtomicBool,
    told: Mutex<Option<(String, Instant)>>,
    /// A node whose process has ended.
    dead: watch::Sender<Option<NodeId>>,
}

impl ZooKeeperNode {
    /// Starts taking part; connects in the background, for as long as it takes.
    pub fn open(id: NodeId, options: ZooKeeperOptions) -> ZooKeeperNode {
        let password = BlockHash::of(&[&b"atoll in zookeeper"[..], &options.secret].concat()).to_string();
        let (sessions, keeper) = Sessions::new(options.address.clone(), password);
        let shared = Arc::new(Shared {
            id,
            cluster: options.cluster,
            founded: options.founded,
            place: options.address.to_string(),
            paths: Paths(options.address.path.clone()),
            sessions,
            image: RwLock::default(),
            revision: watch::Sender::new(0),
            journal: tokio::sync::Mutex::default(),
            mine: Mutex::default(),
            leadership: watch::Sender::new(Leadership::default()),
            commits: Semaphore::new(COMMITS_MAX),
            pace: Pace::default(),
            saving: AtomicBool::new(false),
            retiring: AtomicBool::new(false),
            told: Mutex::default(),
            dead: watch::Sender::default(),
        });
        let tasks = vec![
            tokio::spawn(keeper),
            tokio::spawn(follow::follow(shared.clone())),
            tokio::spawn(election::stand(shared.clone())),
        ];
        ZooKeeperNode { shared, tasks: Mutex::new(tasks) }
    }

    /// This node.
    pub fn id(&self) -> NodeId {
        self.shared.id
    }
}

impl Shared {
    fn client(&self) -> Result<Client, MetadataError> {
        self.sessions.connected().map_err(unavailable)
    }

    /// The registration that this node leads under.
    fn leading(&self) -> Result<Mine, MetadataError> {
        let retiring = self.retiring.load(std::sync::atomic::Ordering::SeqCst);
        let mine = self.mine.lock().clone().filter(|_| !retiring);
        mine.ok_or_else(|| {
            let leader = self.leadership.borrow().leader.filter(|leader| *leader != self.id);
            MetadataError::NotLeader { leader }
        })
    }

    /// Tells of a trouble, and not again and again while it lasts.
    fn tell(&self, error: &MetadataError) {
        const AGAIN: std::time::Duration = std::time::Duration::from_secs(30);
        let text = error.to_string();
        let mut told = self.told.lock();
        if told.as_ref().is_none_or(|(last, at)| *last != text || at.elapsed() > AGAIN) {
            tracing::warn!("{text}");
            *told = Some((text, Instant::now()));
        }
    }
}
