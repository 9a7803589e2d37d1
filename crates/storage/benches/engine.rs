//! What the engine's steps of a put and a get cost, without the disk's, and blocks with it: `cargo bench -p atoll-storage --bench engine`.

#![allow(clippy::unwrap_used)] // A benchmark that cannot go on should end loudly.

use atoll_storage::{BlockStore, LsmEngine, LsmOptions, StorageEngine};
use bytes::Bytes;
use divan::{Bencher, black_box};
use std::sync::Arc;
use types::{
    BlockHash, Effect, HybridTime, ItemKey, KeyHash, LogEntry, OperationId, PartitionId, Record, TableId, Version,
    WallMillis, limits,
};

#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

const PARTITION: PartitionId = PartitionId(3);
/// Entries that are written together, as under load.
const TOGETHER: u64 = 64;
/// Different keys.
const KEYS: u64 = 10_000;

fn main() {
    divan::main();
}

fn key(n: u64) -> ItemKey {
    ItemKey::new(TableId(9), format!("item-{:08}", n.wrapping_mul(7919) % KEYS), "")
}

/// Puts of 256 bytes each, one after the other.
struct Writer {
    engine: LsmEngine,
    _folder: tempfile::TempDir,
    written: u64,
}

impl Writer {
    fn new() -> Writer {
        let folder = tempfile::tempdir().unwrap();
        let engine = LsmEngine::open(folder.path(), LsmOptions::default()).unwrap();
        Writer { engine, _folder: folder, written: 0 }
    }

    fn next(&mut self) -> Vec<Arc<LogEntry>> {
        let entries = (0..TOGETHER).map(|_| {
            self.written += 1;
            let time = self.written * 1000;
            let operation =
                OperationId { created: WallMillis(time), key_hash: KeyHash(5), nonce: u128::from(self.written) };
            let value = Bytes::from(vec![self.written as u8; 256]);
            Arc::new(LogEntry {
                version: Version::new(1, self.written),
                time: HybridTime(time << 16),
                operation: Some((operation, 99, None)),
                effects: vec![Effect::Put { key: key(self.written), value, expires: None }],
            })
        });
        entries.collect()
    }

    fn append(&self, entries: &[Arc<LogEntry>]) {
        let record = |entry: &Arc<LogEntry>| Record::Entry { partition: PARTITION, entry: entry.clone() };
        self.engine.append(&entries.iter().map(record).collect::<Vec<_>>()).unwrap();
    }

    fn apply(&self, entries: &[Arc<LogEntry>]) {
        let entries: Vec<_> = entries.iter().map(|entry| (PARTITION, entry.clone())).collect();
        self.engine.apply(&entries).unwrap();
    }
}

#[divan::bench(sample_count = 200, sample_size = 1)]
fn append_64_puts(bencher: Bencher) {
    let writer = std::cell::RefCell::new(Writer::new());
    bencher.with_inputs(|| writer.borrow_mut().next()).bench_local_refs(|entries| writer.borrow().append(entries));
}

#[divan::bench(sample_count = 200, sample_size = 1)]
fn apply_64_puts(bencher: Bencher) {
    let writer = std::cell::RefCell::new(Writer::new());
    let logged = || {
        let mut writer = writer.borrow_mut();
        let entries = writer.next();
        writer.append(&entries);
        writer.engine.sync().unwrap();
        entries
    };
    bencher.with_inputs(logged).bench_local_refs(|entries| writer.borrow().apply(entries));
}

#[divan::bench]
fn get(bencher: Bencher) {
    let mut writer = Writer::new();
    for _ in 0..2 * KEYS / TOGETHER {
        let entries = writer.next();
        writer.append(&entries);
        writer.engine.sync().unwrap();
        writer.apply(&entries);
    }
    let mut n = 0;
    bencher.bench_local(|| {
        n += 1;
        writer.engine.get(PARTITION, black_box(&key(n))).unwrap()
    });
}

/// Blocks of 1 MiB, each durable before the next.
#[divan::bench(sample_count = 50, sample_size = 1)]
fn put_a_block(bencher: Bencher) {
    let folder = tempfile::tempdir().unwrap();
    let store = BlockStore::open(folder.path()).unwrap();
    let mut n = 0u64;
    let block = || {
        n += 1;
        noise(n)
    };
    bencher
        .with_inputs(block)
        .bench_local_refs(|(hash, raw)| assert!(store.put(*hash, raw.clone()).unwrap(), "it is new"));
}

#[divan::bench(sample_count = 200, sample_size = 1)]
fn get_a_block(bencher: Bencher) {
    let folder = tempfile::tempdir().unwrap();
    let store = BlockStore::open(folder.path()).unwrap();
    let (hash, raw) = noise(1);
    store.put(hash, raw).unwrap();
    bencher.bench_local(|| store.get(black_box(&hash)).unwrap().unwrap());
}

fn noise(n: u64) -> (BlockHash, Bytes) {
    let mut raw = vec![0; limits::BLOCK_BYTES];
    blake3::Hasher::new().update(&n.to_le_bytes()).finalize_xof().fill(&mut raw);
    (BlockHash::of(&raw), raw.into())
}
