//! A store in memory for tests: linearizable, transactions as `types` says,
//! references and blocks as sets. Every call is an await point, and a handle may
//! crash, lose replies or be refused at any of them.

#![allow(dead_code)]

pub mod acts;
pub mod hand;
mod handle;
pub mod tree;

#[allow(unused_imports)]
pub use handle::{Fault, Handle};

use atoll_apps::store::{ByteSource, ByteStream, ScanPage};
use bytes::Bytes;
use client::{BlockRef, Body, ClientError, Content};
use futures::StreamExt;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use types::transaction::{from_sortable, sortable};
use types::{
    BlockHash, HybridTime, Item, ItemAt, ItemKey, KeyHash, OperationId, Query, QueryPage, Refusal, Seq, TableId, Test,
    Transaction, TransactionResult, Update, Version, WallMillis,
};

/// Bytes of a block here: small, so that tests need little.
pub const BLOCK: usize = 1024;

#[derive(Clone, Default)]
pub struct State {
    tables: BTreeMap<(String, String), TableId>,
    items: BTreeMap<ItemKey, Item>,
    seq: u64,
    time: HybridTime,
    blocks: BTreeMap<BlockHash, Bytes>,
    /// By owner.
    pub references: BTreeMap<Vec<u8>, BTreeSet<BlockHash>>,
}

/// The store that all handles share.
pub struct Model {
    pub state: Mutex<State>,
    now: AtomicU64,
    nonce: AtomicU64,
}

impl Model {
    pub fn new() -> Arc<Model> {
        Model::of(State::default(), 1_700_000_000_000)
    }

    fn of(state: State, now: u64) -> Arc<Model> {
        Arc::new(Model { state: Mutex::new(state), now: AtomicU64::new(now), nonce: AtomicU64::new(0) })
    }

    /// As it is now, for looking at while the original goes on.
    pub fn frozen(&self) -> Arc<Model> {
        Model::of(self.state.lock().clone(), self.now().0)
    }

    pub fn now(&self) -> WallMillis {
        WallMillis(self.now.load(Ordering::Relaxed))
    }

    pub fn advance(&self, time: std::time::Duration) {
        self.now.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }

    pub fn seq(&self) -> u64 {
        self.state.lock().seq
    }

    pub fn table(&self, namespace: &str, name: &str) -> Option<TableId> {
        self.state.lock().tables.get(&(namespace.to_string(), name.to_string())).copied()
    }

    /// What is referenced for each version of a file; its owner has a part more, which tells rows of a version apart.
    pub fn references(&self) -> BTreeMap<Vec<u8>, BTreeSet<BlockHash>> {
        let state = self.state.lock();
        let mut found = BTreeMap::new();
        for (owner, hashes) in &state.references {
            assert_eq!(found.insert(owner[..32].to_vec(), hashes.clone()), None, "two owners for one version");
        }
        found
    }

    /// An item's value.
    pub fn value(&self, namespace: &str, name: &str, sort_key: &[u8]) -> Bytes {
        let table = self.table(namespace, name).unwrap();
        let state = self.state.lock();
        let mut found = state.items.iter().filter(|(key, _)| key.table == table && key.sort_key == sort_key);
        found.next().unwrap().1.value.clone()
    }

    /// Forgets all items of a table.
    pub fn clear(&self, namespace: &str, name: &str) {
        let table = self.table(namespace, name).unwrap();
        self.state.lock().items.retain(|key, _| key.table != table);
    }

    /// Puts another value into an item.
    pub fn overwrite(&self, namespace: &str, name: &str, sort_key: &[u8], value: &[u8]) {
        let table = self.table(namespace, name).unwrap();
        let mut state = self.state.lock();
        let mut found = state.items.iter_mut().filter(|(key, _)| key.table == table && key.sort_key == sort_key);
        found.next().unwrap().1.value = Bytes::copy_from_slice(value);
    }

    /// How many items a table holds.
    pub fn count(&self, namespace: &str, name: &str) -> usize {
        let state = self.state.lock();
        let table = state.tables.get(&(namespace.to_string(), name.to_string()));
        state.items.keys().filter(|key| Some(&key.table) == table).count()
    }

