//! Block files: idempotent, verified, quarantined when bad.

#![allow(clippy::unwrap_used)]

mod suite;

use atoll_storage::{BlockStore, StorageError};
use bytes::Bytes;
use std::fs;
use std::path::{Path, PathBuf};
use suite::make::noise;
use types::{BlockHash, limits};

fn path(folder: &Path, hash: &BlockHash) -> PathBuf {
    let name = hash.to_string();
    folder.join("blocks").join(&name[..2]).join(name)
}

#[test]
fn put_get_list_delete() {
    let folder = tempfile::tempdir().unwrap();
    let store = BlockStore::open_with(folder.path(), Some(0)).unwrap();
    let mut raws: Vec<Bytes> = (0..40).map(|n| noise(n * 31)).collect();
    raws.push(noise(limits::BLOCK_BYTES));
    raws.push(vec![7; limits::BLOCK_BYTES].into());
    let mut hashes: Vec<BlockHash> = raws.iter().map(|raw| BlockHash::of(raw)).collect();
    for raw in &raws {
        let hash = BlockHash::of(raw);
        assert!(!store.has(&hash).unwrap());
        assert_eq!(store.get(&hash).unwrap(), None);
        assert!(store.put(hash, raw.clone()).unwrap());
        assert!(!store.put(hash, raw.clone()).unwrap());
        assert_eq!(store.get(&hash).unwrap().as_ref(), Some(raw));
    }
    hashes.sort();
    let check = |store: &BlockStore, hashes: &[BlockHash]| {
        assert_eq!(store.count(), hashes.len() as u64);
        let on_disk: u64 = hashes.iter().map(|hash| fs::metadata(path(folder.path(), hash)).unwrap().len()).sum();
        assert_eq!(store.bytes_used(), on_disk);
        for limit in [1, 7, 1000] {
            let mut found: Vec<BlockHash> = Vec::new();
            loop {
                let page = store.list(found.last().copied(), limit).unwrap();
                assert!(page.len() <= limit);
                if page.is_empty() {
                    break;
                }
                found.extend(page);
            }
            assert_eq!(found, hashes);
        }
    };
    check(&store, &hashes);
    assert!(fs::metadata(path(folder.path(), &BlockHash::of(&vec![7; limits::BLOCK_BYTES]))).unwrap().len() < 1000);
    // What a crash cuts short is removed at opening.
    let left = folder.path().join("blocks/00/half.tmp");
    fs::write(&left, b"half").unwrap();
    drop(store);
    let store = BlockStore::open_with(folder.path(), Some(0)).unwrap();
    assert!(!left.exists());
    check(&store, &hashes);
    assert!(store.delete(&hashes[3]).unwrap());
    assert!(!store.delete(&hashes[3]).unwrap());
    hashes.remove(3);
    check(&store, &hashes);
}

#[test]
fn what_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = BlockStore::open_with(folder.path(), Some(0)).unwrap();
    assert!(store.put(BlockHash([0; 32]), "x".into()).is_err());
    let huge = Bytes::from(vec![0; 4 * limits::BLOCK_BYTES + 1]);
    assert!(store.put(BlockHash::of(&huge), huge).is_err());
    assert_eq!(store.count(), 0);
    drop(store);
    let full = BlockStore::open_with(folder.path(), Some(u64::MAX)).unwrap();
    assert!(matches!(full.put(BlockHash::of(b"x"), "x".into()), Err(StorageError::Full { .. })));
    assert_eq!(full.free_bytes(), 0);
    assert_eq!(
        fs::read_dir(folder.path().join("blocks").join(&BlockHash::of(b"x").to_string()[..2])).unwrap().count(),
        0
    );
}

#[test]
fn a_bad_file_is_moved_away() {
    let folder = tempfile::tempdir().unwrap();
    let store = BlockStore::open_with(folder.path(), Some(0)).unwrap();
    let raw = noise(3000);
    let hash = BlockHash::of(&raw);
    let file = path(folder.path(), &hash);
    store.put(hash, raw.clone()).unwrap();
    let good = fs::read(&file).unwrap();
    let mut bad: Vec<Vec<u8>> = (0..good.len())
        .step_by(37)
        .map(|at| {
            let mut bad = good.clone();
            bad[at] ^= 1;
            bad
        })
        .collect();
    bad.push(Vec::new());
    bad.push(good[..good.len() - 1].to_vec());
    bad.push([&good[..], b"more"].concat());
    for (count, bytes) in bad.iter().enumerate() {
        fs::write(&file, bytes).unwrap();
        assert!(matches!(store.get(&hash), Err(StorageError::Damaged(_))));
        assert_eq!((store.get(&hash).unwrap(), store.count()), (None, 0));
        assert_eq!(fs::read_dir(folder.path().join("quarantine")).unwrap().count(), count + 1);
        // Repaired from elsewhere.
        assert!(store.put(hash, raw.clone()).unwrap());
        assert_eq!(store.get(&hash).unwrap(), Some(raw.clone()));
    }
}

#[test]
fn many_threads_put_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store = BlockStore::open_with(folder.path(), Some(0)).unwrap();
    let raws: Vec<Bytes> = (0..20).map(|n| noise(1000 + n)).collect();
    let new: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let put = |raw: &&Bytes| store.put(BlockHash::of(raw), (*raw).clone()).unwrap();
                    raws.iter().filter(put).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((new, store.count()), (20, 20));
    assert_eq!(store.list(None, 100).unwrap().len(), 20);
    for raw in &raws {
        assert_eq!(store.get(&BlockHash::of(raw)).unwrap().as_ref(), Some(raw));
    }
}
