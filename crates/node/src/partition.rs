//! One partition on this node: the replica, and those who wait for its answers.

use crate::applier::{Applier, Work};
use crate::health::Health;
use crate::log_writer::{Append, LogWriter};
use crate::space::Room;
use crate::throttle::Throttle;
use parking_lot::Mutex;
use replication::chain::{
    Answer, Command, CopyId, Environment, Holdings, Message, Replica, RequestId, Tables, TablesFailed,
};
use replication::node::Report;
use rpc::Pool;
use rpc::wire::method;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use storage::{Snapshot, StorageEngine, StorageError};
use tokio::sync::{mpsc, oneshot, watch};
use types::{BlockHash, Clock, Item, ItemKey, Layout, Monotonic, OperationId, Outcome, PartitionId, ReplicaId, Seq};

/// What the storage threads have done.
pub(crate) enum Durable {
    Logged(Vec<(PartitionId, u64)>),
    Applied {
        upto: Vec<(PartitionId, Seq)>,
        /// Blocks that were given a reference: this node should hold them.
        referenced: Vec<BlockHash>,
    },
    Voided(PartitionId, CopyId),
    /// With how many bytes it was.
    Imported(PartitionId, CopyId, u32, usize),
    Installed(PartitionId, CopyId),
}

/// What all partitions of a node share.
pub(crate) struct Shared {
    pub engine: Arc<dyn StorageEngine>,
    pub clock: Arc<dyn Clock>,
    pub log: LogWriter,
    pub applier: Applier,
    pub pool: Pool,
    pub layout: watch::Receiver<Arc<Layout>>,
    pub lease_until: AtomicU64,
    pub runtime: tokio::runtime::Handle,
    pub reports: mpsc::UnboundedSender<Report>,
    pub health: Arc<Health>,
    pub room: Arc<Room>,
    pub throttle: Arc<Throttle>,
}

impl Shared {
    pub fn environment(&self) -> Environment {
        let (now, wall) = self.clock.both();
        Environment {
            now,
            wall,
            lease_until: match self.health.failed() {
                true => Monotonic(0),
                false => Monotonic(self.lease_until.load(Ordering::Acquire)),
            },
            replicas_min: self.layout.borrow().replicas_min,
            under_way: self.room.under_way.load(Ordering::Relaxed),
            full: self.room.full(),
        }
    }
}

/// One partition.
pub(crate) struct Partition {
    pub id: PartitionId,
    pub shared: Arc<Shared>,
    inner: Mutex<Inner>,
    applied: watch::Sender<Seq>,
    /// The copy that is being sent.
    pub copy: Mutex<Option<SendingCopy>>,
}

struct Inner {
    replica: Replica,
    requests: u64,
    waiting: HashMap<RequestId, oneshot::Sender<Answer>>,
    /// A panic left the replica half changed: it is not touched again, in this process.
    broken: bool,
}

pub(crate) struct SendingCopy {
    pub copy: CopyId,
    pub snapshot: Box<dyn Snapshot>,
}

/// The engine's tables as the replica's head sees them.
struct EngineTables<'a>(&'a Shared, PartitionId);

impl EngineTables<'_> {
    fn failed(&self, error: StorageError) -> TablesFailed {
        self.0.health.check(&error);
        TablesFailed(error.to_string())
    }
}

impl Tables for EngineTables<'_> {
    fn get(&self, key: &ItemKey) -> Result<Option<Item>, TablesFailed> {
        self.0.engine.get(self.1, key).map_err(|error| self.failed(error))
    }

    fn outcome(&self, operation: &OperationId) -> Result<Option<Outcome>, TablesFailed> {
        self.0.engine.outcome(self.1, operation).map_err(|error| self.failed(error))
    }
}

impl Partition {
    pub fn new(id: PartitionId, me: ReplicaId, holdings: Holdings, shared: Arc<Shared>) -> Partition {
        let (applied, _) = watch::channel(holdings.applied.seq);
        let replica = Replica::new(me, id, holdings);
        shared.room.under_way.fetch_add(replica.under_way(), Ordering::Relaxed);
        let inner = Mutex::new(Inner { replica, requests: 0, waiting: HashMap::new(), broken: false });
        Partition { id, shared, inner, applied, copy: Mutex::new(None) }
    }

    /// Runs an event on the replica and carries out what it commands, in order.
    pub fn step(self: &Arc<Self>, event: impl FnOnce(&mut Replica, &Environment, &dyn Tables, &mut Vec<Command>)) {
        self.run(&mut self.inner.lock(), event);
    }