    /// Every value, of every table: to look for secrets.
    pub fn values(&self) -> Vec<(ItemKey, Bytes)> {
        self.state.lock().items.iter().map(|(key, item)| (key.clone(), item.value.clone())).collect()
    }

    fn operation(&self, partition_key: &[u8]) -> OperationId {
        let nonce = u128::from(self.nonce.fetch_add(1, Ordering::Relaxed));
        OperationId { created: self.now(), key_hash: KeyHash::of(partition_key), nonce }
    }

    fn ensure_table(&self, namespace: &str, name: &str) -> TableId {
        let mut state = self.state.lock();
        let next = TableId(state.tables.len() as u32 + 1);
        *state.tables.entry((namespace.to_string(), name.to_string())).or_insert(next)
    }

    fn get(&self, key: &ItemKey) -> Option<Item> {
        self.state.lock().items.get(key).cloned()
    }

    fn get_many(&self, keys: &[ItemKey]) -> Vec<Option<Item>> {
        assert!(!keys.is_empty() && keys.len() <= types::limits::KEYS_MAX, "a read names 1 to 1000 keys");
        let state = self.state.lock();
        keys.iter().map(|key| state.items.get(key).cloned()).collect()
    }

    fn query(&self, query: &Query) -> QueryPage {
        assert_eq!(types::Read::Range(query.clone()).validate(), Ok(()));
        let state = self.state.lock();
        let from = ItemKey::new(query.table, query.partition_key.clone(), Bytes::new());
        let within = state
            .items
            .range(from..)
            .take_while(|(key, _)| key.table == query.table && key.partition_key == query.partition_key)
            .filter(|(key, _)| query.contains(&key.sort_key));
        let mut items: Vec<ItemAt> =
            within.map(|(key, item)| ItemAt { sort_key: key.sort_key.clone(), item: item.clone() }).collect();
        if query.reverse {
            items.reverse();
        }
        let more = items.len() > query.items_max();
        items.truncate(query.items_max());
        let next = if more { items.last().map(|last| last.sort_key.clone()) } else { None };
        QueryPage { items, next, at: Seq(state.seq) }
    }

