//! What a crash, and what rot, do to the log: a torn tail is cut, a hole is damage.

#![allow(clippy::unwrap_used)]

mod suite;

use atoll_storage::{LsmEngine, LsmOptions, MemoryEngine, StorageEngine, StorageError};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::{Path, PathBuf};
use suite::disk::copy;
use suite::make::*;
use types::*;

fn options() -> LsmOptions {
    LsmOptions { segment_bytes: 64 << 20, reserve_bytes: Some(0), ..LsmOptions::default() }
}

fn open(folder: &Path) -> Result<LsmEngine, StorageError> {
    LsmEngine::open(folder, options())
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(folder.join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// Three synced entries, then `unsynced` more; where in the log file the unsynced begin.
fn written(unsynced: u64) -> (tempfile::TempDir, usize) {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path()).unwrap();
    engine.append(&[Record::Epoch { partition: P, epoch: Epoch(2) }]).unwrap();
    let synced: Vec<_> = (1..=3).map(|seq| entry(2, seq, vec![put("a", &seq.to_string(), noise(40))])).collect();
    log(&engine, &synced);
    apply(&engine, &synced[..1]);
    // Closed, it reaches as far as it was written.
    drop(engine);
    let start = fs::metadata(&segments(folder.path())[0]).unwrap().len() as usize;
    let engine = open(folder.path()).unwrap();
    for seq in 4..4 + unsynced {
        engine.append(&[record(&entry(2, seq, vec![put("a", "x", noise(30))]))]).unwrap();
    }
    drop(engine);
    (folder, start)
}

#[test]
fn a_tail_torn_at_any_byte_is_cut() {
    let (folder, start) = written(2);
    let length = fs::metadata(&segments(folder.path())[0]).unwrap().len() as usize;
    let middle = start + (length - start) / 2;
    for cut in start..=length {
        let crashed = copy(folder.path());
        let file = fs::OpenOptions::new().write(true).open(&segments(crashed.path())[0]).unwrap();
        file.set_len(cut as u64).unwrap();
        let engine = open(crashed.path()).unwrap();
        let found = engine.recovered().remove(&P).unwrap();
        let whole = [start, middle, length].contains(&cut);
        assert_eq!(found.torn, !whole, "byte {cut}");
        let kept = 3 + u64::from(cut >= middle) + u64::from(cut == length);
        assert_eq!(engine.log_range(P).1, Seq(kept), "byte {cut}");
        assert_eq!((found.epoch, found.applied.seq, found.unapplied.len() as u64), (Epoch(2), Seq(1), kept - 1));
        if cut % 7 == 0 && !whole {
            // The mark outlives another restart, until an epoch is adopted; what is new follows.
            drop(engine);
            let engine = open(crashed.path()).unwrap();
            assert!(engine.recovered()[&P].torn);
            log(&engine, &[entry(3, kept + 1, vec![])]);
            engine.checkpoint().unwrap();
            drop(engine);
            let engine = open(crashed.path()).unwrap();
            assert!(engine.recovered()[&P].torn);
            engine.append(&[Record::Epoch { partition: P, epoch: Epoch(3) }]).unwrap();
            assert!(!engine.recovered()[&P].torn);
            drop(engine);
            let engine = open(crashed.path()).unwrap();
            assert!(!engine.recovered()[&P].torn);
            assert_eq!(engine.log_range(P).1, Seq(kept + 1));
        }
    }
}

#[test]
fn garbage_and_lost_pages_at_the_end_are_cut() {
    let (folder, start) = written(3);
    let bytes = fs::read(&segments(folder.path())[0]).unwrap();
    let mut zeroed = bytes.clone();
    zeroed[start + 10..start + 60].fill(0);
    let mut noisy = bytes.clone();
    noisy.extend_from_slice(&noise(5000));
    let mut zeros = bytes.clone();
    zeros.extend_from_slice(&[0; 4096]);
    // Unsynced frames that are whole prove nothing about the one before them that is not. Zeros alone were written ahead.
    for (bad, last, torn) in [(zeroed, 3, true), (noisy, 6, true), (zeros, 6, false)] {
        let crashed = copy(folder.path());
        fs::write(&segments(crashed.path())[0], bad).unwrap();
        let engine = open(crashed.path()).unwrap();
        assert_eq!(engine.recovered()[&P].torn, torn);
        assert_eq!(engine.log_range(P).1, Seq(last));
    }
}

#[test]
fn zeros_written_ahead_mean_nothing_and_are_written_next() {
    let (folder, end) = written(0);
    let ahead = {
        let engine = open(folder.path()).unwrap();
        log(&engine, &[entry(2, 4, vec![])]);
        // As killed processes leave it, one after the other.
        let mut crashed = copy(folder.path());
        let ahead = fs::metadata(&segments(crashed.path())[0]).unwrap().len() as usize - end;
        for seq in 5..8 {
            let engine = open(crashed.path()).unwrap();
            assert_eq!((engine.log_range(P).1, engine.recovered()[&P].torn), (Seq(seq - 1), false));
            log(&engine, &[entry(2, seq, vec![])]);
            crashed = copy(crashed.path());
        }
        ahead
    };
    // A clean end takes them back.
    let whole = fs::metadata(&segments(folder.path())[0]).unwrap().len() as usize;
    assert!(whole < end + 1000 && ahead > 200_000, "{whole} {end} {ahead}");
}

#[test]
fn a_flipped_bit_in_what_was_synced_is_damage() {
    let (folder, start) = written(0);
    let engine = open(folder.path()).unwrap();
    // Written after the sync of what comes before it: the proof.
    log(&engine, &[entry(2, 4, vec![])]);
    drop(engine);
    let path = segments(folder.path())[0].clone();
    let good = fs::read(&path).unwrap();
    for at in 0..start {
        let damaged = copy(folder.path());
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&segments(damaged.path())[0], &bad).unwrap();
        match open(damaged.path()) {
            Err(StorageError::Damaged(_)) => {}
            other => panic!("byte {at}: {:?}", other.map(|engine| engine.recovered())),
        }
        assert_eq!(fs::read(&segments(damaged.path())[0]).unwrap(), bad, "nothing was changed");
    }
    // Put aside, the folder opens as a new one.
    let damaged = copy(folder.path());
    fs::write(&segments(damaged.path())[0], &good[..20]).unwrap();
    let aside = LsmEngine::set_aside(damaged.path()).unwrap();
    assert!(aside.join("log").is_dir());
    assert_eq!(open(damaged.path()).unwrap().recovered(), Default::default());
}

