//! A node: its parts, put together.

use crate::applier::{Applier, Work};
use crate::blocks::{BlockKeeper, LocalBlocks};
use crate::certificate::{self, Papers};
use crate::clock::ClusterClock;
use crate::coordination::Choice;
use crate::health::Health;
use crate::identity::{self, Identity, IdentityError};
use crate::join::join;
use crate::leader::{Transport, tend_electorate};
use crate::log_writer::{Disk, LogWriter};
use crate::partition::{Partition, Shared};
use crate::retire::Retirement;
use crate::space::{self, Room};
use crate::throttle::Throttle;
use crate::{JoinToken, bond, life, map, reach, service, witness};
use control::controller::{ClusterSettings, Controller, ControllerError, keys};
use control::{Backend, Coordination, RaftTiming};
use futures::FutureExt;
use parking_lot::{Mutex, RwLock};
use replication::chain::Holdings;
use replication::node::Life;
use rpc::tls::{Authority, TlsError};
use rpc::wire::{NodeStatus, Presence};
use rpc::{ClientConfig, Credentials, Handler, Local, Peer, Pool, Server, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use storage::{BlockStore, LsmEngine, LsmOptions, Recovered, StorageEngine, StorageError};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use types::{Action, Classify, Layout, NodeId, PartitionId, ReplicaId};

/// Nodes that are called back at the same time.
const CALLS_BACK_MAX: usize = 8;

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Data folder; made when it is not there.
    pub folder: PathBuf,
    /// How others reach it, and what it offers.
    pub presence: Presence,
    /// Joins that cluster, when the folder is new. Without it a new folder makes a new cluster.
    pub join: Option<JoinToken>,
    /// What keeps the metadata of a new cluster; a folder that is known already must agree. None: what the
    /// folder or the cluster has, or Raft.
    pub coordination: Option<Backend>,
    /// Length of leases; the same on all nodes.
    pub lease: Duration,
    /// How long a node's certificate is good for; it is renewed long before.
    pub certificate_life: Duration,
    /// Raft's timing.
    pub timing: RaftTiming,
    /// Partitions of a new cluster.
    pub partitions: u16,
    /// Replicas of each, in a new cluster.
    pub replicas: u8,
    /// How memory and disk are used.
    pub storage: LsmOptions,
    /// Blocks that nothing keeps any more go after this long.
    pub collect_after: Duration,
    /// The program that stands by as [`crate::witness()`] when it is run with that word; none: there is no witness, and
    /// when this process ends the others wait until its lease has run out.
    pub witness: Option<PathBuf>,
}

