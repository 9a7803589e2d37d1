//! Runs the controller on a metadata store: answers nodes, and writes what [`super::plan`] decides.

use super::change;
use super::deaths::Deaths;
use super::keys::{self, Secrets, Settings};
use super::leading::{self, Known, Leading};
use super::lives;
use super::lost::Told;
use super::plan::Plan;
use crate::store::{Batch, Committed, Expect, LeaderToken, LifeChange, MetadataError, MetadataStore, Range};
use parking_lot::Mutex;
use rpc::wire::{
    ChangeLayout, CreateTable, Edit, LayoutPreview, LeaseReply, LeaseRequest, RegisterReply, RegisterRequest,
    SyncedReport,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use types::layout::BLOCKS_TABLE;
use types::limits::TABLE_NAME_BYTES_MAX;
use types::{
    Action, Chain, Classify, Clock, ClusterId, LayoutVersion, NodeId, NodeInfo, PartitionId, ReplicaId, TableId,
    TableKind, TableSpec,
};

/// How often the controller looks, when nothing wakes it.
const TICK: Duration = Duration::from_millis(50);
/// Tries of a compare-and-set before *busy*.
pub(super) const TRIES: usize = 16;
/// Tables at most.
const TABLES_MAX: usize = 10_000;

/// What a new cluster is made with.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// Random.
    pub cluster: ClusterId,
    /// Partitions, for ever.
    pub partitions: u16,
    /// Replicas of each.
    pub replicas: u8,
    /// What makes its certificates, and what its gateways share.
    pub secrets: Secrets,
}

/// Why the controller did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControllerError {
    /// The metadata store.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// Not allowed.
    #[error("{0}")]
    Denied(String),
    /// Bad input.
    #[error("{0}")]
    Invalid(String),
    /// Somebody else was quicker, again and again.
    #[error("busy: try again shortly")]
    Busy,
}

impl Classify for ControllerError {
    fn action(&self) -> Action {
        match self {
            ControllerError::Metadata(error) => error.action(),
            ControllerError::Denied(_) | ControllerError::Invalid(_) => Action::Rejected,
            ControllerError::Busy => Action::Retry,
        }
    }
}

/// A controller on one node; it acts while that node leads.
pub struct Controller {
    pub(super) store: Arc<dyn MetadataStore>,
    pub(super) clock: Arc<dyn Clock>,
    lease: Duration,
    leading: Mutex<Option<Leading>>,
    /// Joiners that are looked at, at the same time.
    pub(super) joins: Semaphore,
    /// Locked after `leading`.
    deaths: Mutex<Deaths>,
    wake: Notify,
}

impl Controller {
    /// A controller that grants leases of this length.
    pub fn new(store: Arc<dyn MetadataStore>, clock: Arc<dyn Clock>, lease: Duration) -> Arc<Controller> {
        Arc::new(Controller {
            store,
            clock,
            lease,
            leading: Mutex::new(None),
            deaths: Mutex::default(),
            joins: Semaphore::new(2),
            wake: Notify::new(),
        })
    }

