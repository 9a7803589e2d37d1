//! Reading a partition's tables, at one sequence.

use super::database::{Tables, View};
use super::keys;
use super::rows::{self, Body, ItemRow, MetaRow};
use crate::page::PageBuilder;
use crate::{Export, Snapshot, StorageError};
use bytes::{Bytes, BytesMut};
use types::{
    Found, HybridTime, Item, ItemKey, PartitionId, Piece, Query, QueryPage, Row, RowRange, TableId, Version, WallMillis,
};

/// One partition's tables as they were at one sequence.
pub(crate) struct LsmSnapshot {
    view: View,
    partition: PartitionId,
    meta: MetaRow,
}

impl LsmSnapshot {
    pub fn new(tables: &Tables, partition: PartitionId) -> Result<LsmSnapshot, StorageError> {
        let view = tables.view();
        let meta = match view.get(&keys::kind(partition, keys::META))? {
            Some(bytes) => MetaRow::decode(&bytes)?,
            None => MetaRow::default(),
        };
        Ok(LsmSnapshot { view, partition, meta })
    }

    /// Items whose expiry is at or before `now`, the longest due first.
    pub fn due(&self, now: WallMillis, limit: usize) -> Result<Vec<(ItemKey, Version)>, StorageError> {
        let from = keys::kind(self.partition, keys::EXPIRY);
        let mut to = from.clone();
        match now.0.checked_add(1) {
            Some(later) => to.extend_from_slice(&later.to_be_bytes()),
            None => to = keys::end(&from),
        }
        let rows = self.view.range(from, to, false).take(limit);
        rows.map(|row| {
            let (key, value) = row?;
            let key = key.get(keys::KIND + 8..).and_then(keys::parse_address);
            Ok((key.ok_or_else(|| rows::unreadable("EXPIRY"))?, rows::decode_version(&value)?))
        })
        .collect()
    }
}

/// One item, its pieces put together.
pub(super) fn item(view: &View, partition: PartitionId, key: &ItemKey) -> Result<Option<Item>, StorageError> {
    let Some(bytes) = view.get(&keys::item(partition, key))? else { return Ok(None) };
    let (row, inline) = ItemRow::decode(&bytes)?;
    whole(view, partition, row, inline).map(Some)
}

fn whole(view: &View, partition: PartitionId, row: ItemRow, inline: Bytes) -> Result<Item, StorageError> {
    let Body::Chunks { length, .. } = row.body else { return Ok(row.with_value(inline)) };
    let mut value = BytesMut::with_capacity(length as usize);
    for key in row.chunk_keys(partition) {
        let chunk = view.get(&key)?.ok_or_else(|| rows::unreadable("CHUNK"))?;
        value.extend_from_slice(&chunk);
    }
    if value.len() != length as usize {
        return Err(rows::unreadable("CHUNK"));
    }
    Ok(row.with_value(value.freeze()))
}

/// The rows of a range that a copy is made of, by their keys without the partition. META is not among them:
/// `install` writes it when all else is there.
pub(super) fn copied(
    view: &View,
    partition: PartitionId,
    range: &RowRange,
) -> impl Iterator<Item = Result<(Bytes, Bytes), StorageError>> + use<> {
    let first = keys::kind(partition, keys::COUNT);
    let end = keys::end(&keys::kind(partition, keys::OPERATION));
    let above = |key: &Option<Bytes>| {
        key.as_ref().map(|key| [&first[..keys::PARTITION], key, &[0]].concat().clamp(first.clone(), end.clone()))
    };
    let (from, to) = (above(&range.after).unwrap_or(first.clone()), above(&range.upto).unwrap_or(end.clone()));
    view.range(from, to, false).map(|row| row.map(|(key, value)| (key.slice(keys::PARTITION..), value)))
}

impl Snapshot for LsmSnapshot {
    fn at(&self) -> Version {
        self.meta.version
    }

    fn time(&self) -> HybridTime {
        self.meta.time
    }

    fn get(&self, key: &ItemKey) -> Result<Option<Item>, StorageError> {
        item(&self.view, self.partition, key)
    }

    fn query(&self, query: &Query) -> Result<QueryPage, StorageError> {
        let prefix = keys::under(self.partition, query.table, &query.partition_key).len();
        let (from, to) = keys::range(self.partition, query);
        let mut page = PageBuilder::new(query);
        let mut more = false;
        for row in self.view.range(from, to, query.reverse) {
            let (key, value) = row?;
            let (row, inline) = ItemRow::decode(&value)?;
            if !page.fits(key.len() - prefix, row.value_len(&inline)) {
                more = true;
                break;
            }
            page.push(key.slice(prefix..), whole(&self.view, self.partition, row, inline)?);
        }
        Ok(page.finish(more, self.meta.version.seq))
    }

    fn scan(
        &self,
        table: TableId,
        after: Option<&ItemKey>,
        limit: usize,
    ) -> Result<Vec<(ItemKey, Item)>, StorageError> {
        let prefix = keys::table(self.partition, table);
        let from = match after {
            Some(after) => {
                let mut key = keys::item(self.partition, after);
                key.push(0);
                key.max(prefix.clone())
            }
            None => prefix.clone(),
        };
        let rows = self.view.range(from, keys::end(&prefix), false).take(limit);
        rows.map(|row| {
            let (key, value) = row?;
            let key = keys::parse_address(&key[keys::KIND..]).ok_or_else(|| rows::unreadable("ITEM"))?;
            let (row, inline) = ItemRow::decode(&value)?;
            Ok((key, whole(&self.view, self.partition, row, inline)?))
        })
        .collect()
    }

    fn count(&self, table: TableId) -> Result<u64, StorageError> {
        match self.view.get(&keys::count(self.partition, table))? {
            Some(bytes) => rows::decode_count(&bytes),
            None => Ok(0),
        }
    }

    fn export(&self, range: &RowRange, bytes_max: usize) -> Result<Export, StorageError> {
        let mut export = Export::default();
        let mut bytes = 0;
        for row in copied(&self.view, self.partition, range) {
            let (key, value) = row?;
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
        types::rows::outline(copied(&self.view, self.partition, range), range, piece_bytes)
    }

    fn compare(&self, after: Option<&Bytes>, pieces: &[Piece]) -> Result<Found, StorageError> {
        let range = RowRange { after: after.cloned(), upto: None };
        types::rows::compare(copied(&self.view, self.partition, &range), pieces)
    }
}
