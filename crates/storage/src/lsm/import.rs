//! What a copy changes: rows that take the place of a range.

use super::database::{Rows, Tables};
use super::{keys, misuse, read, rows};
use crate::StorageError;
use bytes::Bytes;
use std::collections::BTreeMap;
use types::{PartitionId, Row, RowRange};

/// What is to be written so that the range holds `rows` and nothing else. What is there already is left alone.
pub(super) fn changes(
    tables: &Tables,
    partition: PartitionId,
    range: &RowRange,
    rows: &[Row],
) -> Result<Rows, StorageError> {
    let mut wanted: BTreeMap<&Bytes, &Bytes> = BTreeMap::new();
    for row in rows {
        let known = row.key.first().is_some_and(|kind| (keys::COUNT..=keys::OPERATION).contains(kind));
        if !known || row.key.len() > keys::KEY_MAX || row.key.len() + row.value.len() > rows::ROW_MAX {
            return Err(misuse("a row of a copy that no engine of this release writes".into()));
        }
        if !range.contains(&row.key) {
            return Err(misuse("a row of a copy lies outside of its range".into()));
        }
        wanted.insert(&row.key, &row.value);
    }
    let named = |key: &[u8]| [&partition.0.to_be_bytes()[..], key].concat();
    let mut changes = Rows::new();
    for row in read::copied(&tables.view(), partition, range) {
        let (key, value) = row?;
        match wanted.get(&key) {
            Some(same) if **same == value => drop(wanted.remove(&key)),
            Some(_) => {}
            None => drop(changes.insert(named(&key), None)),
        }
    }
    changes.extend(wanted.into_iter().map(|(key, value)| (named(key), Some(value.clone()))));
    Ok(changes)
}
