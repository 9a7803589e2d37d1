//! A cluster of scripted nodes that share one store: every write is at once on
//! all replicas, and every failure is one that a test asked for.

use crate::faults::{Act, Script};
use bytes::Bytes;
use client::{Client, ClientConfig, Timeouts};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rpc::tls::{Authority, Validity};
use rpc::wire::*;
use rpc::{Body, Code, Credentials, Handler, Peer, Server, ServerConfig, Status, codec};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use types::layout::BLOCKS_TABLE;
use types::*;

/// How many there have been: each has an id and an authority of its own, so that a client that tries again at a port which has
/// changed hands meanwhile reaches nobody.
static CLUSTERS: AtomicU64 = AtomicU64::new(1);
pub const PARTITIONS: u16 = 4;
pub const TABLE: TableId = TableId(7);

type Reply = Result<Body, Status>;

/// What all nodes know together.
#[derive(Default)]
pub struct Store {
    pub items: BTreeMap<ItemKey, Item>,
    pub outcomes: HashMap<OperationId, TransactionResult>,
    pub fenced: BTreeSet<OperationId>,
    pub changes: Vec<Change>,
    pub seq: u64,
    /// A watcher that wants what came before this has to read again.
    pub history_from: u64,
    pub blocks: BTreeMap<(NodeId, BlockHash), Bytes>,
    pub repairs: Vec<(NodeId, BlockHash)>,
    /// Which node was asked what, and for which operation.
    pub calls: Vec<(NodeId, u16, Option<OperationId>)>,
}

pub struct Cluster {
    pub authority: Authority,
    pub store: Mutex<Store>,
    pub script: Script,
    layout: watch::Sender<Layout>,
    changed: watch::Sender<u64>,
    servers: Mutex<HashMap<NodeId, Server>>,
}

/// Patience that keeps tests short, and still lasts on a busy machine.
pub fn timeouts() -> Timeouts {
    Timeouts {
        connect: Duration::from_secs(5),
        request: Duration::from_secs(3),
        settle: Duration::from_secs(1),
        read_attempt: Duration::from_millis(400),
        write_attempt: Duration::from_millis(400),
        too_few_replicas: Duration::from_millis(600),
        block_stragglers: Duration::from_millis(300),
        block_hedge: Duration::from_millis(200),
        layout_poll: Duration::from_millis(500),
        ..Timeouts::default()
    }
}

pub fn issued(authority: &Authority, me: Peer) -> Credentials {
    Credentials::issued(authority, me, Validity::from_now(Duration::from_secs(3600))).unwrap()
}

impl Cluster {
    /// That many nodes, all of them in every chain.
    pub async fn start(nodes: u64) -> Arc<Cluster> {
        let id = ClusterId(CLUSTERS.fetch_add(1, Ordering::Relaxed).into());
        let cluster = Arc::new(Cluster {
            authority: Authority::new(id).unwrap(),
            store: Mutex::default(),
            script: Script::default(),
            layout: watch::Sender::new(Layout::default()),
            changed: watch::Sender::new(0),
            servers: Mutex::default(),
        });
        let mut layout = Layout {
            version: LayoutVersion(1),
            cluster: id,
            replicas_min: nodes.min(2) as u8,
            replicas_wanted: nodes as u8,
            chains: vec![Chain::default(); usize::from(PARTITIONS)],
            ..Layout::default()
        };
        let table = |id, namespace: &str, name: &str| TableSpec {
            id,
            namespace: namespace.into(),
            name: name.into(),
            kind: TableKind::Strong,
            owner: namespace.into(),
        };
        layout.tables.insert(BLOCKS_TABLE, table(BLOCKS_TABLE, "system", "blocks"));
        layout.tables.insert(TABLE, table(TABLE, "kv", "things"));
        for id in (1..=nodes).map(NodeId) {
            let address = cluster.listen(id, "127.0.0.1:0").await;
            layout.nodes.insert(id, node(id, address));
        }
        for (partition, chain) in layout.chains.iter_mut().enumerate() {
            chain.epoch = Epoch(1);
            let ids = (0..nodes).map(|nth| NodeId(1 + (nth + partition as u64) % nodes));
            chain.members = ids.map(|id| member(id, MemberState::Serving)).collect();
            chain.complete = chain.members.iter().map(|member| member.replica.node).collect();
        }
        cluster.layout.send_replace(layout);
        cluster
    }

    async fn listen(self: &Arc<Self>, id: NodeId, address: &str) -> String {
        let replica = ReplicaId { node: id, incarnation: Incarnation(1) };
        let credentials = issued(&self.authority, Peer::node(replica, address));
        let handler = Arc::new(FakeNode { id, cluster: self.clone() });
        let server = Server::bind(address, ServerConfig::new(credentials), handler).await.unwrap();
        let address = server.local_addr().to_string();
        self.servers.lock().insert(id, server);
        address
    }

