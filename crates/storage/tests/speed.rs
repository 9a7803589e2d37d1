//! How fast the engine is here: `cargo test --release -p atoll-storage --test speed -- --ignored --nocapture`.
//! Prints, and only fails when something is off by an order of magnitude.

#![allow(clippy::unwrap_used)]

mod suite;

use atoll_storage::{BlockStore, LsmEngine, LsmOptions, StorageEngine};
use std::time::{Duration, Instant};
use suite::make::*;
use types::*;

/// CPU time of this thread: what remains comparable on a busy machine.
fn cpu() -> Duration {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    Duration::new(now.tv_sec() as u64, now.tv_nsec() as u32)
}

fn timed(what: &str, rounds: u32, mut run: impl FnMut(u32)) -> Duration {
    let mut took: Vec<(Duration, Duration)> = (0..rounds)
        .map(|round| {
            let (start, start_cpu) = (Instant::now(), cpu());
            run(round);
            (cpu() - start_cpu, start.elapsed())
        })
        .collect();
    took.sort();
    let median = took[took.len() / 2].0;
    let mut wall: Vec<_> = took.iter().map(|took| took.1).collect();
    wall.sort();
    println!("{what:<32} median: CPU {median:>10.1?}, wall {:>10.1?}", wall[wall.len() / 2]);
    median
}

fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

#[test]
#[ignore = "measures; run alone"]
fn speed() {
    let folder = tempfile::tempdir().unwrap();
    let engine = LsmEngine::open(folder.path(), LsmOptions::default()).unwrap();
    println!("open and empty: {} MiB resident", memory());
    // A thousand batches of keys that are new, a thousand of a few keys again and again, a
    // thousand spread over more than the cache holds.
    let keys = |round: u64, at: u64| match round {
        0..1000 => format!("{:012}", at * 7919 % 64_007),
        1000..2000 => format!("{:012}", at * 7919 % 5_003),
        _ => format!("{:012}", at * 7919 % 64_007),
    };
    let mut seq = 0;
    let mut batch = |round: u64| -> Vec<std::sync::Arc<LogEntry>> {
        (0..64)
            .map(|_| {
                seq += 1;
                entry(1, seq, vec![put("drive", &keys(round, seq), noise(256 + seq as usize % 8))])
            })
            .collect()
    };
    let batches: Vec<_> = (0..3000).map(&mut batch).collect();
    let records: Vec<Vec<Record>> = batches.iter().map(|batch| batch.iter().map(record).collect()).collect();
    timed("append 64 x 300 B", 1000, |round| engine.append(&records[round as usize]).unwrap());
    engine.sync().unwrap();
    timed("append 64 x 300 B, sync", 1000, |round| {
        engine.append(&records[1000 + round as usize]).unwrap();
        engine.sync().unwrap();
    });
    records[2000..].iter().for_each(|records| engine.append(records).unwrap());
    engine.sync().unwrap();
    for (what, from) in [("apply 64, new keys", 0), ("apply 64, few keys", 1000), ("apply 64, many keys", 2000)] {
        let median = timed(what, 1000, |round| apply(&engine, &batches[(from + round) as usize]));
        assert!(median < Duration::from_millis(2));
    }
    timed("get", 20_000, |round| {
        engine.get(P, &key("drive", &format!("{:012}", u64::from(round) * 7 % 64_007))).unwrap();
    });
    timed("query of 100", 1000, |round| {
        let query =
            Query { from: Bound::Included(format!("{:012}", round * 60).into()), limit: 100, ..Query::all(T, "drive") };
        assert_eq!(engine.snapshot(P).unwrap().query(&query).unwrap().items.len(), 100);
    });
    timed("entries, 1 MiB", 50, |round| {
        engine.entries(P, Seq(1 + 3000 * u64::from(round)), 1 << 20).unwrap();
    });
    timed("entries, the last", 1000, |_| assert_eq!(engine.entries(P, Seq(seq), 1000).unwrap().len(), 1));
    timed("checkpoint", 3, |_| engine.checkpoint().unwrap());
    println!("with 192 000 writes: {} MiB resident, {:?}", memory(), engine.stats());
    drop((engine, batches, records));
    let start = Instant::now();
    let engine = LsmEngine::open(folder.path(), LsmOptions::default()).unwrap();
    println!("opened again in {:?}, {} MiB resident", start.elapsed(), memory());
    drop(engine);

    let store = BlockStore::open(folder.path()).unwrap();
    let blocks: Vec<_> = (0..50).map(|n| noise(limits::BLOCK_BYTES - n)).collect();
    let hashes: Vec<_> = blocks.iter().map(|raw| BlockHash::of(raw)).collect();
    timed("block put, 1 MiB", 50, |round| {
        assert!(store.put(hashes[round as usize], blocks[round as usize].clone()).unwrap());
    });
    timed("block get, 1 MiB", 50, |round| drop(store.get(&hashes[round as usize]).unwrap()));
}
