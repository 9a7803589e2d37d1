//! Requests in, answers out; and the loops that keep replicas going.

use crate::gate;
use crate::node::Inner;
use crate::partition::{Durable, Partition};
use bytes::Bytes;
use control::RaftRpc;
use futures::future::BoxFuture;
use replication::chain::{Answer, Failure, Message};
use rpc::wire::{Fault, LayoutRequest, TransactReply, TransactRequest, method};
use rpc::{Body, Code, Handler, Peer, Status};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use types::{
    KeyHash, MemberState, OperationId, PartitionId, ReplicaId, TableId, TableKind, Transaction, Update, Verdict,
};

/// The longest that a request waits here; its client has given up by then.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(20);
/// The longest that a poll waits when there is nothing to tell.
pub(crate) const POLL_MAX: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(50);
const EXPIRE_EVERY: Duration = Duration::from_secs(1);
const EXPIRE_BATCH: usize = 256;

/// Hands requests to the node.
pub(crate) struct Service(pub Arc<Inner>);

impl Handler for Service {
    fn call(&self, from: &Peer, number: u16, body: Bytes) -> BoxFuture<'static, Result<Body, Status>> {
        if let Err(refusal) = gate::may_call(from, number, &body) {
            tracing::warn!(%from, number, %refusal, "a call was refused");
            return Box::pin(std::future::ready(Err(refusal)));
        }
        let inner = self.0.clone();
        if number == method::REACH {
            let from = from.clone();
            return Box::pin(async move { reply(inner.call_back(from).await) });
        }
        Box::pin(async move { inner.answer(number, body).await })
    }

    fn notify(&self, from: &Peer, number: u16, body: Bytes) {
        if number != method::CHAIN {
            return;
        }
        match rpc::codec::decode::<Message>(&body) {
            Ok(message) if !gate::may_send(from, &message) => {
                tracing::warn!(%from, claimed = %message.from.node, "a chain message in another's name");
            }
            Ok(message) => {
                if let Some(partition) = self.0.partition(message.partition) {
                    partition.step(|replica, env, _, out| replica.receive(env, message, out));
                }
            }
            Err(error) => tracing::warn!(%error, "a chain message that cannot be read"),
        }
    }
}

fn decode<T: serde::de::DeserializeOwned>(body: &Bytes) -> Result<T, Fault> {
    rpc::codec::decode(body).map_err(|error| Fault::Invalid(error.to_string()))
}

fn reply<T: serde::Serialize>(result: Result<T, Fault>) -> Result<Body, Status> {
    Ok(rpc::codec::encode(&result).into())
}

impl Inner {
    async fn answer(self: Arc<Self>, number: u16, body: Bytes) -> Result<Body, Status> {
        match number {
            method::TRANSACT => reply(match decode(&body) {
                Ok(request) => self.transact(request).await,
                Err(fault) => Err(fault),
            }),
            method::READ => reply(match decode(&body) {
                Ok(request) => self.read(request).await,
                Err(fault) => Err(fault),
            }),
            method::VERIFY => reply(match decode(&body) {
                Ok(operation) => self.verify(operation).await,
                Err(fault) => Err(fault),
            }),
            method::WATCH => reply(match decode(&body) {
                Ok(request) => self.watch(request).await,
                Err(fault) => Err(fault),
            }),
            method::SCAN => reply(match decode(&body) {
                Ok(request) => self.scan(request).await,
                Err(fault) => Err(fault),
            }),
            method::COUNT => reply(match decode(&body) {
                Ok(request) => self.count(request).await,
                Err(fault) => Err(fault),
            }),
            method::LAYOUT => reply(match decode::<LayoutRequest>(&body) {
                Ok(request) => Ok(self.newer_layout(request).await),
                Err(fault) => Err(fault),
            }),
            method::STATUS => reply(Ok(self.status())),
            method::PUT_BLOCK
            | method::GET_BLOCK
            | method::HAVE_BLOCKS
            | method::REPAIR_BLOCK
            | method::NEED_BLOCKS
            | method::BLOCK_COPIES
            | method::SCRUB => self.block_request(number, body).await,
            method::RAFT => self.raft_message(body).await,
            method::DIED => reply(decode(&body).map(|life| self.heard_of_death(life))),
            other => match self.control(other, &body).await {
                Some(reply) => Ok(reply.into()),
                None => Err(Status::new(Code::NoSuchMethod, format!("method {other} is not known to this release"))),
            },
        }
    }