    /// A panic in here drops commands and may leave the replica half changed. Then the node takes
    /// no more, and nothing of this replica is acted on again; whoever waits hears *unknown*.
    fn run(
        self: &Arc<Self>,
        inner: &mut Inner,
        event: impl FnOnce(&mut Replica, &Environment, &dyn Tables, &mut Vec<Command>),
    ) {
        if inner.broken {
            return;
        }
        let env = self.shared.environment();
        let before = inner.replica.under_way();
        let done = self.shared.health.guard(
            || format!("partition {}", self.id),
            || {
                let mut commands = Vec::new();
                let tables = EngineTables(&self.shared, self.id);
                event(&mut inner.replica, &env, &tables, &mut commands);
                for command in commands {
                    self.carry_out(inner, command);
                }
            },
        );
        if done.is_none() {
            inner.broken = true;
            inner.waiting.clear();
            return;
        }
        match inner.replica.under_way() {
            more if more > before => self.shared.room.under_way.fetch_add(more - before, Ordering::Relaxed),
            less => self.shared.room.under_way.fetch_sub(before - less, Ordering::Relaxed),
        };
    }

    /// Looks at the replica.
    pub fn look<R>(&self, look: impl FnOnce(&Replica, &Environment) -> R) -> R {
        let env = self.shared.environment();
        look(&self.inner.lock().replica, &env)
    }

    /// Starts a request; the answer arrives on the receiver, or never if the node stops.
    pub fn request(
        self: &Arc<Self>,
        start: impl FnOnce(&mut Replica, &Environment, RequestId, &dyn Tables, &mut Vec<Command>),
    ) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        let mut inner = self.inner.lock();
        if inner.broken {
            return receiver;
        }
        inner.requests += 1;
        let request = RequestId(inner.requests);
        inner.waiting.insert(request, sender);
        self.run(&mut inner, |replica, env, tables, out| start(replica, env, request, tables, out));
        receiver
    }

    /// The last sequence in the tables, as it rises.
    pub fn applied(&self) -> watch::Receiver<Seq> {
        self.applied.subscribe()
    }

    /// Waits until the tables contain everything up to this sequence. False when they do not in time.
    pub async fn has_applied(&self, seq: Seq, patience: Duration) -> bool {
        let mut applied = self.applied();
        if *applied.borrow() >= seq {
            return true;
        }
        let _hurry = self.shared.applier.hurry();
        let arrived = applied.wait_for(|applied| *applied >= seq);
        matches!(tokio::time::timeout(patience, arrived).await, Ok(Ok(_)))
    }

    /// The tables contain everything up to this sequence now.
    pub fn applied_upto(self: &Arc<Self>, seq: Seq) {
        self.step(|replica, env, _, out| replica.applied(env, seq, out));
        self.applied.send_replace(seq);
    }

    /// A copy is in the tables.
    pub fn installed(self: &Arc<Self>, copy: CopyId) {
        self.step(|replica, env, _, out| replica.installed(env, copy, out));
        self.applied.send_replace(self.shared.engine.applied(self.id).seq);
    }

    fn send(&self, message: &Message) {
        let layout = self.shared.layout.borrow();
        if let Some(to) = layout.nodes.get(&message.to.node).filter(|to| !to.address.is_empty())
            && let Err(error) = self.shared.pool.notify(&to.address, method::CHAIN, rpc::codec::encode(message))
        {
            // The protocol says again what matters.
            tracing::trace!(partition = %self.id, to = %message.to.node, %error, "chain message not sent");
        }
    }

    fn carry_out(self: &Arc<Self>, inner: &mut Inner, command: Command) {
        let (partition, shared) = (self.id, &self.shared);
        match command {
            Command::Append { number, record } => shared.log.append(Append { partition, number, record }),
            Command::Send(message) => self.send(&message),
            Command::Apply(entries) => shared.applier.push(Work::Apply { partition, entries }),
            Command::Reply { request, answer } => {
                if let Some(waiting) = inner.waiting.remove(&request) {
                    let _ = waiting.send(answer);
                }
            }
            Command::Fetch { epoch, from } => self.clone().fetch(epoch, from),
            Command::ReadStep { copy, index, want } => self.clone().read_step(copy, index, want),
            Command::Void { copy } => shared.applier.push(Work::Void { partition, copy }),
            Command::Compare { copy, index, after, pieces } => self.clone().compare(copy, index, after, pieces),
            Command::Import { copy, index, range, rows } => {
                shared.applier.push(Work::Import { partition, copy, index, range, rows });
            }
            Command::Install { copy, version, time } => {
                shared.applier.push(Work::Install { partition, copy, version, time });
            }
            Command::ReportSynced(epoch) => drop(shared.reports.send(Report::Synced(partition, epoch))),
            Command::ReportHeld { epoch, last, torn, incomplete } => {
                let _ = shared.reports.send(Report::Held { partition, epoch, last, torn, incomplete });
            }
            Command::ReportDeparted(epoch) => drop(shared.reports.send(Report::Departed(partition, epoch))),
            // Every node is a member of the metadata store and hears of new maps by itself.
            Command::RefreshLayout => {}
        }
    }
}
