//! One partition's tables as ordered maps: what `lsm` keeps in rows, kept as it is.
//!
//! Written apart from the LSM's code on purpose: the two are each other's oracle.

use crate::operations::{FORGET_MAX, forget_before};
use crate::page::PageBuilder;
use crate::{Export, Snapshot, StorageError};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound as Edge;
use std::sync::Arc;
use types::{
    Bound, Effect, Found, HybridTime, Item, ItemKey, LogEntry, OperationId, Outcome, PartitionId, Piece, Query,
    QueryPage, Row, RowRange, TableId, Version, WallMillis,
};

/// All partitions' tables. Each is shared with the snapshots and the checkpoint until it changes.
pub(super) type AllTables = BTreeMap<PartitionId, Arc<Tables>>;

/// One partition's tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tables {
    pub version: Version,
    pub time: HybridTime,
    items: BTreeMap<ItemKey, Item>,
    expiry: BTreeSet<(WallMillis, ItemKey)>,
    operations: BTreeMap<OperationId, Outcome>,
    /// Items that do not pass their checksum any more.
    rotten: BTreeSet<ItemKey>,
}

/// What a row of a copy is of.
#[derive(Serialize, Deserialize)]
enum RowKey {
    Item(ItemKey),
    Operation(OperationId),
}

fn encode<T: Serialize>(what: &T) -> Result<Bytes, StorageError> {
    Ok(postcard::to_allocvec(what).map_err(std::io::Error::other)?.into())
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, StorageError> {
    postcard::from_bytes(bytes).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error).into())
}

impl Tables {
    pub fn apply(&mut self, entry: &LogEntry) {
        for effect in &entry.effects {
            self.remove(effect.key());
            if let Effect::Put { key, value, expires } = effect {
                let (version, time) = (entry.version, entry.time);
                self.insert(key.clone(), Item { value: value.clone(), version, time, expires: *expires });
            }
        }
        if let Some((id, outcome)) = entry.outcome() {
            self.operations.insert(id, outcome);
        }
        if let Some(before) = forget_before(entry) {
            let old = |id: &OperationId| id.created < before;
            let gone: Vec<_> = self.operations.keys().copied().take_while(old).take(FORGET_MAX).collect();
            gone.iter().for_each(|id| drop(self.operations.remove(id)));
        }
        self.version = entry.version;
        self.time = entry.time;
    }

    fn insert(&mut self, key: ItemKey, item: Item) {
        if let Some(at) = item.expires {
            self.expiry.insert((at, key.clone()));
        }
        self.items.insert(key, item);
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.operations.is_empty()
    }

    pub fn keys(&self) -> impl Iterator<Item = &ItemKey> {
        self.items.keys()
    }

    pub fn rot(&mut self, key: &ItemKey) {
        if self.items.contains_key(key) {
            self.rotten.insert(key.clone());
        }
    }

    pub fn mend(&mut self) {
        self.rotten.clear();
    }

    /// An error when anything rotten is read.
    pub fn check(&self, read: impl Fn(&ItemKey) -> bool) -> Result<(), StorageError> {
        match self.rotten.iter().any(read) {
            true => Err(StorageError::Damaged("tables: a checksum fails".into())),
            false => Ok(()),
        }
    }

    fn remove(&mut self, key: &ItemKey) {
        self.rotten.remove(key);
        if let Some(at) = self.items.remove(key).and_then(|old| old.expires) {
            self.expiry.remove(&(at, key.clone()));
        }
    }

    pub fn outcome(&self, operation: &OperationId) -> Option<Outcome> {
        self.operations.get(operation).cloned()
    }

    pub fn get(&self, key: &ItemKey) -> Option<Item> {
        self.items.get(key).cloned()
    }

    pub fn due(&self, now: WallMillis, limit: usize) -> Vec<(ItemKey, Version)> {
        let due = self.expiry.iter().take_while(|(at, _)| *at <= now).take(limit);
        due.filter_map(|(_, key)| Some((key.clone(), self.items.get(key)?.version))).collect()
    }

    /// No write is applied.
    pub fn unsettle(&mut self) {
        (self.version, self.time) = Default::default();
    }

    /// These take the place of all that is in the range.
    pub fn import(&mut self, range: &RowRange, rows: &[Row]) -> Result<(), StorageError> {
        if rows.iter().any(|row| !range.contains(&row.key)) {
            return Err(super::misuse("a row of a copy lies outside of its range".into()));
        }
        for old in self.copied(range)?.into_keys() {
            match decode(&old)? {
                RowKey::Item(key) => self.remove(&key),
                RowKey::Operation(id) => drop(self.operations.remove(&id)),
            }
        }
        for row in rows {
            match decode(&row.key)? {
                RowKey::Item(key) => self.insert(key, decode(&row.value)?),
                RowKey::Operation(id) => drop(self.operations.insert(id, decode(&row.value)?)),
            }
        }
        Ok(())
    }

