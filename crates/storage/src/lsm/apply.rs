//! From entries to rows: one batch for all entries given.

use super::database::{Rows, Tables, View};
use super::keys;
use super::rows::{self, Body, CHUNK_BYTES, ItemRow, MetaRow};
use crate::StorageError;
use crate::operations::{FORGET_MAX, forget_before};
use bytes::Bytes;
use std::collections::BTreeMap;
use types::{Effect, ItemKey, LogEntry, OperationId, PartitionId, TableId, WallMillis};

/// A batch in the making. Reads see what is in it already, as one batch may write a key twice.
pub(crate) struct Batch<'a> {
    /// What is there before it.
    view: View,
    rows: Rows,
    counts: BTreeMap<(PartitionId, TableId), u64>,
    /// Where each partition is after it.
    ends: BTreeMap<PartitionId, MetaRow>,
    forgotten: &'a mut Forgotten,
}

/// Below these keys no operation is left: where looking for old ones begins. Without it each
/// look would wade through the graves of all those before.
pub(crate) type Forgotten = BTreeMap<PartitionId, Vec<u8>>;

impl<'a> Batch<'a> {
    pub fn new(tables: &Tables, forgotten: &'a mut Forgotten) -> Batch<'a> {
        Batch { view: tables.view(), rows: Rows::new(), counts: BTreeMap::new(), ends: BTreeMap::new(), forgotten }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        match self.rows.get(key) {
            Some(row) => Ok(row.clone()),
            None => self.view.get(key),
        }
    }

    /// Adds what an entry changes.
    pub fn entry(&mut self, partition: PartitionId, entry: &LogEntry) -> Result<(), StorageError> {
        for (index, effect) in entry.effects.iter().enumerate() {
            let row_key = keys::item(partition, effect.key());
            let existed = self.remove_old(partition, &row_key, effect.key())?;
            match effect {
                Effect::Put { key, value, expires } => {
                    self.put(partition, entry, index as u32, key, row_key, value, *expires)?;
                    if !existed {
                        *self.count(partition, key.table)? += 1;
                    }
                }
                Effect::Delete { key } if existed => {
                    self.rows.insert(row_key, None);
                    let count = self.count(partition, key.table)?;
                    *count = count.saturating_sub(1);
                }
                Effect::Delete { .. } => {}
            }
        }
        if let Some((id, outcome)) = entry.outcome() {
            let key = keys::operation(partition, &id);
            if let Some(floor) = self.forgotten.get_mut(&partition) {
                *floor = key.clone().min(std::mem::take(floor));
            }
            self.rows.insert(key, Some(rows::encode_outcome(&outcome)?));
        }
        if let Some(before) = forget_before(entry) {
            self.forget(partition, before)?;
        }
        self.ends.insert(partition, MetaRow { version: entry.version, time: entry.time });
        Ok(())
    }

    /// Takes away what hangs on the item there; the item's own row is left to the caller.
    fn remove_old(&mut self, partition: PartitionId, row_key: &[u8], key: &ItemKey) -> Result<bool, StorageError> {
        let Some(bytes) = self.get(row_key)? else { return Ok(false) };
        let (old, _) = ItemRow::decode(&bytes)?;
        if let Some(expires) = old.expires {
            self.rows.insert(keys::expiry(partition, expires, key), None);
        }
        for chunk in old.chunk_keys(partition) {
            self.rows.insert(chunk, None);
        }
        Ok(true)
    }

    #[allow(clippy::too_many_arguments)]
    fn put(
        &mut self,
        partition: PartitionId,
        entry: &LogEntry,
        effect: u32,
        key: &ItemKey,
        row_key: Vec<u8>,
        value: &Bytes,
        expires: Option<WallMillis>,
    ) -> Result<(), StorageError> {
        let inline = ItemRow::inlines(row_key.len(), value.len());
        let body = if inline { Body::Inline } else { Body::Chunks { effect, length: value.len() as u32 } };
        let row = ItemRow { version: entry.version, time: entry.time, expires, body };
        for (number, chunk_key) in row.chunk_keys(partition).enumerate() {
            let from = number * CHUNK_BYTES;
            self.rows.insert(chunk_key, Some(value.slice(from..value.len().min(from + CHUNK_BYTES))));
        }
        if let Some(expires) = expires {
            self.rows.insert(keys::expiry(partition, expires, key), Some(rows::encode_version(entry.version)?));
        }
        let bytes = row.encode(if inline { value } else { &[] })?;
        self.rows.insert(row_key, Some(bytes));
        Ok(())
    }

    fn count(&mut self, partition: PartitionId, table: TableId) -> Result<&mut u64, StorageError> {
        use std::collections::btree_map::Entry;
        match self.counts.entry((partition, table)) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(vacant) => {
                let stored = self.view.get(&keys::count(partition, table))?;
                Ok(vacant.insert(stored.map_or(Ok(0), |bytes| rows::decode_count(&bytes))?))
            }
        }
    }

    /// Forgets the oldest operations created before `before`, those of this batch included.
    fn forget(&mut self, partition: PartitionId, before: WallMillis) -> Result<(), StorageError> {
        let kind = keys::kind(partition, keys::OPERATION);
        let from = self.forgotten.get(&partition).cloned().unwrap_or(kind);
        let to = keys::operations_before(partition, before);
        if from >= to {
            return Ok(());
        }
        let mut old: Vec<Vec<u8>> = Vec::new();
        for row in self.view.range(from.clone(), to.clone(), false) {
            let (key, _) = row?;
            if !self.rows.contains_key(&key[..]) {
                old.push(key.to_vec());
                if old.len() == FORGET_MAX {
                    break;
                }
            }
        }
        let new = self.rows.range(from..to.clone()).filter(|(_, value)| value.is_some());
        old.extend(new.map(|(key, _)| key.clone()));
        old.sort();
        old.truncate(FORGET_MAX);
        // Everything below `to` is gone, unless there was more than may go at once.
        let floor = if old.len() == FORGET_MAX { old.last().cloned().unwrap_or(to) } else { to };
        self.forgotten.insert(partition, floor);
        for key in old {
            debug_assert_eq!(key.len(), keys::KIND + OperationId::BYTES);
            self.rows.insert(key, None);
        }
        Ok(())
    }

    /// The rows to write.
    pub fn finish(mut self) -> Result<Rows, StorageError> {
        for ((partition, table), count) in std::mem::take(&mut self.counts) {
            let value = if count == 0 { None } else { Some(rows::encode_count(count)?) };
            self.rows.insert(keys::count(partition, table), value);
        }
        for (partition, end) in self.ends {
            self.rows.insert(keys::kind(partition, keys::META), Some(end.encode()?));
        }
        Ok(self.rows)
    }
}