    /// The node's process ends; its connections break.
    pub fn kill(&self, id: NodeId) {
        self.servers.lock().remove(&id);
    }

    pub fn config(&self) -> ClientConfig {
        let addresses = self.layout.borrow().nodes.values().map(|node| node.address.clone()).collect();
        ClientConfig::new(addresses, issued(&self.authority, Peer::gateway("test"))).timeouts(timeouts())
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.config()).await.unwrap()
    }

    pub fn layout(&self) -> Layout {
        self.layout.borrow().clone()
    }

    /// Makes a new map.
    pub fn change_layout(&self, change: impl FnOnce(&mut Layout)) {
        self.layout.send_modify(|layout| {
            layout.version.0 += 1;
            change(layout);
        });
    }

    pub fn head(&self, key: &[u8]) -> NodeId {
        self.layout.borrow().chains[usize::from(partition_of(key, PARTITIONS).0)].members[0].replica.node
    }

    /// The nodes that were asked this, in order.
    pub fn asked(&self, method: u16) -> Vec<NodeId> {
        self.store.lock().calls.iter().filter(|call| call.1 == method).map(|call| call.0).collect()
    }

    /// The operations that were asked for by this method, in order.
    pub fn operations(&self, method: u16) -> Vec<OperationId> {
        self.store.lock().calls.iter().filter(|call| call.1 == method).filter_map(|call| call.2).collect()
    }
}

pub fn node(id: NodeId, address: String) -> NodeInfo {
    NodeInfo { incarnation: Incarnation(1), alive: true, address, capacity: 1, ..NodeInfo::unborn(id) }
}

pub fn member(id: NodeId, state: MemberState) -> ChainMember {
    ChainMember { replica: ReplicaId { node: id, incarnation: Incarnation(1) }, state }
}

struct FakeNode {
    id: NodeId,
    cluster: Arc<Cluster>,
}

impl Handler for FakeNode {
    fn call(&self, _: &Peer, method: u16, body: Bytes) -> BoxFuture<'static, Reply> {
        let operation = match method {
            method::TRANSACT => {
                codec::decode::<TransactRequest>(&body).ok().map(|request| request.transaction.operation)
            }
            method::VERIFY => codec::decode::<OperationId>(&body).ok(),
            _ => None,
        };
        self.cluster.store.lock().calls.push((self.id, method, operation));
        let act = self.cluster.script.next(self.id, method);
        let (cluster, id) = (self.cluster.clone(), self.id);
        async move {
            let silence = || tokio::time::sleep(Duration::from_secs(60));
            match act {
                Act::Serve => cluster.serve(id, method, body).await,
                Act::Refuse(fault) => no(fault),
                Act::Swallow => {
                    silence().await;
                    Err(Status::new(Code::Busy, "asleep"))
                }
                Act::ServeAndSwallow => {
                    let reply = cluster.serve(id, method, body).await;
                    silence().await;
                    reply
                }
                Act::ServeLate(delay) => {
                    tokio::time::sleep(delay).await;
                    cluster.serve(id, method, body).await
                }
                Act::ServeAndRefuse(fault) => {
                    let _ = cluster.serve(id, method, body).await;
                    no(fault)
                }
                Act::ServeAndDie => {
                    let _ = cluster.serve(id, method, body).await;
                    cluster.kill(id);
                    silence().await;
                    Err(Status::new(Code::Busy, "dead"))
                }
                Act::Spoil => {
                    let mut reply = cluster.serve(id, method, body).await?;
                    let mut payload = reply.payload.to_vec();
                    payload.iter_mut().take(1).for_each(|byte| *byte ^= 1);
                    reply.payload = payload.into();
                    Ok(reply)
                }
            }
        }
        .boxed()
    }

    fn notify(&self, _: &Peer, _: u16, _: Bytes) {}
}

fn yes<T: Serialize>(reply: T) -> Reply {
    Ok(codec::encode(&Ok::<T, Fault>(reply)).into())
}

fn no(fault: Fault) -> Reply {
    Ok(codec::encode(&Err::<(), Fault>(fault)).into())
}

fn answer<T: Serialize>(result: Result<T, Fault>) -> Reply {
    Ok(codec::encode(&result).into())
}