impl NodeConfig {
    /// The usual settings.
    pub fn new(folder: impl Into<PathBuf>, presence: Presence) -> NodeConfig {
        NodeConfig {
            folder: folder.into(),
            presence,
            join: None,
            coordination: None,
            lease: Duration::from_millis(1000),
            certificate_life: Duration::from_secs(30 * 24 * 3600),
            timing: RaftTiming::default(),
            partitions: 64,
            replicas: 3,
            storage: LsmOptions::default(),
            collect_after: Duration::from_secs(10 * 60),
            witness: None,
        }
    }
}

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Who it is.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Storage.
    #[error("{folder}: {error}")]
    Storage {
        /// Data folder.
        folder: PathBuf,
        /// Why.
        error: StorageError,
    },
    /// Its certificate.
    #[error(transparent)]
    Certificate(#[from] TlsError),
    /// The certificate is gone.
    #[error("{0}: certificate.json is missing: restore it from a copy, or join anew with an empty data folder")]
    NoCertificate(PathBuf),
    /// Control plane.
    #[error("control plane: {0}")]
    Control(#[from] control::controller::ControllerError),
    /// Joining was refused, or nobody answered.
    #[error("cannot join the cluster: {0}")]
    Join(String),
    /// The cluster's metadata is kept elsewhere.
    #[error("{0}")]
    Coordination(String),
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// A node that runs.
pub struct Node {
    pub(crate) inner: Arc<Inner>,
    server: Option<Server>,
    own: Local,
    controller: Option<JoinHandle<()>>,
    tasks: Vec<JoinHandle<()>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

pub(crate) struct Inner {
    pub folder: PathBuf,
    pub address: String,
    pub presence: Presence,
    pub identity: Mutex<Identity>,
    pub me: RwLock<ReplicaId>,
    pub clock: Arc<ClusterClock>,
    pub life: Mutex<Life>,
    /// The present one, from before anybody else hears of it until it ends.
    pub lives: watch::Sender<Option<ReplicaId>>,
    pub lease_length: Duration,
    pub certificate_life: Duration,
    pub credentials: Credentials,
    pub coordination: Arc<dyn Coordination>,
    pub backend: Backend,
    pub controller: Arc<Controller>,
    pub control_pool: Pool,
    pub shared: Arc<Shared>,
    pub engine: Arc<LsmEngine>,
    pub blocks: Arc<BlockKeeper>,
    pub layout: watch::Receiver<Arc<Layout>>,
    pub layout_sender: watch::Sender<Arc<Layout>>,
    pub retirement: Retirement,
    partitions: OnceLock<Vec<Arc<Partition>>>,
    pub health: Arc<Health>,
    /// Nanoseconds of the monotonic clock: until then reads are for the threads for disks.
    pub disk_is_slow_until: AtomicU64,
    /// Why the others do not reach this node at its address, when they say so.
    pub unreached: watch::Sender<Option<String>>,
    /// Who asks whether he is reached is called, a few at a time.
    pub calls_back: Semaphore,
    /// Set once the node was removed from the cluster, with the controller's words.
    pub dismissed: watch::Sender<Option<String>>,
}

impl Node {
    /// Starts on a listener that is already bound; returns once the node knows its cluster.
    pub async fn start(config: NodeConfig, listener: TcpListener) -> Result<Node, NodeError> {
        std::fs::create_dir_all(&config.folder)?;
        identity::private(&config.folder.join("control"))?;
        let asked = config.coordination.as_ref();
        let (mut identity, mut choice) = match Identity::load(&config.folder)? {
            Some(identity) => (identity, Choice::load(&config.folder, asked)?),
            None => {
                bond::unowned(&config.folder)?;
                let (identity, choice) = match &config.join {
                    Some(token) => join(&config.folder, token, &config.presence, asked).await?,
                    None => (Identity::new_cluster(config.partitions)?, Choice::new(asked)),
                };
                choice.save(&config.folder)?;
                identity.save(&config.folder)?;
                (identity, choice)
            }
        };
        bond::tie(&config.folder, &mut identity)?;
        if identity.meets(&config.presence.address, None) {
            identity.save(&config.folder)?;
        }
        let me = ReplicaId { node: identity.node, incarnation: identity.incarnation };
        let peer = Peer::node(me, config.presence.address.clone());
        let papers = match (Papers::load(&config.folder)?, &identity.founding) {
            (Some(papers), _) => papers,
            (None, Some(authority)) => {
                let papers = Papers::issued(authority, identity.node, config.certificate_life)?;
                papers.save(&config.folder)?;
                papers
            }
            (None, None) => return Err(NodeError::NoCertificate(config.folder.clone())),
        };
        let credentials = Credentials::new(papers.keyring(identity.cluster)?, peer);
        let pool = Pool::new(ClientConfig::new(credentials.clone()));
        let control_pool = Pool::new(ClientConfig::new(credentials.clone()));

        let (folder, options) = (config.folder.clone(), config.storage.clone());
        let opened =
            tokio::task::spawn_blocking(move || open(&folder, options)).await.map_err(std::io::Error::other)?;
        let (engine, store) = opened.map_err(|error| NodeError::Storage { folder: config.folder.clone(), error })?;
        let transport = Transport(control_pool.clone());
        let coordination = choice.open(&config, &identity, identity.gateways.0, transport).await?;
        let clock = Arc::new(ClusterClock::default());
        let controller = Controller::new(coordination.clone(), clock.clone(), config.lease);

        let health = Arc::new(Health::default());
        let (durable_sender, durable) = mpsc::unbounded_channel();
        let dyn_engine: Arc<dyn StorageEngine> = engine.clone();
        let room = Arc::new(Room::new(&config.folder, dyn_engine.clone()));
        let throttle = Arc::<Throttle>::default();
        let disk = Disk { engine: dyn_engine.clone(), room: room.clone(), throttle: throttle.clone() };
        let (log, log_thread) = LogWriter::start(disk, durable_sender.clone(), health.clone())?;
        let (applier, applier_thread) =
            Applier::start(dyn_engine.clone(), room.clone(), durable_sender, health.clone())?;
        let (layout_sender, layout) = watch::channel(Arc::new(Layout::default()));
        let (report_sender, reports) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            engine: dyn_engine,
            clock: clock.clone(),
            log,
            applier,
            pool: pool.clone(),
            layout: layout.clone(),
            lease_until: AtomicU64::new(0),
            runtime: tokio::runtime::Handle::current(),
            reports: report_sender,
            health: health.clone(),
            room: room.clone(),
            throttle,
        });
        let blocks = Arc::new(BlockKeeper::new(
            store,
            pool,
            layout.clone(),
            identity.node,
            config.collect_after,
            health.clone(),
            clock.clone(),
        ));
        let inner = Arc::new(Inner {
            folder: config.folder.clone(),
            address: config.presence.address.clone(),
            presence: config.presence.clone(),
            me: RwLock::new(me),
            clock,
            life: Mutex::new(Life::new(me, config.lease)),
            lives: watch::Sender::default(),
            lease_length: config.lease,
            certificate_life: config.certificate_life,
            credentials: credentials.clone(),
            coordination,
            backend: choice.backend.clone(),
            controller,
            control_pool,
            shared,
            engine,
            blocks,
            layout,
            layout_sender,
            retirement: Retirement::default(),
            partitions: OnceLock::new(),
            health,
            disk_is_slow_until: AtomicU64::new(0),
            unreached: watch::Sender::default(),
            calls_back: Semaphore::new(CALLS_BACK_MAX),
            dismissed: watch::Sender::default(),
            identity: Mutex::new(identity.clone()),
        });
        let service: Arc<dyn Handler> = Arc::new(service::Service(inner.clone()));
        let gateway = Peer { certified: Some(identity.node), ..Peer::gateway(inner.address.clone()) };
        let own = Local::new(inner.address.clone(), gateway, &service);
        let server = Server::serve(listener, ServerConfig::new(credentials), service)?;
        let mut node = Node {
            inner: inner.clone(),
            server: Some(server),
            own,
            controller: None,
            tasks: vec![],
            threads: vec![log_thread, applier_thread],
        };
        {
            let (controller, coordination) = (inner.controller.clone(), inner.coordination.clone());
            // Without its controller a node must not lead: nobody would cut anybody out.
            let resign = async move { coordination.shutdown().await };
            let watched = inner.health.clone().watch_task("the controller", controller.run());
            node.controller = Some(tokio::spawn(watched.then(|()| resign)));
        }
        if let Some(authority) = identity.founding.clone() {
            let known = inner.coordination.is_initialized().await.map_err(ControllerError::from)?;
            inner.coordination.initialize(&inner.address).await.map_err(ControllerError::from)?;
            let founding = inner.clone().found(authority, config.replicas);
            // Who was cut short, and who is only one of many by now, need not be waited for.
            if known {
                node.tasks.push(tokio::spawn(founding))
            } else {
                founding.await
            }
            choice.founded(&config.folder)?;
        }
        inner.make_partitions(identity.partitions);
        node.run("the keeper of the certificate", certificate::keep(inner.clone()));
        node.run("the follower of the map", map::follow(inner.clone()));
        node.run("the finisher", service::finish(inner.clone(), durable));
        node.run("the clock of the replicas", service::tick(inner.clone()));
        node.run("the watch over the disk", space::watch(room));
        node.run("the watch over the metadata", life::watch_metadata(inner.clone()));
        node.run("the expiry of items", service::expire(inner.clone()));
        node.run("the reporter", life::report(inner.clone(), reports));
        node.run("the care for voters", tend_electorate(inner.clone()));
        node.run("the block keeper", inner.blocks.clone().keep(inner.clone()));
        node.run("the collection of blocks", inner.blocks.clone().collect(inner.clone()));
        node.run("the reading for drains", inner.blocks.clone().verify_for_drains(inner.clone()));
        node.run("the scrub", inner.blocks.clone().scrub_slowly(inner.clone()));
        node.run("the ear for its own removal", life::heed_dismissal(inner.clone()));
        let witness = witness::keep(inner.clone(), config.witness.clone());
        node.run("the keeper of the witness", witness);
        node.run("the question whether it is reached", reach::watch(inner.clone()));
        node.run("the keeper of the lease", inner.clone().live());
        Ok(node)
    }

    /// Starts a task that goes on as long as the node does.
    fn run(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(tokio::spawn(self.inner.health.clone().watch_task(name, task)));
    }

    /// Who it is.
    pub fn identity(&self) -> Identity {
        self.inner.identity.lock().clone()
    }

    /// How a gateway in the same process calls the cluster.
    pub fn credentials(&self) -> Credentials {
        self.inner.credentials.as_gateway(self.inner.address.clone())
    }

    /// How it calls this node, without a connection.
    pub fn own(&self) -> Local {
        self.own.clone()
    }

    /// A handle that reads blocks of this node's own disk.
    pub fn local_blocks(&self) -> LocalBlocks {
        LocalBlocks(self.inner.blocks.clone())
    }

    /// The newest map, as it changes.
    pub fn layout(&self) -> watch::Receiver<Arc<Layout>> {
        self.inner.layout.clone()
    }

    /// How it is.
    pub fn status(&self) -> NodeStatus {
        self.inner.status()
    }

    /// Why the others do not reach this node at its address, when they say so.
    pub fn unreached(&self) -> Option<String> {
        self.inner.unreached.borrow().clone()
    }

    /// Ends, with the reason, when this node has been removed from its cluster.
    pub async fn dismissed(&self) -> String {
        let mut dismissed = self.inner.dismissed.subscribe();
        match dismissed.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    }

    /// Ends, with the reason, when this node takes no more: its storage failed, or a part of it broke.
    /// Only a new start makes it whole.
    pub async fn broken(&self) -> String {
        self.inner.health.failure().await
    }

    /// Stops cleanly: see [`crate::retire`]; then makes the tables durable. On return the data folder
    /// may be opened again.
    pub async fn shutdown(mut self) {
        self.inner.health.stop();
        self.inner.retire().await;
        self.inner.retirement.close();
        if let Some(controller) = self.controller.take() {
            controller.abort();
            let _ = controller.await;
        }
        self.inner.coordination.shutdown().await;
        self.own.close();
        if let Some(server) = self.server.take() {
            server.shutdown(Duration::from_secs(2)).await;
        }
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            let _ = task.await;
        }
        self.inner.shared.log.stop();
        self.inner.shared.applier.push(Work::Stop);
        let threads = std::mem::take(&mut self.threads);
        let ended = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
        let _ = ended.await;
        // Who still reads for an answer that nobody hears holds the folder open.
        let held = std::time::Instant::now();
        while Arc::strong_count(&self.inner) > 1 && held.elapsed() < Duration::from_secs(5) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn open(folder: &Path, options: LsmOptions) -> Result<(Arc<LsmEngine>, Arc<BlockStore>), StorageError> {
    let engine = LsmEngine::open(folder, options)?;
    let blocks = BlockStore::open(folder)?;
    Ok((Arc::new(engine), Arc::new(blocks)))
}

impl Inner {
    pub fn id(&self) -> NodeId {
        self.me.read().node
    }

    /// All partitions; none before the first map was seen.
    pub fn partitions(&self) -> &[Arc<Partition>] {
        self.partitions.get().map_or(&[], Vec::as_slice)
    }

    /// One partition.
    pub fn partition(&self, id: PartitionId) -> Option<&Arc<Partition>> {
        self.partitions().get(id.0 as usize)
    }

    /// What stopped this node, if anything did.
    pub fn stopped(&self) -> Option<String> {
        self.health.why()
    }

    /// The first node makes the cluster, once it leads, unless it is made. Every step is harmless when it
    /// was done before, so that a first start may be cut short anywhere.
    async fn found(self: Arc<Self>, authority: Authority, replicas: u8) {
        let settings = {
            let identity = self.identity.lock();
            ClusterSettings {
                cluster: identity.cluster,
                partitions: identity.partitions,
                replicas,
                secrets: keys::Secrets { authority, gateways: identity.gateways.clone() },
            }
        };
        while self.coordination.local_range(keys::SETTINGS).pairs.is_empty() {
            // Compared and set by whoever leads; on a node that merely has not heard yet it fails.
            match self.controller.create_cluster(&settings).await {
                Ok(()) => break,
                Err(error) if error.action() == Action::Fatal => return tracing::error!(%error, "no cluster was made"),
                Err(error) => tracing::debug!(%error, "the cluster is not made yet"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // The authority is the metadata's from now on.
        let mut identity = self.identity.lock();
        identity.founding = None;
        if let Err(error) = identity.save(&self.folder) {
            tracing::error!(%error, "the authority's key stays in the node's own file, too");
        }
    }

    fn make_partitions(&self, count: u16) {
        let mut recovered = self.engine.recovered();
        let torn = recovered.values().any(|found| found.torn);
        if torn {
            tracing::warn!("the log's end was torn and cut: what it holds is to be compared with other replicas");
        }
        let me = *self.me.read();
        let partitions = (0..count)
            .map(|index| {
                let id = PartitionId(index);
                // One that the log does not speak of may have lost all that it said to the cut.
                let found = recovered.remove(&id).unwrap_or_else(|| Recovered { torn, ..Recovered::default() });
                let holdings = Holdings {
                    epoch: found.epoch,
                    applied: found.applied,
                    time: found.time,
                    unapplied: found.unapplied,
                    incomplete: found.incomplete,
                    torn: found.torn,
                };
                Arc::new(Partition::new(id, me, holdings, self.shared.clone()))
            })
            .collect();
        let _ = self.partitions.set(partitions);
    }
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
