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

/// A file whose reading fails with EIO: the memory of this process at address 0.
const FAILING: &str = "/proc/self/mem";

#[test]
fn what_cannot_be_read_is_not_here_until_it_can_be_or_is_put_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let (hash, raw) = block("in a bad sector");
    store.put(hash, raw.clone()).unwrap();
    let (path, elsewhere) = (store.path(&hash), folder.path().join("elsewhere"));
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(FAILING, &path).unwrap();
    for _ in 0..2 {
        assert!(matches!(store.get(&hash), Err(StorageError::Io(_))));
        assert!(!store.has(&hash).unwrap());
        assert!(matches!(store.verified(&hash), Err(StorageError::Damaged(_))));
    }
    // The disk answers again: nothing was lost meanwhile.
    fs::rename(&elsewhere, &path).unwrap();
    assert!(matches!(store.verified(&hash), Err(StorageError::Damaged(_))), "it was not read since");
    assert_eq!(store.get(&hash).unwrap(), Some(raw.clone()));
    assert!(store.has(&hash).unwrap() && store.verified(&hash).unwrap().is_some());
    // Or it does not, and another node has it.
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(FAILING, &path).unwrap();
    assert!(store.verify(&hash).is_err());
    assert!(store.put(hash, raw.clone()).unwrap());
    assert_eq!((store.get(&hash).unwrap(), store.count()), (Some(raw.clone()), 1));
    assert!(store.verified(&hash).unwrap().is_some());
    // What is no file at all makes room for one.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(store.verified(&hash).is_err());
    assert!(store.verify(&hash).is_err());
    assert!(!path.exists() && !store.has(&hash).unwrap());
    assert!(store.put(hash, raw.clone()).unwrap());
    assert_eq!((store.get(&hash).unwrap(), store.count()), (Some(raw), 1));
}

#[test]
fn a_file_that_was_cut_is_seen_without_being_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let (hash, raw) = block("cut short in the end");
    store.put(hash, raw).unwrap();
    let whole = fs::read(store.path(&hash)).unwrap();
    for len in [0, 10, format::HEADER, whole.len() - 1] {
        fs::write(store.path(&hash), &whole[..len]).unwrap();
        assert!(matches!(store.verified(&hash), Err(StorageError::Damaged(_))), "{len}");
    }
    fs::write(store.path(&hash), &whole).unwrap();
    assert!(store.verified(&hash).unwrap().is_some());
}

/// Bytes that this process had from a disk.
fn from_disk() -> u64 {
    let said = fs::read_to_string("/proc/self/io").unwrap();
    said.lines().find_map(|line| line.strip_prefix("read_bytes: ")).unwrap().parse().unwrap()
}

#[test]
fn verifying_reads_the_disk_and_not_what_is_remembered_of_it() {
    // Below the working folder: where temporary files are there may be no disk.
    let folder = tempfile::tempdir_in(".").unwrap();
    let store = store(folder.path());
    let mut raw = vec![0; 4 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut raw);
    let hash = BlockHash::of(&raw);
    store.put(hash, raw.into()).unwrap();
    for _ in 0..2 {
        store.get(&hash).unwrap().unwrap();
        let before = from_disk();
        store.verify(&hash).unwrap().unwrap();
        assert!(from_disk() >= before + (4 << 20));
    }
}