    /// Makes the cluster, with its first node. Harmless when it is made already.
    pub async fn create_cluster(&self, settings: &ClusterSettings) -> Result<(), ControllerError> {
        let first = NodeId(1);
        let blocks = TableSpec {
            id: BLOCKS_TABLE,
            namespace: "sys".into(),
            name: "blocks".into(),
            kind: TableKind::Strong,
            owner: "atoll".into(),
        };
        let mut batch = Batch::new()
            .expect(keys::SETTINGS, Expect::Absent)
            .put(
                keys::SETTINGS,
                keys::encode(&Settings {
                    cluster: settings.cluster,
                    partitions: settings.partitions,
                    replicas_wanted: settings.replicas,
                    replicas_min: 1,
                    replicas_min_set: false,
                    feature_level: 1,
                }),
            )
            .put(keys::SECRETS, keys::encode(&settings.secrets))
            .put(keys::NEXT_NODE, "2")
            .put(keys::NEXT_TABLE, (BLOCKS_TABLE.0 + 1).to_string())
            .put(keys::table(BLOCKS_TABLE), keys::encode(&blocks))
            .put(keys::table_name(&blocks.namespace, &blocks.name), blocks.id.to_string())
            .put(keys::node(first), keys::encode(&NodeInfo::unborn(first)));
        for partition in 0..settings.partitions {
            let chain = Chain { complete: BTreeSet::from([first]), wanted: vec![first], ..Chain::default() };
            batch = batch.put(keys::chain(PartitionId(partition)), keys::encode(&chain));
        }
        match self.store.commit(batch).await {
            Ok(_) | Err(MetadataError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Acts whenever this node leads. Runs until dropped.
    pub async fn run(self: Arc<Self>) {
        let mut leadership = self.store.leader();
        loop {
            let is_self = leadership.borrow_and_update().is_self;
            if !is_self {
                *self.leading.lock() = None;
                if leadership.changed().await.is_err() {
                    return;
                }
                continue;
            }
            if let Err(error) = self.step().await {
                tracing::debug!(%error, "controller step");
            }
            tokio::select! {
                _ = tokio::time::sleep(TICK) => {}
                _ = self.wake.notified() => {}
                changed = leadership.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Proves leadership now; a new one begins with an empty lease book.
    async fn confirm(&self) -> Result<LeaderToken, ControllerError> {
        let token = self.store.confirm_leadership().await?;
        let now = self.clock.monotonic();
        let mut leading = self.leading.lock();
        if Leading::confirm(&mut leading, token, self.lease, now) {
            tracing::info!(?token, "leading the control plane");
            if let Some(leading) = leading.as_mut() {
                self.deaths.lock().tell(leading);
                if self.store.lives().is_some() {
                    leading.watch_lives();
                }
            }
        }
        Ok(token)
    }

    async fn step(&self) -> Result<(), ControllerError> {
        let led = self.leading.lock().as_ref().map(Leading::token);
        let token = match led {
            Some(token) => token,
            None => self.confirm().await?,
        };
        self.look_at_lives(token).await?;
        if self.decide(token, false).is_none_or(|(_, batch, _)| batch.operations.is_empty()) {
            return Ok(());
        }
        // Decided without a majority it would be carried out once there is one again, when it is no longer true.
        let token = self.confirm().await?;
        let Some((plan, batch, lives)) = self.decide(token, true) else { return Ok(()) };
        if batch.operations.is_empty() {
            return Ok(());
        }
        match self.commit(batch.fenced(token), &lives).await {
            Ok(_) => {
                for replica in &plan.voided {
                    tracing::warn!(node = %replica.node, "the node was cut out of its chains: its lease ran out, or its process ended");
                }
                self.wake.notify_one();
                Ok(())
            }
            Err(MetadataError::Fenced { .. }) => {
                *self.leading.lock() = None;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sees which lives were renewed, where the store keeps them.
    async fn look_at_lives(&self, token: LeaderToken) -> Result<(), ControllerError> {
        let Some(store) = self.store.lives() else { return Ok(()) };
        let nodes: Vec<NodeInfo> = self.store.local_range("nodes/").pairs.iter().filter_map(keys::decode).collect();
        let lives = lives::living(&nodes);
        let renewals = store.look(&lives).await?;
        // After the answers: whatever was seen was sent before.
        let now = self.clock.monotonic();
        let seen: Vec<_> = lives.into_iter().zip(renewals).collect();
        if let Some(leading) = self.leading.lock().as_mut().filter(|leading| leading.token() == token) {
            leading.sees(&seen, now);
        }
        Ok(())
    }

    /// Writes a batch, and what it means for lives where the store keeps them.
    async fn commit(&self, batch: Batch, lives: &[LifeChange]) -> Result<Committed, MetadataError> {
        match self.store.lives() {
            Some(store) => store.commit(batch, lives).await,
            None => self.store.commit(batch).await,
        }
    }

    /// What is to be done now, by what is known. `final_word`: it will be tried.
    fn decide(&self, token: LeaderToken, final_word: bool) -> Option<(Plan, Batch, Vec<LifeChange>)> {
        let known = Known::read(self.store.local_range(""))?;
        let mut leading = self.leading.lock();
        let leading = leading.as_mut().filter(|leading| leading.token() == token)?;
        let (plan, batch) = leading.decide(&known, self.clock.monotonic(), final_word);
        let lives = leading.endings(&plan);
        Some((plan, batch, lives))
    }

    /// A node begins a life.
    pub async fn register(&self, request: RegisterRequest) -> Result<RegisterReply, ControllerError> {
        self.confirm().await?;
        let replica = ReplicaId { node: request.node, incarnation: request.incarnation };
        let key = keys::node(request.node);
        for _ in 0..TRIES {
            let now = self.store.get(&key).await?;
            let batch = leading::registration(now.as_ref(), &request)?;
            // Who registers anew serves nothing any more of what it was.
            let last = now.as_ref().and_then(keys::decode::<NodeInfo>).filter(|node| node.alive);
            let last = last.map(|node| LifeChange::End(ReplicaId { node: node.id, incarnation: node.incarnation }));
            let lives: Vec<LifeChange> = last.into_iter().chain([LifeChange::Begin(replica)]).collect();
            if let Some(leading) = self.leading.lock().as_mut() {
                leading.registers(replica, self.clock.monotonic());
            }
            match self.commit(batch, &lives).await {
                Ok(committed) => {
                    self.wake.notify_one();
                    return Ok(RegisterReply { layout: LayoutVersion(committed.revision) });
                }
                Err(MetadataError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ControllerError::Busy)
    }

    /// Renews a lease.
    pub async fn lease(&self, request: LeaseRequest) -> Result<LeaseReply, ControllerError> {
        if self.store.lives().is_some() {
            // The leader's word counts for nothing there.
            return Err(ControllerError::Invalid("the nodes of this cluster renew their leases in ZooKeeper".into()));
        }
        // After this, nobody else can have led between the request's arrival and the grant.
        let token = self.confirm().await?;
        let all = self.store.local_range("nodes/");
        let alive = all
            .pairs
            .iter()
            .filter_map(keys::decode::<NodeInfo>)
            .any(|node| node.id == request.node && node.incarnation == request.incarnation && node.alive);
        let replica = ReplicaId { node: request.node, incarnation: request.incarnation };
        let mut leading = self.leading.lock();
        let Some(leading) = leading.as_mut().filter(|leading| leading.token() == token) else {
            return Err(ControllerError::Metadata(MetadataError::NotLeader { leader: None }));
        };
        let now = self.clock.monotonic();
        let heard_of = leading.has_heard_of(replica);
        if leading.renews(replica, alive, now) {
            if !heard_of {
                // Perhaps that was all that a decision waited for.
                self.wake.notify_one();
            }
            let date = leading.date(request.node, request.date, now);
            Ok(LeaseReply::Granted { lease: self.lease, layout: LayoutVersion(all.revision), date })
        } else {
            Ok(LeaseReply::Void)
        }
    }

    /// A node stops, and serves nothing more in this life: nobody need wait for its lease to run out.
    pub async fn surrender(&self, request: LeaseRequest) -> Result<(), ControllerError> {
        let token = self.confirm().await?;
        let replica = ReplicaId { node: request.node, incarnation: request.incarnation };
        let mut leading = self.leading.lock();
        let Some(leading) = leading.as_mut().filter(|leading| leading.token() == token) else {
            return Err(ControllerError::Metadata(MetadataError::NotLeader { leader: None }));
        };
        leading.surrenders(replica);
        self.wake.notify_one();
        Ok(())
    }

    /// The process of that life has ended, whoever leads: nobody need wait for its lease to run out.
    pub fn died(&self, life: ReplicaId) {
        let mut leading = self.leading.lock();
        self.deaths.lock().hear(life);
        if let Some(leading) = leading.as_mut() {
            leading.surrenders(life);
        }
        drop(leading);
        self.wake.notify_one();
    }

    /// A member tells of its chains.
    pub async fn report(&self, report: SyncedReport) -> Result<(), ControllerError> {
        // Said again until the map shows that it was heard: what is known already asks for no other look.
        if self.leading.lock().as_mut().is_some_and(|leading| leading.hears(report)) {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Changes by command who holds data; or tells what a change would do.
    pub async fn change_layout(&self, request: ChangeLayout) -> Result<LayoutPreview, ControllerError> {
        for _ in 0..TRIES {
            let token = self.confirm().await?;
            let all = self.store.local_range("");
            let layout = keys::layout(&all).ok_or(ControllerError::Busy)?;
            let told = self.told(token, &all);
            let (next, mut preview) = change::change(&layout, &request, &told).map_err(ControllerError::Invalid)?;
            if let Some(at) = request.at
                && change::last_change(&all) > at
            {
                return Err(ControllerError::Invalid(format!(
                    "nothing was changed: the nodes have changed since layout {at}; look at the plan again"
                )));
            }
            if !request.apply {
                return Ok(preview);
            }
            if !preview.unsafe_because.is_empty() {
                return Err(ControllerError::Invalid(format!(
                    "nothing was changed: {}",
                    preview.unsafe_because.join("; ")
                )));
            }
            let (at, by, begun) = (self.clock.wall(), request.by.clone(), preview.begins.clone());
            let record = keys::Removal { at, by, begun };
            let Some(batch) = change::write(&layout, &next, &all, &record) else {
                return Ok(LayoutPreview { applied: true, ..preview });
            };
            let gone =
                lives::living(layout.nodes.values()).into_iter().filter(|life| !next.nodes.contains_key(&life.node));
            let lives: Vec<LifeChange> = gone.map(LifeChange::End).collect();
            match self.commit(batch.fenced(token), &lives).await {
                Ok(committed) => {
                    for node in next.removed.difference(&layout.removed) {
                        let given_up = request.edits.contains(&Edit::GiveUp(*node));
                        let (by, begun) = (&record.by, &record.begun);
                        tracing::warn!(%node, by, given_up, ?begun, "removed from the cluster by command");
                    }
                    self.wake.notify_one();
                    preview.layout = LayoutVersion(committed.revision);
                    return Ok(LayoutPreview { applied: true, ..preview });
                }
                Err(MetadataError::Conflict { .. } | MetadataError::Fenced { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ControllerError::Busy)
    }

    /// What is known of the copies of partitions that nobody serves.
    fn told(&self, token: LeaderToken, all: &Range) -> Told {
        let leading = self.leading.lock();
        let leading = leading.as_ref().filter(|leading| leading.token() == token);
        leading.zip(Known::read(all.clone())).map(|(leading, known)| leading.told(&known)).unwrap_or_default()
    }

    /// Makes a table.
    pub async fn create_table(&self, request: CreateTable) -> Result<TableSpec, ControllerError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if request.name.is_empty() || request.name.len() > TABLE_NAME_BYTES_MAX || !request.name.chars().all(allowed) {
            return Err(ControllerError::Invalid(format!(
                "a table's name has 1 to {TABLE_NAME_BYTES_MAX} letters, digits, dots, dashes and underscores"
            )));
        }
        if request.kind == TableKind::Available {
            return Err(ControllerError::Invalid("available tables are not offered yet: make a strong one".into()));
        }
        let name_key = keys::table_name(&request.namespace, &request.name);
        for _ in 0..TRIES {
            if let Some(pair) = self.store.get(&name_key).await? {
                let id = TableId(number(&pair.value)? as u32);
                let spec = self.store.get(&keys::table(id)).await?.and_then(|pair| keys::decode::<TableSpec>(&pair));
                return match spec {
                    Some(spec) if request.or_existing && spec.kind == request.kind => Ok(spec),
                    _ => Err(ControllerError::Invalid(format!("there is a table {} already", request.name))),
                };
            }
            if self.store.local_range("tables/").pairs.len() >= TABLES_MAX {
                return Err(ControllerError::Invalid(format!("there are {TABLES_MAX} tables: delete some first")));
            }
            let next = self.store.get(keys::NEXT_TABLE).await?.ok_or(ControllerError::Busy)?;
            let id = TableId(number(&next.value)? as u32);
            let spec = TableSpec {
                id,
                namespace: request.namespace.clone(),
                name: request.name.clone(),
                kind: request.kind,
                owner: request.owner.clone(),
            };
            let batch = Batch::new()
                .expect(&name_key, Expect::Absent)
                .expect(keys::NEXT_TABLE, Expect::Revision(next.revision))
                .put(keys::NEXT_TABLE, (id.0 + 1).to_string())
                .put(&name_key, id.to_string())
                .put(keys::table(id), keys::encode(&spec));
            match self.store.commit(batch).await {
                Ok(_) => return Ok(spec),
                Err(MetadataError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ControllerError::Busy)
    }

    /// Takes a table off the map. Its items are no longer reachable; its number is not reused.
    pub async fn delete_table(&self, id: TableId) -> Result<(), ControllerError> {
        let key = keys::table(id);
        let Some(pair) = self.store.get(&key).await? else {
            return Err(ControllerError::Invalid(format!("there is no table number {id}")));
        };
        let spec: TableSpec = keys::decode(&pair).ok_or(ControllerError::Busy)?;
        let batch = Batch::new()
            .expect(&key, Expect::Revision(pair.revision))
            .delete(&key)
            .delete(keys::table_name(&spec.namespace, &spec.name));
        match self.store.commit(batch).await {
            Ok(_) => Ok(()),
            Err(MetadataError::Conflict { .. }) => Err(ControllerError::Busy),
            Err(error) => Err(error.into()),
        }
    }
}

pub(super) fn number(text: &[u8]) -> Result<u64, ControllerError> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(ControllerError::Busy)
}