    /// A witness says that a process has ended.
    fn heard_of_death(&self, life: ReplicaId) {
        let known = self.layout.borrow().nodes.get(&life.node).map(|node| node.incarnation);
        tracing::info!(node = %life.node, incarnation = %life.incarnation, "the node's process has ended: its witness says so");
        // Whoever has begun another life since may lead in it.
        if known == Some(life.incarnation) {
            self.coordination.died(life.node);
        }
        self.controller.died(life);
    }

    async fn raft_message(&self, body: Bytes) -> Result<Body, Status> {
        let invalid = || Status::new(Code::Invalid, "not a Raft message");
        let kind = body.get(..2).and_then(|kind| <[u8; 2]>::try_from(kind).ok()).ok_or_else(invalid)?;
        let kind = RaftRpc::try_from(u16::from_be_bytes(kind)).map_err(|_| invalid())?;
        self.coordination.handle(kind, body.slice(2..)).await.map(Body::from).map_err(|error| Status::of(&error))
    }

    async fn newer_layout(&self, request: LayoutRequest) -> Option<types::Layout> {
        let mut layout = self.layout.clone();
        let newer = layout.wait_for(|layout| layout.version > request.have);
        tokio::select! {
            newer = tokio::time::timeout(request.wait.min(POLL_MAX), newer) => match newer {
                Ok(Ok(layout)) => Some((**layout).clone()),
                _ => None,
            },
            () = self.retirement.closing() => None,
        }
    }

    /// The partition that a key's hash falls into.
    pub(crate) fn partition_of(&self, key: KeyHash) -> Result<&Arc<Partition>, Fault> {
        let partitions = self.partitions();
        let id = key.partition(partitions.len().max(1) as u16);
        self.partition(id).ok_or_else(|| Fault::NotReady("the node is starting".into()))
    }

    pub(crate) fn not_serving(&self, partition: PartitionId) -> Fault {
        Fault::NotServing { partition, layout: self.layout.borrow().version }
    }

    pub(crate) fn fault(&self, partition: PartitionId, failure: Failure) -> Fault {
        match failure {
            Failure::NotServing => self.not_serving(partition),
            Failure::NotReady(why) => Fault::NotReady(why.into()),
            Failure::TooFewReplicas { have, need } => Fault::TooFewReplicas { have, need },
            Failure::Busy => Fault::Busy,
            Failure::NoSpace(node) => Fault::NoSpace { node },
            Failure::Refused(refusal) => Fault::Refused(refusal),
            Failure::Tables(error) => Fault::Stopped(error.to_string()),
        }
    }

    /// That there is a strong table of that number; waits a moment for a map that may be on its way.
    pub(crate) async fn check_table(&self, table: TableId) -> Result<(), Fault> {
        let strong =
            |layout: &Arc<types::Layout>| layout.tables.get(&table).is_some_and(|t| t.kind == TableKind::Strong);
        if strong(&self.layout.borrow()) {
            return Ok(());
        }
        let mut layout = self.layout.clone();
        let known = layout.wait_for(strong);
        match tokio::time::timeout(Duration::from_millis(500), known).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Fault::NoSuchTable(table)),
        }
    }

    async fn check_tables(&self, transaction: &Transaction) -> Result<(), Fault> {
        let updated = transaction.updates.iter().map(|update| match update {
            Update::Put { table, .. } | Update::Delete { table, .. } | Update::Add { table, .. } => *table,
        });
        let mut tables: Vec<TableId> = transaction.conditions.iter().map(|c| c.table).chain(updated).collect();
        tables.sort_unstable();
        tables.dedup();
        for table in tables {
            self.check_table(table).await?;
        }
        Ok(())
    }

    async fn transact(&self, request: TransactRequest) -> Result<TransactReply, Fault> {
        if let Some(why) = self.stopped() {
            return Err(Fault::Stopped(why));
        }
        let TransactRequest { transaction, asynchronous } = request;
        transaction.validate()?;
        if transaction.operation.key_hash != KeyHash::of(&transaction.partition_key) {
            return Err(Fault::Invalid("the operation id belongs to another partition key".into()));
        }
        self.check_tables(&transaction).await?;
        let partition = self.partition_of(transaction.operation.key_hash)?;
        let Some(_writing) = self.retirement.write() else { return Err(self.not_serving(partition.id)) };
        let fingerprint = fingerprint(&transaction);
        let answer = partition.request(|replica, env, request, tables, out| {
            replica.transact(env, request, &transaction, fingerprint, asynchronous, tables, out);
        });
        match tokio::time::timeout(WAIT_MAX, answer).await {
            Ok(Ok(Answer::Committed(result))) => Ok(TransactReply::Committed(result)),
            Ok(Ok(Answer::Accepted)) => Ok(TransactReply::Accepted),
            Ok(Ok(Answer::Failed(failure))) => Err(self.fault(partition.id, failure)),
            Ok(Ok(Answer::Unknown)) => Err(Fault::Unknown("the chain changed while the write was under way".into())),
            _ => Err(Fault::Unknown("the write did not commit in time".into())),
        }
    }

    async fn verify(&self, operation: OperationId) -> Result<Verdict, Fault> {
        let partition = self.partition_of(operation.key_hash)?;
        let answer = partition
            .request(|replica, env, request, tables, out| replica.verify(env, request, &operation, tables, out));
        match tokio::time::timeout(WAIT_MAX, answer).await {
            Ok(Ok(Answer::Verdict(verdict))) => Ok(verdict),
            Ok(Ok(Answer::Failed(failure))) => Err(self.fault(partition.id, failure)),
            _ => Err(Fault::NotReady("the chain is changing".into())),
        }
    }
}