#[test]
fn a_record_lost_or_repeated_is_damage() {
    let (folder, _) = written(0);
    let engine = open(folder.path()).unwrap();
    log(&engine, &[entry(2, 4, vec![])]);
    log(&engine, &[entry(2, 5, vec![])]);
    drop(engine);
    let path = segments(folder.path())[0].clone();
    let good = fs::read(&path).unwrap();
    // Two frames of one size each at the end.
    let frame = {
        let (shorter, _) = written(0);
        let engine = open(shorter.path()).unwrap();
        let before = fs::metadata(&segments(shorter.path())[0]).unwrap().len() as usize;
        log(&engine, &[entry(2, 4, vec![])]);
        drop(engine);
        fs::metadata(&segments(shorter.path())[0]).unwrap().len() as usize - before
    };
    let mut swapped = good.clone();
    let (first, second) = (good.len() - 2 * frame, good.len() - frame);
    swapped[first..second].copy_from_slice(&good[second..]);
    swapped[second..].copy_from_slice(&good[first..second]);
    fs::write(&path, &swapped).unwrap();
    // Neither frame is where it was written: this reads as a torn tail, and is reported as one.
    let engine = open(folder.path()).unwrap();
    assert!(engine.recovered()[&P].torn);
    assert_eq!(engine.log_range(P).1, Seq(3));
}

#[test]
fn a_lost_tail_that_a_checkpoint_knew_is_damage() {
    let (folder, start) = written(0);
    let engine = open(folder.path()).unwrap();
    engine.checkpoint().unwrap();
    drop(engine);
    for keep in [start - 1, start - 30, 100] {
        let damaged = copy(folder.path());
        let file = fs::OpenOptions::new().write(true).open(&segments(damaged.path())[0]).unwrap();
        file.set_len(keep as u64).unwrap();
        for _ in 0..2 {
            assert!(matches!(open(damaged.path()), Err(StorageError::Damaged(_))), "{keep}");
        }
    }
}

/// The log's last record rots: it reads as a torn end.
fn cut_back(folder: &Path, length: u64) -> Result<LsmEngine, StorageError> {
    let segment = segments(folder).pop().unwrap();
    fs::OpenOptions::new().write(true).open(segment).unwrap().set_len(length).unwrap();
    open(folder)
}