    fn scan(&self, table: TableId, after: Option<ItemKey>, limit: u32) -> Vec<(ItemKey, Item)> {
        let state = self.state.lock();
        let from = ItemKey::new(table, Bytes::new(), Bytes::new());
        let items = state.items.range(from..).take_while(|(key, _)| key.table == table);
        items
            .filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after))
            .take(limit as usize)
            .map(|(key, item)| (key.clone(), item.clone()))
            .collect()
    }

    fn transact(&self, transaction: &Transaction) -> Result<TransactionResult, Refusal> {
        transaction.validate()?;
        let mut state = self.state.lock();
        let key = |table, sort_key: &Bytes| ItemKey::new(table, transaction.partition_key.clone(), sort_key.clone());
        for (index, condition) in transaction.conditions.iter().enumerate() {
            let item = state.items.get(&key(condition.table, &condition.sort_key));
            let holds = match &condition.test {
                Test::Absent => item.is_none(),
                Test::Present => item.is_some(),
                Test::VersionIs(version) => item.is_some_and(|item| item.version == *version),
                Test::ValueIs(value) => item.is_some_and(|item| item.value == *value),
            };
            if !holds {
                return Err(Refusal::Condition { index: index as u32, found: item.map(|item| item.version) });
            }
        }
        let version = Version::new(1, state.seq + 1);
        let time = state.time.next(self.now());
        let mut items = state.items.clone();
        let mut counters = Vec::new();
        for update in &transaction.updates {
            match update {
                Update::Put { table, sort_key, value, expires } => {
                    let value = value.resolve(&counters).unwrap();
                    let sort_key = sort_key.resolve(&counters).unwrap();
                    items.insert(key(*table, &sort_key), Item { value, version, time, expires: *expires });
                }
                Update::Delete { table, sort_key } => {
                    items.remove(&key(*table, sort_key));
                }
                Update::Add { table, sort_key, delta, min, max } => {
                    let index = counters.len() as u32;
                    let key = key(*table, sort_key);
                    let old = match items.get(&key) {
                        None => 0,
                        Some(item) => {
                            from_sortable(item.value[..].try_into().map_err(|_| Refusal::NotACounter { index })?)
                        }
                    };
                    let would_be = old.checked_add(*delta).unwrap();
                    if !(*min..=*max).contains(&would_be) {
                        return Err(Refusal::Bounds { index, would_be, min: *min, max: *max });
                    }
                    let value = Bytes::copy_from_slice(&sortable(would_be));
                    items.insert(key, Item { value, version, time, expires: None });
                    counters.push(would_be);
                }
            }
        }
        state.items = items;
        state.seq += 1;
        state.time = time;
        Ok(TransactionResult { version, time, counters })
    }

    /// What the head does of itself.
    pub fn expire(&self) {
        let now = self.now();
        self.state.lock().items.retain(|_, item| item.expires.is_none_or(|at| at > now));
    }

    async fn write_blob(&self, mut source: ByteSource) -> Result<Content, ClientError> {
        let mut bytes = Vec::new();
        while let Some(piece) = source.next().await {
            bytes.extend(piece.map_err(|error| ClientError::Source(error.to_string()))?);
        }
        Ok(self.store_content(&bytes))
    }

    /// Content of these bytes, inline when they fit half a block.
    pub fn store_content(&self, bytes: &[u8]) -> Content {
        let hash = *blake3::hash(bytes).as_bytes();
        let size = bytes.len() as u64;
        if bytes.len() <= BLOCK / 2 {
            return Content { size, hash, body: Body::Inline(Bytes::copy_from_slice(bytes)) };
        }
        let mut state = self.state.lock();
        let mut blocks = Vec::new();
        for piece in bytes.chunks(BLOCK) {
            let hash = BlockHash::of(piece);
            state.blocks.insert(hash, Bytes::copy_from_slice(piece));
            blocks.push(BlockRef { hash, length: piece.len() as u32 });
        }
        Content { size, hash, body: Body::Blocks(blocks) }
    }

    fn compose(&self, mut parts: Vec<Content>) -> Content {
        if parts.len() == 1 {
            return parts.remove(0);
        }
        let mut blocks = Vec::new();
        for part in parts {
            match part.body {
                Body::Blocks(those) => blocks.extend(those),
                Body::Inline(bytes) => {
                    let block = BlockRef { hash: BlockHash::of(&bytes), length: bytes.len() as u32 };
                    self.state.lock().blocks.insert(block.hash, bytes);
                    blocks.push(block);
                }
                Body::Indexed { .. } => unreachable!("the model makes no indexes"),
            }
        }
        let size = blocks.iter().map(|block| u64::from(block.length)).sum();
        Content { size, hash: client::composed_hash(&blocks), body: Body::Blocks(blocks) }
    }

    fn read_blob(&self, content: Content, range: std::ops::Range<u64>) -> ByteStream {
        let bytes: Bytes = match content.body {
            Body::Inline(bytes) => bytes,
            Body::Blocks(blocks) => {
                let state = self.state.lock();
                blocks.iter().flat_map(|block| state.blocks[&block.hash].to_vec()).collect::<Vec<u8>>().into()
            }
            Body::Indexed { .. } => unreachable!("the model makes no indexes"),
        };
        let range = range.start as usize..range.end.min(bytes.len() as u64) as usize;
        futures::stream::iter([Ok(bytes.slice(range))]).boxed()
    }
}

/// The blocks of a content.
pub fn blocks_of(content: &Content) -> BTreeSet<BlockHash> {
    match &content.body {
        Body::Blocks(blocks) => blocks.iter().map(|block| block.hash).collect(),
        _ => BTreeSet::new(),
    }
}

fn scan_page(items: Vec<(ItemKey, Item)>, limit: u32) -> ScanPage {
    let cursor = |after: &ItemKey| serde_json::json!({"table": after.table, "partition": 0, "after": after});
    let next = items
        .last()
        .filter(|_| items.len() == limit as usize)
        .map(|(key, _)| serde_json::from_value(cursor(key)).unwrap());
    (items, next)
}
