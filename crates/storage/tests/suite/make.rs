//! What the suites write: entries, keys, operations.

use atoll_storage::{Export, Snapshot, StorageEngine};
use bytes::Bytes;
use std::sync::Arc;
use types::*;

pub const P: PartitionId = PartitionId(3);
pub const T: TableId = TableId(7);

pub fn key(partition_key: &str, sort_key: &str) -> ItemKey {
    ItemKey::new(T, partition_key.as_bytes().to_vec(), sort_key.as_bytes().to_vec())
}

pub fn put(partition_key: &str, sort_key: &str, value: impl Into<Bytes>) -> Effect {
    Effect::Put { key: key(partition_key, sort_key), value: value.into(), expires: None }
}

pub fn delete(partition_key: &str, sort_key: &str) -> Effect {
    Effect::Delete { key: key(partition_key, sort_key) }
}

pub fn operation(created: u64, nonce: u128) -> OperationId {
    OperationId { created: WallMillis(created), key_hash: KeyHash(5), nonce }
}

/// Entry `epoch.seq`, committed at `seq` seconds.
pub fn entry(epoch: u64, seq: u64, effects: Vec<Effect>) -> Arc<LogEntry> {
    let created = seq * 1000;
    Arc::new(LogEntry {
        version: Version::new(epoch, seq),
        time: HybridTime(created << 16),
        operation: Some((operation(created, u128::from(seq)), 99, Some(vec![seq as i64]))),
        effects,
    })
}

pub fn record(entry: &Arc<LogEntry>) -> Record {
    Record::Entry { partition: P, entry: entry.clone() }
}

/// Appends and syncs.
pub fn log(engine: &dyn StorageEngine, entries: &[Arc<LogEntry>]) {
    let records: Vec<_> = entries.iter().map(record).collect();
    engine.append(&records).unwrap();
    engine.sync().unwrap();
}

/// Appends, syncs and applies.
pub fn write(engine: &dyn StorageEngine, entries: &[Arc<LogEntry>]) {
    log(engine, entries);
    apply(engine, entries);
}

pub fn apply(engine: &dyn StorageEngine, entries: &[Arc<LogEntry>]) {
    let applied: Vec<_> = entries.iter().map(|entry| (P, entry.clone())).collect();
    engine.apply(&applied).unwrap();
}

/// All rows of a partition, page by page.
pub fn export(snapshot: &dyn Snapshot, bytes_max: usize) -> Vec<Export> {
    let mut pages = vec![snapshot.export(&RowRange::default(), bytes_max).unwrap()];
    while let Some(next) = pages.last().unwrap().next.clone() {
        pages.push(snapshot.export(&RowRange { after: Some(next), upto: None }, bytes_max).unwrap());
    }
    pages
}

/// Takes such a copy.
pub fn import(engine: &dyn StorageEngine, partition: PartitionId, pages: &[Export]) {
    let mut after = None;
    for page in pages {
        let range = RowRange { after, upto: page.next.clone() };
        engine.import(partition, &range, &page.rows).unwrap();
        after = page.next.clone();
    }
}

/// Bytes that do not compress and differ from place to place.
pub fn noise(length: usize) -> Bytes {
    let mut out = vec![0; length];
    blake3::Hasher::new().update(&length.to_le_bytes()).finalize_xof().fill(&mut out);
    out.into()
}
