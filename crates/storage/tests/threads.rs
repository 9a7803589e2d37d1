//! One writer, one applier, one that makes checkpoints, and readers, all at once.

#![allow(clippy::unwrap_used)]

mod suite;

use atoll_storage::{LsmEngine, LsmOptions, StorageEngine, StorageError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use suite::make::*;
use types::*;

/// Two items that every entry writes alike: one small, one in pieces.
fn made(seq: u64) -> Arc<LogEntry> {
    let value = [&seq.to_be_bytes()[..], &noise(if seq.is_multiple_of(3) { 9000 } else { 5 })].concat();
    entry(1, seq, vec![put("k", "a", seq.to_be_bytes().to_vec()), put("k", "b", value)])
}

fn number(item: &Item) -> u64 {
    u64::from_be_bytes(item.value[..8].try_into().unwrap())
}

#[test]
fn readers_see_whole_entries_in_order() {
    const LAST: u64 = 3000;
    let folder = tempfile::tempdir().unwrap();
    let options = || LsmOptions {
        segment_bytes: 50_000,
        log_retention_bytes: 200_000,
        memtable_bytes: 32 << 10,
        reserve_bytes: Some(0),
        ..LsmOptions::default()
    };
    let engine = LsmEngine::open(folder.path(), options()).unwrap();
    let synced = AtomicU64::new(0);
    let done = || engine.applied(P).seq.0 == LAST;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for seq in (1..=LAST).step_by(10) {
                let records: Vec<_> = (seq..seq + 10).map(|seq| record(&made(seq))).collect();
                engine.append(&records).unwrap();
                engine.sync().unwrap();
                synced.store(seq + 9, Ordering::Release);
            }
        });
        scope.spawn(|| {
            let mut next = 1;
            while next <= LAST {
                let upto = synced.load(Ordering::Acquire).min(next + 24);
                let entries: Vec<_> = (next..=upto).map(made).collect();
                if entries.is_empty() {
                    std::thread::yield_now();
                    continue;
                }
                apply(&engine, &entries);
                next = upto + 1;
            }
        });
        scope.spawn(|| {
            while !done() {
                engine.checkpoint().unwrap();
                std::thread::yield_now();
            }
        });
        scope.spawn(|| {
            let mut last = 0;
            while !done() {
                let snapshot = engine.snapshot(P).unwrap();
                let at = snapshot.at().seq.0;
                assert!(at >= last);
                last = at;
                let items = snapshot.query(&Query::all(T, "k")).unwrap().items;
                assert!(items.iter().all(|found| number(&found.item) == at), "a snapshot is of one sequence");
                assert_eq!(snapshot.count(T).unwrap(), if at == 0 { 0 } else { 2 });
                let one = engine.get(P, &key("k", "a")).unwrap().map_or(0, |item| number(&item));
                if let Some(item) = engine.get(P, &key("k", "b")).unwrap() {
                    assert!(number(&item) >= one && one >= at && item.version.seq.0 == number(&item));
                }
            }
        });
        scope.spawn(|| {
            while !done() {
                let (first, last) = engine.log_range(P);
                let from = Seq(first.0.max(last.0.saturating_sub(40)));
                match engine.entries(P, from, 50_000) {
                    Ok(entries) => {
                        assert!(entries.iter().zip(from.0..).all(|(found, seq)| *found == *made(seq)));
                    }
                    Err(StorageError::Compacted { first: later }) => assert!(later > from),
                    Err(error) => panic!("{error}"),
                }
            }
        });
    });
    engine.checkpoint().unwrap();
    assert!(engine.log_range(P).0 > Seq(1000), "the log was released meanwhile");
    drop(engine);
    let engine = LsmEngine::open(folder.path(), options()).unwrap();
    assert_eq!(number(&engine.get(P, &key("k", "b")).unwrap().unwrap()), LAST);
}
