//! The engine in memory under crashes: what was synced is there, what is there is a prefix.

#![allow(clippy::unwrap_used)]

mod suite;

use atoll_storage::{MemoryEngine, StorageEngine, StorageError};
use rand::{RngCore, SeedableRng};
use suite::make::*;
use types::*;

struct Seeded(rand_chacha::ChaCha8Rng);

impl Rng for Seeded {
    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

/// A life of writes and crashes under one seed; what was found at each opening.
fn life(seed: u64) -> Vec<String> {
    let mut rng = Seeded(rand_chacha::ChaCha8Rng::seed_from_u64(seed));
    let engine = MemoryEngine::retaining(20);
    let mut all: Vec<std::sync::Arc<LogEntry>> = Vec::new();
    let (mut synced, mut torn_seen, mut told) = (0usize, 0, Vec::new());
    for _ in 0..200 {
        match rng.next_u64() % 12 {
            0..4 => {
                let seq = all.len() as u64 + 1;
                let made = entry(1, seq, vec![put("k", &(seq % 7).to_string(), seq.to_string())]);
                engine.append(&[record(&made)]).unwrap();
                all.push(made);
            }
            4..7 => {
                engine.sync().unwrap();
                synced = all.len();
            }
            7..9 => {
                let from = engine.applied(P).seq.0 as usize;
                let upto = synced.min(from + rng.next_u64() as usize % 5);
                if from < upto {
                    apply(&engine, &all[from..upto]);
                }
            }
            9 => {
                engine.checkpoint().unwrap();
                synced = all.len();
            }
            10 => {
                engine.fail_next_sync();
                assert!(matches!(engine.sync(), Err(StorageError::Io(_))));
                assert!(matches!(engine.sync(), Err(StorageError::Poisoned(_))));
                assert!(matches!(engine.append(&[]), Err(StorageError::Poisoned(_))));
                engine.reopen();
                synced = all.len();
            }
            _ => {
                engine.crash(&mut rng);
                let last = engine.log_range(P).1.0 as usize;
                assert!(last >= synced, "seed {seed}: {synced} were synced, {last} are there");
                assert!(last <= all.len());
                all.truncate(last);
                synced = last;
                let Some(found) = engine.recovered().remove(&P) else { continue };
                torn_seen += u32::from(found.torn);
                assert!(found.applied.seq.0 as usize + found.unapplied.len() == last, "seed {seed}");
                let expected = all[found.applied.seq.0 as usize..].iter().map(|entry| (**entry).clone());
                assert!(found.unapplied.iter().cloned().eq(expected), "seed {seed}");
                // The tables are those of exactly the entries applied.
                let model = MemoryEngine::new();
                write(&model, &all[..found.applied.seq.0 as usize]);
                let (ours, theirs) = (engine.snapshot(P).unwrap(), model.snapshot(P).unwrap());
                assert_eq!(export(&*ours, 1 << 20), export(&*theirs, 1 << 20), "seed {seed}");
                told.push(format!("{found:?}"));
            }
        }
    }
    told.push(format!("torn {torn_seen}"));
    told
}

#[test]
fn what_was_synced_survives() {
    let seeds = std::env::var("SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    let torn: usize = (0..seeds).filter(|seed| life(*seed).last().is_some_and(|told| told != "torn 0")).count();
    assert!(torn > 20, "tails are torn now and then: {torn}");
}

#[test]
fn a_seed_decides_everything() {
    for seed in 0..10 {
        assert_eq!(life(seed), life(seed));
    }
}

#[test]
fn switches() {
    let engine = MemoryEngine::new();
    write(&engine, &[entry(1, 1, vec![put("a", "b", "c")])]);
    engine.set_full(true);
    assert_eq!(engine.free_bytes(), 0);
    write(&engine, &[entry(1, 2, vec![delete("a", "b")])]);
    engine.set_full(false);
    assert!(engine.free_bytes() > 0);
    engine.append(&[record(&entry(1, 3, vec![]))]).unwrap();
    assert_eq!(engine.unsynced(), 1);
    engine.wipe();
    assert_eq!(engine.recovered(), Default::default());
    assert_eq!(engine.log_range(P), (Seq(1), Seq(0)));
}