/// Tells a retry of a transaction from another one under the same operation id. Never 0.
fn fingerprint(transaction: &Transaction) -> u128 {
    let hash = blake3::hash(&rpc::codec::encode(transaction));
    let mut first = [0; 16];
    first.copy_from_slice(&hash.as_bytes()[..16]);
    u128::from_be_bytes(first).max(1)
}

/// Tells replicas what the storage threads have done.
pub(crate) async fn finish(inner: Arc<Inner>, mut durable: UnboundedReceiver<Durable>) {
    while let Some(done) = durable.recv().await {
        match done {
            Durable::Logged(done) => {
                for (id, number) in done {
                    if let Some(partition) = inner.partition(id) {
                        partition.step(|replica, env, _, out| replica.durable(env, number, out));
                    }
                }
            }
            Durable::Applied { upto, referenced } => {
                for (id, seq) in upto {
                    if let Some(partition) = inner.partition(id) {
                        partition.applied_upto(seq);
                    }
                }
                inner.blocks.expect(referenced);
            }
            Durable::Voided(id, copy) => {
                if let Some(partition) = inner.partition(id) {
                    partition.step(|replica, _, _, out| replica.voided(copy, out));
                }
            }
            Durable::Imported(id, copy, index, bytes) => {
                if let Some(partition) = inner.partition(id) {
                    partition.clone().imported(copy, index, bytes);
                }
            }
            Durable::Installed(id, copy) => {
                if let Some(partition) = inner.partition(id) {
                    partition.installed(copy);
                    inner.blocks.scan(id);
                }
            }
        }
    }
}

/// Lets time pass for the replicas.
pub(crate) async fn tick(inner: Arc<Inner>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        for partition in inner.partitions() {
            partition.step(|replica, env, _, out| replica.tick(env, out));
        }
    }
}

/// Where this node is head: deletes what has expired.
pub(crate) async fn expire(inner: Arc<Inner>) {
    loop {
        tokio::time::sleep(EXPIRE_EVERY).await;
        let heads: Vec<_> = inner
            .partitions()
            .iter()
            .filter(|partition| {
                partition.look(|replica, _| replica.is_head() && replica.state() == Some(MemberState::Serving))
            })
            .cloned()
            .collect();
        let swept = tokio::task::spawn_blocking(move || {
            for partition in heads {
                let now = partition.shared.clock.wall();
                match partition.shared.engine.due(partition.id, now, EXPIRE_BATCH) {
                    Ok(due) if due.is_empty() => {}
                    Ok(due) => partition.step(|replica, env, tables, out| replica.expire(env, &due, tables, out)),
                    Err(error) => {
                        tracing::error!(partition = %partition.id, %error, "cannot look for what expired");
                        partition.shared.health.check(&error);
                    }
                }
            }
        });
        if let Err(error) = swept.await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}
