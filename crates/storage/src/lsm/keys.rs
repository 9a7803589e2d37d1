//! How rows are named, so that byte order is the order that reads want.
//!
//! ```text
//! partition (2) · kind (1) · …
//!   META       —                                                       version and time applied
//!   COUNT      table (4)                                               items in the table
//!   ITEM       table (4) · partition key, escaped · sort key           the item
//!   CHUNK      sequence (8) · effect (4) · number (4)                  a piece of a large value
//!   EXPIRY     milliseconds (8) · table · partition key · sort key     version of the item
//!   OPERATION  operation id (32)                                       its outcome
//! ```
//! Numbers are big-endian. In a partition key 00 becomes 00 FF, and 00 01 ends it: so no
//! partition key's rows lie among another's, and byte order stays that of the keys.

use bytes::Bytes;
use types::{Bound, ItemKey, OperationId, PartitionId, Query, TableId, WallMillis};

pub(crate) const META: u8 = 0;
pub(crate) const COUNT: u8 = 1;
pub(crate) const ITEM: u8 = 2;
pub(crate) const CHUNK: u8 = 3;
pub(crate) const EXPIRY: u8 = 4;
pub(crate) const OPERATION: u8 = 5;

/// Bytes of the partition, which every key begins with.
pub(crate) const PARTITION: usize = 2;
/// Bytes of partition and kind.
pub(crate) const KIND: usize = 3;
/// The longest key: an expiry row of two longest keys, all of it escaped.
pub(crate) const KEY_MAX: usize = KIND + 8 + 4 + 3 * types::limits::KEY_BYTES_MAX + 2;

fn start(partition: PartitionId, kind: u8, more: usize) -> Vec<u8> {
    let mut key = Vec::with_capacity(KIND + more);
    key.extend_from_slice(&partition.0.to_be_bytes());
    key.push(kind);
    key
}

/// Everything of one kind begins so.
pub(crate) fn kind(partition: PartitionId, kind: u8) -> Vec<u8> {
    start(partition, kind, 0)
}

pub(crate) fn count(partition: PartitionId, table: TableId) -> Vec<u8> {
    let mut key = start(partition, COUNT, 4);
    key.extend_from_slice(&table.0.to_be_bytes());
    key
}

/// All items of a table begin so.
pub(crate) fn table(partition: PartitionId, table: TableId) -> Vec<u8> {
    let mut key = start(partition, ITEM, 4);
    key.extend_from_slice(&table.0.to_be_bytes());
    key
}

fn push_address(key: &mut Vec<u8>, table: TableId, partition_key: &[u8], sort_key: &[u8]) {
    key.extend_from_slice(&table.0.to_be_bytes());
    for &byte in partition_key {
        key.push(byte);
        if byte == 0 {
            key.push(0xff);
        }
    }
    key.extend_from_slice(&[0, 1]);
    key.extend_from_slice(sort_key);
}

pub(crate) fn item(partition: PartitionId, item: &ItemKey) -> Vec<u8> {
    let mut key = start(partition, ITEM, 6 + item.partition_key.len() + item.sort_key.len());
    push_address(&mut key, item.table, &item.partition_key, &item.sort_key);
    key
}

/// All items under a partition key begin so; what follows is the sort key.
pub(crate) fn under(partition: PartitionId, table: TableId, partition_key: &[u8]) -> Vec<u8> {
    let mut key = start(partition, ITEM, 6 + partition_key.len());
    push_address(&mut key, table, partition_key, &[]);
    key
}

/// `from..to` of a query's rows. May be empty, and even the wrong way round.
pub(crate) fn range(partition: PartitionId, query: &Query) -> (Vec<u8>, Vec<u8>) {
    let prefix = under(partition, query.table, &query.partition_key);
    let at = |sort_key: &[u8], after: bool| {
        let mut key = prefix.clone();
        key.extend_from_slice(sort_key);
        if after {
            key.push(0);
        }
        key
    };
    let from = match &query.from {
        Bound::Open => prefix.clone(),
        Bound::Included(key) => at(key, false),
        Bound::Excluded(key) => at(key, true),
    };
    let to = match &query.to {
        Bound::Open => end(&prefix),
        Bound::Included(key) => at(key, true),
        Bound::Excluded(key) => at(key, false),
    };
    (from, to)
}