impl Cluster {
    async fn serve(&self, id: NodeId, method: u16, body: Bytes) -> Reply {
        match method {
            method::TRANSACT => {
                let request: TransactRequest = codec::decode(&body)?;
                let partition = partition_of(&request.transaction.partition_key, PARTITIONS);
                if let Err(fault) = self.check(id, partition, true) {
                    return no(fault);
                }
                answer(self.transact(&request.transaction).map(|result| {
                    if request.asynchronous { TransactReply::Accepted } else { TransactReply::Committed(result) }
                }))
            }
            method::VERIFY => {
                let operation: OperationId = codec::decode(&body)?;
                if let Err(fault) = self.check(id, operation.key_hash.partition(PARTITIONS), true) {
                    return no(fault);
                }
                let mut store = self.store.lock();
                yes(match store.outcomes.get(&operation) {
                    Some(result) => Verdict::Applied { version: result.version, time: result.time },
                    None => {
                        store.fenced.insert(operation);
                        Verdict::NotApplied
                    }
                })
            }
            method::READ => {
                let request: ReadRequest = codec::decode(&body)?;
                if let Err(fault) = self.check(id, request.partition, false) {
                    return no(fault);
                }
                yes(self.read(&request.read))
            }
            method::SCAN => {
                let request: ScanRequest = codec::decode(&body)?;
                let store = self.store.lock();
                let here = store.items.iter().filter(|(key, _)| {
                    key.table == request.table
                        && partition_of(&key.partition_key, PARTITIONS) == request.partition
                        && request.after.as_ref().is_none_or(|after| *key > after)
                });
                let all: Vec<(ItemKey, Item)> = here.map(|(key, item)| (key.clone(), item.clone())).collect();
                // Short pages, as when items are long; some of the ends are not announced.
                let most = (request.limit as usize).min(4);
                let end = all.len() < most;
                yes(ScanReply { items: all.into_iter().take(most).collect(), end })
            }
            method::COUNT => {
                let request: CountRequest = codec::decode(&body)?;
                let here = |key: &&ItemKey| {
                    key.table == request.table && partition_of(&key.partition_key, PARTITIONS) == request.partition
                };
                yes(self.store.lock().items.keys().filter(here).count() as u64)
            }
            method::WATCH => self.watch(codec::decode(&body)?).await,
            method::LAYOUT => {
                let request: LayoutRequest = codec::decode(&body)?;
                let mut layout = self.layout.subscribe();
                let newer = layout.wait_for(|layout| layout.version > request.have);
                let newer = tokio::time::timeout(request.wait.max(Duration::from_millis(1)), newer).await;
                yes(newer.ok().map(|layout| layout.unwrap().clone()))
            }
            method::CREATE_TABLE => answer(self.create_table(codec::decode(&body)?)),
            method::DELETE_TABLE => {
                let id: TableId = codec::decode(&body)?;
                if !self.layout.borrow().tables.contains_key(&id) {
                    return no(Fault::NoSuchTable(id));
                }
                self.change_layout(|layout| drop(layout.tables.remove(&id)));
                yes(())
            }
            method::PUT_BLOCK => {
                let (request, raw) = codec::decode_head::<PutBlock>(&body)?;
                assert_eq!(BlockHash::of(&raw), request.hash);
                self.store.lock().blocks.insert((id, request.hash), raw);
                yes(())
            }
            method::GET_BLOCK => {
                let hash: BlockHash = codec::decode(&body)?;
                let raw = self.store.lock().blocks.get(&(id, hash)).cloned();
                let head = codec::encode(&Ok::<bool, Fault>(raw.is_some()));
                Ok(Body { head, payload: raw.unwrap_or_default() })
            }
            method::HAVE_BLOCKS => {
                let request: HaveBlocks = codec::decode(&body)?;
                let store = self.store.lock();
                assert!(request.after.seq.0 > 0 && request.after.seq.0 <= store.seq, "asked after a pin");
                let has = |hash: &BlockHash| store.blocks.contains_key(&(id, *hash));
                yes(request.hashes.iter().map(has).collect::<Vec<bool>>())
            }
            method::REPAIR_BLOCK => {
                let hash: BlockHash = codec::decode(&body)?;
                self.store.lock().repairs.push((id, hash));
                yes(())
            }
            method::STATUS => yes(NodeStatus { node: id, lease_valid: true, ..NodeStatus::default() }),
            method::MAKE_TOKEN => yes(format!("token of node {id}")),
            _ => Err(Status::new(Code::NoSuchMethod, "not here")),
        }
    }

    fn check(&self, id: NodeId, partition: PartitionId, head: bool) -> Result<(), Fault> {
        let layout = self.layout.borrow();
        let chain = &layout.chains[usize::from(partition.0)];
        let fine = if head {
            chain.head().is_some_and(|replica| replica.node == id)
        } else {
            chain.serving().any(|replica| replica.node == id)
        };
        if fine { Ok(()) } else { Err(Fault::NotServing { partition, layout: layout.version }) }
    }