/// `act`, and then its last record rots on both engines.
fn rotten_after(
    act: impl Fn(&dyn StorageEngine),
) -> (Result<LsmEngine, StorageError>, MemoryEngine, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path()).unwrap();
    act(&engine);
    drop(engine);
    let length = fs::metadata(&segments(folder.path())[0]).unwrap().len();
    let memory = MemoryEngine::new();
    act(&memory);
    memory.rot_log(true, &mut Chance(ChaCha8Rng::seed_from_u64(1)));
    memory.reopen();
    (cut_back(folder.path(), length - 1), memory, folder)
}

struct Chance(ChaCha8Rng);

impl types::Rng for Chance {
    fn next_u64(&mut self) -> u64 {
        rand::RngCore::next_u64(&mut self.0)
    }
}

#[test]
fn tables_ahead_of_a_log_that_has_none_of_it_are_damage() {
    let (disk, memory, _folder) = rotten_after(|engine| {
        engine.append(&[Record::Epoch { partition: P, epoch: Epoch(2) }]).unwrap();
        write(engine, &[entry(2, 1, vec![put("a", "b", "c")])]);
    });
    assert!(matches!(disk.map(drop), Err(StorageError::Damaged(_))));
    assert!(memory.damaged().is_some());
    memory.mend();
    assert_eq!((memory.damaged(), memory.applied(P).seq), (None, Seq(1)));
}

#[test]
fn a_copy_under_way_is_known_when_the_log_has_forgotten_it() {
    let all: Vec<_> = (1..=3).map(|seq| entry(1, seq, vec![put("a", &seq.to_string(), noise(40))])).collect();
    let (disk, memory, _folder) = rotten_after(|engine| {
        write(engine, &all);
        engine.append(&[Record::Reset { partition: P }]).unwrap();
        engine.sync().unwrap();
        engine.begin_copy(P).unwrap();
        engine.import(P, &RowRange { after: None, upto: Some(vec![0].into()) }, &[]).unwrap();
    });
    let disk = disk.unwrap();
    for engine in [&disk as &dyn StorageEngine, &memory] {
        let found = engine.recovered().remove(&P).unwrap();
        assert!(found.incomplete && found.unapplied.is_empty(), "{found:?}");
        assert_eq!((found.applied, engine.log_range(P)), (Version::ZERO, (Seq(1), Seq(0))));
        // Another copy is made, and counts.
        engine.append(&[Record::Reset { partition: P }]).unwrap();
        engine.sync().unwrap();
        engine.begin_copy(P).unwrap();
        engine.import(P, &RowRange::default(), &[]).unwrap();
        engine.install(P, Version::new(4, 9), HybridTime(5)).unwrap();
        let found = engine.recovered().remove(&P).unwrap();
        assert_eq!((found.incomplete, found.applied.seq), (false, Seq(9)));
    }
}

#[test]
fn what_is_mended_is_as_before_the_rot() {
    let (_, memory, _folder) = rotten_after(|engine| {
        engine.append(&[Record::Reset { partition: P }]).unwrap();
        engine.sync().unwrap();
        engine.begin_copy(P).unwrap();
        engine.install(P, Version::new(4, 9), HybridTime(5)).unwrap();
    });
    assert!(memory.recovered()[&P].incomplete);
    memory.mend();
    assert_eq!(memory.damaged(), None);
    assert_eq!((memory.recovered()[&P].incomplete, memory.applied(P).seq), (false, Seq(9)));
}

