//! What reading one item costs where there are many.

#![allow(clippy::unwrap_used)]

mod suite;

use atoll_storage::{LsmEngine, LsmOptions, StorageEngine};
use bytes::Bytes;
use std::time::{Duration, Instant};
use suite::make::*;

/// Bytes that this thread has read, from the disk or from the system's cache.
fn bytes_read() -> u64 {
    let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

/// A name and 256 bytes that nothing else has.
fn item(n: u64) -> (String, Bytes) {
    let mut value = vec![0; 256];
    blake3::Hasher::new().update(&n.to_le_bytes()).finalize_xof().fill(&mut value);
    (format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)), value.into())
}

/// Writes items by thousands, and waits until the files are in order.
fn fill(engine: &LsmEngine, items: std::ops::Range<u64>) {
    for begin in items.clone().step_by(1000) {
        let some = begin..(begin + 1000).min(items.end);
        let entries: Vec<_> = some.map(|n| (n, item(n))).collect();
        let entries: Vec<_> =
            entries.into_iter().map(|(n, (name, value))| entry(1, n + 1, vec![put("k", &name, value)])).collect();
        write(engine, &entries);
    }
    engine.checkpoint().unwrap();
}

/// Looks items up, here and there; how long each took, and what it read.
fn look(engine: &LsmEngine, items: u64, times: u64) -> (Duration, u64) {
    let (before, begun) = (bytes_read(), Instant::now());
    for n in 0..times {
        let (name, value) = item(n.wrapping_mul(0x5851_f42d_4c95_7f2d) % items);
        assert_eq!(engine.get(P, &key("k", &name)).unwrap().unwrap().value, value);
    }
    (begun.elapsed() / times as u32, (bytes_read() - before) / times)
}

/// Not a filter or an index of a whole file for each, once there are more of them than the cache holds.
#[test]
fn a_look_reads_some_kilobytes() {
    let folder = tempfile::tempdir().unwrap();
    let options = LsmOptions { cache_bytes: 64 << 10, memtable_bytes: 1 << 20, ..LsmOptions::default() };
    let engine = LsmEngine::open(folder.path(), options).unwrap();
    fill(&engine, 0..100_000);
    let (took, read) = look(&engine, 100_000, 2_000);
    println!("{took:?} and {read} bytes a look, {:?}", engine.stats());
    assert!(read < 40 << 10, "{read} bytes for an item of 256");
}

/// `ATOLL_ITEMS=10000000 cargo test --release -p atoll-storage --test reads -- --ignored --nocapture`
#[test]
#[ignore = "measures; run alone"]
fn many() {
    let most = std::env::var("ATOLL_ITEMS").map_or(2_000_000, |items| items.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let engine = LsmEngine::open(folder.path(), LsmOptions::default()).unwrap();
    let (mut from, mut upto) = (0, 10_000);
    loop {
        let begun = Instant::now();
        fill(&engine, from..upto);
        let filled = begun.elapsed() / (upto - from) as u32;
        let (took, read) = look(&engine, upto, 200_000);
        let resident = std::fs::read_to_string("/proc/self/status").unwrap();
        let resident = resident.lines().find(|line| line.starts_with("RssAnon")).unwrap().to_string();
        println!("{upto} items: put {filled:?}, look {took:?}, {read} bytes, {resident}, {:?}", engine.stats());
        if upto == most {
            return;
        }
        (from, upto) = (upto, (upto * 10).min(most));
    }
}