    fn read(&self, read: &Read) -> ReadReply {
        let store = self.store.lock();
        match read {
            Read::Items(keys) => ReadReply::Items {
                items: keys.iter().map(|key| store.items.get(key).cloned()).collect(),
                at: Seq(store.seq),
            },
            Read::Range(query) => {
                let items = store
                    .items
                    .iter()
                    .filter(|(key, _)| key.table == query.table && key.partition_key == query.partition_key)
                    .filter(|(key, _)| query.contains(&key.sort_key))
                    .take(query.items_max())
                    .map(|(key, item)| ItemAt { sort_key: key.sort_key.clone(), item: item.clone() });
                ReadReply::Page(QueryPage { items: items.collect(), next: None, at: Seq(store.seq) })
            }
        }
    }

    fn transact(&self, transaction: &Transaction) -> Result<TransactionResult, Fault> {
        let mut store = self.store.lock();
        let operation = transaction.operation;
        if store.fenced.contains(&operation) {
            return Err(Refusal::Fenced.into());
        }
        if let Some(result) = store.outcomes.get(&operation) {
            return Ok(result.clone());
        }
        let at = |table, sort_key: &Bytes| ItemKey::new(table, transaction.partition_key.clone(), sort_key.clone());
        for (index, condition) in transaction.conditions.iter().enumerate() {
            let item = store.items.get(&at(condition.table, &condition.sort_key));
            let holds = match &condition.test {
                Test::Absent => item.is_none(),
                Test::Present => item.is_some(),
                Test::VersionIs(version) => item.is_some_and(|item| item.version == *version),
                Test::ValueIs(value) => item.is_some_and(|item| item.value == *value),
            };
            if !holds {
                let found = item.map(|item| item.version);
                return Err(Refusal::Condition { index: index as u32, found }.into());
            }
        }
        store.seq += 1;
        let result = TransactionResult {
            version: Version::new(1, store.seq),
            time: HybridTime(store.seq << 16),
            counters: Vec::new(),
        };
        let mut counters = Vec::new();
        for update in &transaction.updates {
            let (key, value) = match update {
                Update::Put { table, sort_key, value, .. } => {
                    (at(*table, &sort_key.resolve(&counters).unwrap()), Some(value.resolve(&counters).unwrap()))
                }
                Update::Delete { table, sort_key } => (at(*table, sort_key), None),
                Update::Add { table, sort_key, delta, .. } => {
                    let key = at(*table, sort_key);
                    let before = store.items.get(&key).map_or(0, |item| number(&item.value));
                    counters.push(before + delta);
                    (key, Some(Bytes::copy_from_slice(&transaction::sortable(before + delta))))
                }
            };
            let item = value.map(|value| Item { value, version: result.version, time: result.time, expires: None });
            match &item {
                Some(item) => drop(store.items.insert(key.clone(), item.clone())),
                None => drop(store.items.remove(&key)),
            }
            store.changes.push(Change { version: result.version, key, item });
        }
        let result = TransactionResult { counters, ..result };
        store.outcomes.insert(operation, result.clone());
        self.changed.send_replace(store.seq);
        Ok(result)
    }

    async fn watch(&self, request: WatchRequest) -> Reply {
        let mut changed = self.changed.subscribe();
        let now = self.store.lock().seq;
        let after = request.after.map_or(now, |after| after.0);
        if after < self.store.lock().history_from {
            return yes(WatchReply::Compacted { now: Seq(now) });
        }
        let _ = tokio::time::timeout(request.wait, changed.wait_for(|seq| *seq > after)).await;
        let store = self.store.lock();
        let wanted = |change: &&Change| {
            change.version.seq.0 > after
                && request
                    .keys
                    .iter()
                    .any(|key| key.table == change.key.table && key.partition_key == change.key.partition_key)
        };
        let changes = store.changes.iter().filter(wanted).cloned().collect();
        yes(WatchReply::Changes { changes, upto: Seq(store.seq) })
    }

    fn create_table(&self, request: CreateTable) -> Result<TableSpec, Fault> {
        if let Some(table) = self.layout().table(&request.namespace, &request.name) {
            let fine = request.or_existing && table.kind == request.kind;
            return if fine { Ok(table.clone()) } else { Err(Fault::Invalid("it exists".into())) };
        }
        let id = TableId(100 + self.layout().version.0 as u32);
        let CreateTable { namespace, name, kind, owner, .. } = request;
        let spec = TableSpec { id, namespace, name, kind, owner };
        self.change_layout(|layout| drop(layout.tables.insert(id, spec.clone())));
        Ok(spec)
    }
}

/// A counter's value.
pub fn number(value: &[u8]) -> i64 {
    transaction::from_sortable(value.try_into().unwrap())
}
