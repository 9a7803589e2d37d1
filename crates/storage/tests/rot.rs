//! The tables under lost pages and flipped bits: what opens is right, or is replayed to be.

#![allow(clippy::unwrap_used)]

mod suite;

use atoll_storage::{LsmEngine, LsmOptions, MemoryEngine, StorageEngine, StorageError};
use rand::{Rng, SeedableRng};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use suite::disk::copy;
use suite::make::*;
use types::*;

fn options() -> LsmOptions {
    LsmOptions { reserve_bytes: Some(0), memtable_bytes: 256 << 10, ..LsmOptions::default() }
}

fn entries(count: u64) -> Vec<Arc<LogEntry>> {
    let sizes = [10, 300, 2000, 3700, 9000, 40, 3500, 20_000];
    (1..=count)
        .map(|seq| {
            let size = sizes[seq as usize % sizes.len()];
            entry(1, seq, vec![put("k", &(seq % 23).to_string(), noise(size)), put("l", &seq.to_string(), noise(50))])
        })
        .collect()
}

/// Everything in the tables, in a form that both engines share.
fn content(engine: &dyn StorageEngine) -> Result<Vec<(ItemKey, Item)>, StorageError> {
    engine.snapshot(P)?.scan(T, None, 10_000)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn pages_of_unsynced_tables_may_be_lost() {
    let folder = tempfile::tempdir().unwrap();
    let engine = LsmEngine::open(folder.path(), LsmOptions { memtable_bytes: 8 << 20, ..options() }).unwrap();
    let all = entries(80);
    all.iter().for_each(|entry| write(&engine, std::slice::from_ref(entry)));
    drop(engine);
    let model = MemoryEngine::new();
    write(&model, &all);
    let journal = copy(folder.path());
    let size = |folder: &Path| {
        let journals =
            files(&folder.join("tables")).into_iter().filter(|path| path.extension().is_some_and(|e| e == "jnl"));
        journals.map(|path| (fs::metadata(&path).unwrap().len(), path)).max().unwrap()
    };
    let pages = size(journal.path()).0 / 4096;
    assert!(pages > 50, "{pages}");
    let mut shorter = 0;
    for page in 0..pages {
        let crashed = copy(journal.path());
        let (_, path) = size(crashed.path());
        let mut bytes = fs::read(&path).unwrap();
        bytes[page as usize * 4096..][..4096].fill(0);
        fs::write(&path, bytes).unwrap();
        let engine = LsmEngine::open(crashed.path(), options()).unwrap();
        let found = engine.recovered().remove(&P).unwrap();
        let applied = found.applied.seq.0 as usize;
        assert_eq!(applied + found.unapplied.len(), 80, "page {page}");
        shorter += usize::from(applied < 80);
        apply(&engine, &all[applied..]);
        assert_eq!(content(&engine).unwrap(), content(&model).unwrap(), "page {page}");
    }
    assert!(shorter > 50);
}

#[test]
fn no_flipped_bit_in_the_tables_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let engine = LsmEngine::open(folder.path(), options()).unwrap();
    let all = entries(200);
    all.chunks(5).for_each(|some| write(&engine, some));
    engine.checkpoint().unwrap();
    drop(engine);
    let model = MemoryEngine::new();
    write(&model, &all);
    let (good, trimmed) = (content(&model).unwrap(), copy(folder.path()));
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7u64);
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let (mut refused, mut right) = (0, 0);
    for round in 0..120 {
        let damaged = copy(trimmed.path());
        let paths = files(&damaged.path().join("tables"));
        let path = &paths[rng.random_range(0..paths.len())];
        let mut bytes = fs::read(path).unwrap();
        if bytes.is_empty() {
            continue;
        }
        let at = rng.random_range(0..bytes.len());
        bytes[at] ^= 1 << rng.random_range(0..8);
        fs::write(path, &bytes).unwrap();
        let told = format!("seed {seed}, round {round}: byte {at} of {}", path.display());
        let read = LsmEngine::open(damaged.path(), options()).and_then(|engine| {
            let found = engine.recovered().remove(&P).unwrap_or_default();
            assert_eq!(found.applied.seq.0 as usize + found.unapplied.len(), 200, "{told}");
            apply(&engine, &all[found.applied.seq.0 as usize..]);
            content(&engine)
        });
        match read {
            Ok(found) => {
                right += 1;
                assert!(found == good, "{told}");
            }
            Err(StorageError::Compacted { .. } | StorageError::Full { .. }) => panic!("{told}"),
            Err(_) => refused += 1,
        }
    }
    println!("{refused} refused, {right} right");
}

/// The journal has a checksum over the rows of a batch, and none over the batch's place in the order.
#[test]
fn no_flipped_bit_in_the_tables_journal_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let engine = LsmEngine::open(folder.path(), options()).unwrap();
    let all: Vec<_> =
        (1..=8).map(|seq| entry(1, seq, vec![put("k", &(seq % 3).to_string(), format!("value {seq}"))])).collect();
    all.iter().for_each(|entry| write(&engine, std::slice::from_ref(entry)));
    drop(engine);
    let model = MemoryEngine::new();
    write(&model, &all);
    let (good, kept) = (content(&model).unwrap(), copy(folder.path()));
    let journal = folder.path().join("tables/0.jnl");
    let bytes = fs::read(&journal).unwrap();
    let written = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let bits: Vec<usize> = match std::env::var("ATOLL_TEST_LONG").is_ok() {
        true => (0..written * 8).collect(),
        false => (0..written).map(|byte| byte * 8 + byte * 5 % 8).collect(),
    };
    let mut refused = 0;
    let mut wrong = Vec::new();
    for bit in &bits {
        let damaged = copy(kept.path());
        let mut rotten = bytes[..written].to_vec();
        rotten[bit / 8] ^= 1 << (bit % 8);
        fs::write(damaged.path().join("tables/0.jnl"), rotten).unwrap();
        let read = LsmEngine::open(damaged.path(), options()).and_then(|engine| {
            let found = engine.recovered().remove(&P).unwrap_or_default();
            apply(&engine, &all[found.applied.seq.0 as usize..]);
            content(&engine)
        });
        match read {
            Ok(found) if found == good => {}
            Ok(_) => wrong.push(bit),
            Err(_) => refused += 1,
        }
    }
    println!("{} bits: {refused} refused", bits.len());
    assert!(wrong.is_empty(), "of {written} bytes: {wrong:?}");
    assert!(refused > 0);
}
