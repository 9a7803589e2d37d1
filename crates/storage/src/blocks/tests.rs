//! What a disk that fails, and collection, do to the store.

use super::*;

fn store(folder: &Path) -> BlockStore {
    BlockStore::open_with(folder, Some(0)).unwrap()
}

fn block(text: &'static str) -> (BlockHash, Bytes) {
    (BlockHash::of(text.as_bytes()), Bytes::from_static(text.as_bytes()))
}

#[test]
fn after_a_sync_that_failed_nothing_is_taken_and_nothing_vouched_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut failing = store(folder.path());
    let ((first, raw), (second, other)) = (block("first"), block("second"));
    failing.sync = |_| Err(io::Error::other("the disk does not answer"));
    assert!(failing.put(first, raw.clone()).is_err());
    failing.sync = sync_folder;
    // The file is there by now, and whether its name lasts nobody knows.
    assert!(matches!(failing.has(&first), Err(StorageError::Poisoned(_))));
    assert!(matches!(failing.put(first, raw), Err(StorageError::Poisoned(_))));
    assert!(matches!(failing.put(second, other.clone()), Err(StorageError::Poisoned(_))));
    drop(failing);
    assert!(store(folder.path()).put(second, other).unwrap());
}

#[test]
fn a_full_disk_refuses_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (hash, raw) = block("too much");
    let full = BlockStore::open_with(folder.path(), Some(u64::MAX)).unwrap();
    assert!(matches!(full.put(hash, raw), Err(StorageError::Full { .. })));
    assert_eq!(fs::read_dir(full.folder(hash.0[0])).unwrap().count(), 0);
}

#[test]
fn a_condemned_block_goes_unless_somebody_was_told_of_it_since() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let blocks = [block("asked about"), block("put again"), block("pardoned"), block("forgotten"), block("innocent")];
    for (hash, raw) in &blocks {
        store.put(*hash, raw.clone()).unwrap();
    }
    let [asked, again, pardoned, forgotten, innocent] = blocks;
    store.condemn(&[asked.0, again.0, pardoned.0, forgotten.0]);
    assert!(store.has(&asked.0).unwrap());
    assert!(!store.put(again.0, again.1).unwrap());
    store.pardon(&[pardoned.0]);
    for (hash, goes) in
        [(asked.0, false), (again.0, false), (pardoned.0, false), (forgotten.0, true), (innocent.0, false)]
    {
        assert_eq!(store.delete_condemned(&hash).unwrap().is_some(), goes);
        assert_eq!(store.has(&hash).unwrap(), !goes);
    }
    assert_eq!(store.count(), 4);
}

#[test]
fn when_a_block_was_good_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let (hash, raw) = block("looked at now and then");
    assert!(store.verified(&hash).unwrap().is_none() && store.verify(&hash).unwrap().is_none());
    store.put(hash, raw.clone()).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    File::open(store.path(&hash)).unwrap().set_modified(long_ago).unwrap();
    // Reading it for somebody is not written down: readers are many.
    assert!(store.get(&hash).unwrap().is_some());
    assert_eq!(store.verified(&hash).unwrap(), Some(long_ago));
    assert_eq!(store.verify(&hash).unwrap(), Some(raw.len() as u64));
    assert!(store.verified(&hash).unwrap().unwrap() > long_ago);
    // What is found bad is not here any more.
    fs::write(store.path(&hash), b"rot").unwrap();
    assert!(matches!(store.verify(&hash), Err(StorageError::Damaged(_))));
    assert!(store.verified(&hash).unwrap().is_none());
}
