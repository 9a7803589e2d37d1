//! One partition's tables as ordered maps: what `lsm` keeps in rows, kept as it is.
//!
//! Written apart from the LSM's code on purpose: the two are each other's oracle.

use crate::operations::{FORGET_MAX, forget_before};
use crate::page::PageBuilder;
use crate::{Export, Row, Snapshot, StorageError};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound as Edge;
use std::sync::Arc;
use types::{
    Bound, Effect, HybridTime, Item, ItemKey, LogEntry, OperationId, Outcome, PartitionId, Query, QueryPage, TableId,
    Version, WallMillis,
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

/// A row of a full copy.
#[derive(Serialize, Deserialize)]
enum Copied {
    Item(ItemKey, Item),
    Operation(OperationId, Outcome),
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

    pub fn import(&mut self, row: &Row) -> Result<(), StorageError> {
        match postcard::from_bytes(&row.value) {
            Ok(Copied::Item(key, item)) => self.insert(key, item),
            Ok(Copied::Operation(id, outcome)) => drop(self.operations.insert(id, outcome)),
            Err(error) => return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, error).into()),
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

    /// Everything, in a fixed order, after a row's key.
    fn copied(&self, after: Option<&Bytes>) -> Result<Vec<Row>, StorageError> {
        let items = self.items.iter().map(|(key, item)| Copied::Item(key.clone(), item.clone()));
        let operations = self.operations.iter().map(|(id, outcome)| Copied::Operation(*id, outcome.clone()));
        let skip = after.and_then(|key| <[u8; 8]>::try_from(&key[..]).ok()).map_or(0, |at| u64::from_be_bytes(at) + 1);
        let rows = items.chain(operations).enumerate().skip(skip as usize).map(|(at, row)| {
            let value = postcard::to_allocvec(&row).map_err(std::io::Error::other)?;
            Ok(Row { key: Bytes::copy_from_slice(&(at as u64).to_be_bytes()), value: value.into() })
        });
        rows.collect()
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

    fn export(&self, after: Option<&Bytes>, bytes_max: usize) -> Result<Export, StorageError> {
        self.0.check(|_| true)?;
        let mut export = Export::default();
        let mut bytes = 0;
        for row in self.0.copied(after)? {
            if bytes >= bytes_max && !export.rows.is_empty() {
                export.next = export.rows.last().map(|row| row.key.clone());
                break;
            }
            bytes += row.key.len() + row.value.len();
            export.rows.push(row);
        }
        Ok(export)
    }
}