#[test]
fn segments_that_are_missing_or_unbegun() {
    let folder = tempfile::tempdir().unwrap();
    let small = || LsmOptions { segment_bytes: 300, ..options() };
    let engine = LsmEngine::open(folder.path(), small()).unwrap();
    for seq in 1..=12 {
        write(&engine, &[entry(1, seq, vec![put("a", "b", noise(100))])]);
    }
    drop(engine);
    let paths = segments(folder.path());
    assert!(paths.len() > 3);
    // Though the tables durably have everything: the last checkpoint does not know it.
    let full = copy(folder.path());
    let checkpoint = fs::read(full.path().join("checkpoint")).unwrap();
    LsmEngine::open(full.path(), small()).unwrap().checkpoint().unwrap();
    fs::write(full.path().join("checkpoint"), checkpoint).unwrap();
    for (missing, whole) in (0..paths.len() - 1).flat_map(|missing| [(missing, &folder), (missing, &full)]) {
        let damaged = copy(whole.path());
        fs::remove_file(&segments(damaged.path())[missing]).unwrap();
        match open(damaged.path()) {
            Err(StorageError::Damaged(_)) => {}
            other => panic!("segment {missing}: {:?}", other.map(|engine| engine.recovered())),
        }
    }
    // The last one gone: the tables know better.
    let damaged = copy(full.path());
    fs::remove_file(&segments(damaged.path())[paths.len() - 1]).unwrap();
    assert!(matches!(open(damaged.path()), Err(StorageError::Damaged(_))));
    // A torn end of an earlier segment is no tail.
    let damaged = copy(folder.path());
    let file = fs::OpenOptions::new().write(true).open(&segments(damaged.path())[1]).unwrap();
    file.set_len(file.metadata().unwrap().len() - 1).unwrap();
    assert!(matches!(open(damaged.path()), Err(StorageError::Damaged(_))));
    // A segment that was being made when the power went.
    let end: u64 = {
        let last = paths.last().unwrap();
        let base = u64::from_str_radix(last.file_stem().unwrap().to_str().unwrap(), 16).unwrap();
        base + fs::metadata(last).unwrap().len()
    };
    for bytes in [0, 17, 40] {
        let crashed = copy(folder.path());
        fs::write(crashed.path().join("log").join(format!("{end:016x}.log")), vec![0; bytes]).unwrap();
        let engine = LsmEngine::open(crashed.path(), small()).unwrap();
        assert!(!engine.recovered()[&P].torn);
        write(&engine, &[entry(1, 13, vec![])]);
    }
}

#[test]
fn tables_that_went_back_are_replayed_or_damage() {
    let folder = tempfile::tempdir().unwrap();
    let small = || LsmOptions { segment_bytes: 2000, log_retention_bytes: 0, ..options() };
    let engine = LsmEngine::open(folder.path(), small()).unwrap();
    let entries: Vec<_> = (1..=40).map(|seq| entry(1, seq, vec![put("a", &seq.to_string(), noise(100))])).collect();
    write(&engine, &entries[..10]);
    engine.checkpoint().unwrap();
    drop(engine);
    let old = copy(folder.path());
    let engine = LsmEngine::open(folder.path(), small()).unwrap();
    entries[10..20].iter().for_each(|entry| write(&engine, std::slice::from_ref(entry)));
    drop(engine);
    let with_old_tables = |folder: &Path| {
        let mixed = copy(folder);
        fs::remove_dir_all(mixed.path().join("tables")).unwrap();
        let tables = copy(&old.path().join("tables"));
        fs::rename(tables.path(), mixed.path().join("tables")).unwrap();
        mixed
    };
    let mixed = with_old_tables(folder.path());
    let engine = LsmEngine::open(mixed.path(), small()).unwrap();
    let found = engine.recovered().remove(&P).unwrap();
    assert_eq!((found.applied.seq, found.unapplied.len()), (Seq(10), 10));
    apply(&engine, &entries[10..20]);
    assert_eq!(engine.snapshot(P).unwrap().count(T).unwrap(), 20);
    drop(engine);
    // After a checkpoint the log need not reach back, and the same loss is found out.
    let engine = LsmEngine::open(folder.path(), small()).unwrap();
    entries[20..].iter().for_each(|entry| write(&engine, std::slice::from_ref(entry)));
    engine.checkpoint().unwrap();
    drop(engine);
    let mixed = with_old_tables(folder.path());
    assert!(matches!(LsmEngine::open(mixed.path(), small()), Err(StorageError::Damaged(_))));
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path()).unwrap();
    assert!(matches!(open(folder.path()), Err(StorageError::Io(_))));
    drop(engine);
    open(folder.path()).unwrap();
}

#[test]
fn what_is_ordered_is_still_written_when_only_the_reserve_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path()).unwrap();
    write(&engine, &[entry(1, 1, vec![put("a", "b", "c")])]);
    assert!(engine.free_bytes() > 0);
    drop(engine);
    let full = LsmOptions { reserve_bytes: Some(u64::MAX), ..options() };
    let engine = LsmEngine::open(folder.path(), full).unwrap();
    assert_eq!(engine.free_bytes(), 0);
    write(&engine, &[entry(1, 2, vec![delete("a", "b"), put("a", "c", "d")])]);
    assert_eq!(engine.get(P, &key("a", "b")).unwrap(), None);
    engine.checkpoint().unwrap();
}