/// The key just above everything that begins with `prefix`, which does not consist of FF alone
/// (a prefix of ours ends in a kind, or in bytes behind one).
pub(crate) fn end(prefix: &[u8]) -> Vec<u8> {
    types::query::prefix_end(prefix).unwrap_or_else(|| vec![0xff; prefix.len() + 1])
}

pub(crate) fn chunk(partition: PartitionId, seq: u64, effect: u32, number: u32) -> Vec<u8> {
    let mut key = start(partition, CHUNK, 16);
    key.extend_from_slice(&seq.to_be_bytes());
    key.extend_from_slice(&effect.to_be_bytes());
    key.extend_from_slice(&number.to_be_bytes());
    key
}

pub(crate) fn expiry(partition: PartitionId, at: WallMillis, item: &ItemKey) -> Vec<u8> {
    let mut key = start(partition, EXPIRY, 14 + item.partition_key.len() + item.sort_key.len());
    key.extend_from_slice(&at.0.to_be_bytes());
    push_address(&mut key, item.table, &item.partition_key, &item.sort_key);
    key
}

pub(crate) fn operation(partition: PartitionId, id: &OperationId) -> Vec<u8> {
    let mut key = start(partition, OPERATION, OperationId::BYTES);
    key.extend_from_slice(&id.to_bytes());
    key
}

/// Operations created before `before` lie below this key.
pub(crate) fn operations_before(partition: PartitionId, before: WallMillis) -> Vec<u8> {
    let mut key = start(partition, OPERATION, 8);
    key.extend_from_slice(&before.0.to_be_bytes());
    key
}

/// The item's address at the end of an ITEM row's key (behind the kind) or an EXPIRY row's
/// (behind the time).
pub(crate) fn parse_address(bytes: &[u8]) -> Option<ItemKey> {
    let table = TableId(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?));
    let mut partition_key = Vec::new();
    let mut rest = bytes[4..].iter();
    loop {
        match rest.next()? {
            0 => match rest.next()? {
                0xff => partition_key.push(0),
                1 => break,
                _ => return None,
            },
            &byte => partition_key.push(byte),
        }
    }
    Some(ItemKey { table, partition_key: partition_key.into(), sort_key: Bytes::copy_from_slice(rest.as_slice()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys() -> impl Strategy<Value = ItemKey> {
        let bytes = || proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()], 0..6);
        (0u32..3, bytes(), bytes()).prop_map(|(table, p, s)| ItemKey::new(TableId(table), p, s))
    }

    proptest! {
        #[test]
        fn item_keys_sort_and_read_back(a in keys(), b in keys()) {
            let p = PartitionId(7);
            prop_assert_eq!(item(p, &a).cmp(&item(p, &b)), a.cmp(&b));
            prop_assert_eq!(parse_address(&item(p, &a)[KIND..]), Some(a.clone()));
            prop_assert_eq!(parse_address(&expiry(p, WallMillis(5), &a)[KIND + 8..]), Some(a.clone()));
            let inside = item(p, &b).starts_with(&under(p, a.table, &a.partition_key));
            prop_assert_eq!(inside, a.table == b.table && a.partition_key == b.partition_key);
        }

        #[test]
        fn ranges_hold_what_the_query_holds(key in keys(), from in keys(), to in keys(), kinds in 0..9) {
            let p = PartitionId(7);
            let bound = |kind, key: Bytes| match kind { 0 => Bound::Open, 1 => Bound::Included(key), _ => Bound::Excluded(key) };
            let query = Query {
                from: bound(kinds % 3, from.sort_key), to: bound(kinds / 3, to.sort_key),
                ..Query::all(key.table, key.partition_key.clone())
            };
            let (low, high) = range(p, &query);
            let row = item(p, &key);
            prop_assert_eq!(low <= row && row < high, query.contains(&key.sort_key));
        }
    }

    #[test]
    fn the_longest_key_fits() {
        let longest =
            ItemKey::new(TableId(1), vec![0; types::limits::KEY_BYTES_MAX], vec![0; types::limits::KEY_BYTES_MAX]);
        assert_eq!(expiry(PartitionId(1), WallMillis(1), &longest).len(), KEY_MAX);
    }
}