    fn under<'a>(&'a self, query: &'a Query) -> Box<dyn Iterator<Item = (&'a ItemKey, &'a Item)> + 'a> {
        let key = |sort_key: &Bytes| ItemKey {
            table: query.table,
            partition_key: query.partition_key.clone(),
            sort_key: sort_key.clone(),
        };
        let inside = move |(key, _): &(&ItemKey, &Item)| {
            key.table == query.table && key.partition_key == query.partition_key && query.contains(&key.sort_key)
        };
        // Only the end that the walk begins at is given to the map; the other is where it stops.
        if query.reverse {
            let from = match &query.to {
                Bound::Open => {
                    let mut above = query.partition_key.to_vec();
                    above.push(0);
                    Edge::Excluded(ItemKey::new(query.table, above, Bytes::new()))
                }
                Bound::Included(sort_key) => Edge::Included(key(sort_key)),
                Bound::Excluded(sort_key) => Edge::Excluded(key(sort_key)),
            };
            Box::new(self.items.range((Edge::Unbounded, from)).rev().take_while(inside))
        } else {
            let from = match &query.from {
                Bound::Open => Edge::Included(key(&Bytes::new())),
                Bound::Included(sort_key) => Edge::Included(key(sort_key)),
                Bound::Excluded(sort_key) => Edge::Excluded(key(sort_key)),
            };
            Box::new(self.items.range((from, Edge::Unbounded)).take_while(inside))
        }
    }

    /// All rows of a range.
    fn copied(&self, range: &RowRange) -> Result<BTreeMap<Bytes, Bytes>, StorageError> {
        let items = self.items.iter().map(|(key, item)| Ok((encode(&RowKey::Item(key.clone()))?, encode(item)?)));
        let operations = self.operations.iter();
        let operations = operations.map(|(id, outcome)| Ok((encode(&RowKey::Operation(*id))?, encode(outcome)?)));
        let inside = |row: &Result<(Bytes, Bytes), StorageError>| match row {
            Ok((key, _)) => range.contains(key),
            Err(_) => true,
        };
        items.chain(operations).filter(inside).collect()
    }
}

/// The tables of one partition, as they were.
pub(super) struct MemorySnapshot(pub Arc<Tables>);

impl Snapshot for MemorySnapshot {
    fn at(&self) -> Version {
        self.0.version
    }

    fn time(&self) -> HybridTime {
        self.0.time
    }

    fn get(&self, key: &ItemKey) -> Result<Option<Item>, StorageError> {
        self.0.check(|rotten| rotten == key)?;
        Ok(self.0.get(key))
    }

    fn query(&self, query: &Query) -> Result<QueryPage, StorageError> {
        self.0.check(|rotten| rotten.table == query.table && rotten.partition_key == query.partition_key)?;
        let mut page = PageBuilder::new(query);
        let mut more = false;
        for (key, item) in self.0.under(query) {
            if !page.fits(key.sort_key.len(), item.value.len()) {
                more = true;
                break;
            }
            page.push(key.sort_key.clone(), item.clone());
        }
        Ok(page.finish(more, self.0.version.seq))
    }

    fn scan(
        &self,
        table: TableId,
        after: Option<&ItemKey>,
        limit: usize,
    ) -> Result<Vec<(ItemKey, Item)>, StorageError> {
        self.0.check(|rotten| rotten.table == table)?;
        let start = ItemKey::new(table, Bytes::new(), Bytes::new());
        let from = match after {
            Some(after) if *after >= start => Edge::Excluded(after.clone()),
            _ => Edge::Included(start),
        };
        let items = self.0.items.range((from, Edge::Unbounded)).take_while(|(key, _)| key.table == table);
        Ok(items.take(limit).map(|(key, item)| (key.clone(), item.clone())).collect())
    }

    fn count(&self, table: TableId) -> Result<u64, StorageError> {
        Ok(self.0.items.keys().filter(|key| key.table == table).count() as u64)
    }

    fn export(&self, range: &RowRange, bytes_max: usize) -> Result<Export, StorageError> {
        self.0.check(|_| true)?;
        let mut export = Export::default();
        let mut bytes = 0;
        for (key, value) in self.0.copied(range)? {
            if bytes >= bytes_max && !export.rows.is_empty() {
                export.next = export.rows.last().map(|row| row.key.clone());
                break;
            }
            bytes += key.len() + value.len();
            export.rows.push(Row { key, value });
        }
        Ok(export)
    }

    fn outline(&self, range: &RowRange, piece_bytes: usize) -> Result<(Vec<Piece>, usize), StorageError> {
        self.0.check(|_| true)?;
        types::rows::outline(self.0.copied(range)?.into_iter().map(Ok), range, piece_bytes)
    }

    fn compare(&self, after: Option<&Bytes>, pieces: &[Piece]) -> Result<Found, StorageError> {
        self.0.check(|_| true)?;
        let range = RowRange { after: after.cloned(), upto: None };
        types::rows::compare(self.0.copied(&range)?.into_iter().map(Ok), pieces)
    }
}
