//! Block files: pieces of large values, each in a file named after the BLAKE3 of its bytes.
//!
//! **Owns** `<folder>/blocks/` (two hex digits, then the name) and `<folder>/quarantine/`.
//! **Invariants**: a block that [`BlockStore::put`] or [`BlockStore::has`] speaks of is durable;
//! [`BlockStore::get`] returns bytes with the right hash or none; a file that fails is moved away
//! and never served. **Leaves to others**: which blocks to hold, and repair.
//! **Proved by** the tests here and `tests/blocks.rs`.

mod format;

use crate::StorageError;
use crate::files::{create_folder, sync_folder};
use crate::space::FreeSpace;
use bytes::Bytes;
use format::Unreadable;
use parking_lot::{Mutex, MutexGuard};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use types::BlockHash;

/// Folders, one for each first byte of a hash; also the number of locks.
const FOLDERS: usize = 256;

/// A folder of block files.
pub struct BlockStore {
    blocks: PathBuf,
    quarantine: PathBuf,
    /// Held while a name in the folder of that first byte appears or goes, until that is durable.
    locks: Vec<Mutex<()>>,
    space: FreeSpace,
    temporary: AtomicU64,
    count: AtomicU64,
    bytes: AtomicU64,
}

impl BlockStore {
    /// Opens or makes the store under `folder`, keeping the default reserve of the disk free.
    pub fn open(folder: &Path) -> Result<BlockStore, StorageError> {
        BlockStore::open_with(folder, None)
    }

    /// The same, with so many bytes of the disk kept free.
    pub fn open_with(folder: &Path, reserve_bytes: Option<u64>) -> Result<BlockStore, StorageError> {
        let store = BlockStore {
            blocks: folder.join("blocks"),
            quarantine: folder.join("quarantine"),
            locks: (0..FOLDERS).map(|_| Mutex::new(())).collect(),
            space: FreeSpace::new(folder, reserve_bytes),
            temporary: AtomicU64::new(0),
            count: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        };
        create_folder(&store.blocks)?;
        create_folder(&store.quarantine)?;
        for first in 0..=u8::MAX {
            let folder = store.folder(first);
            if !folder.is_dir() {
                fs::create_dir(&folder)?;
                continue;
            }
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                if name(&entry).is_some() {
                    store.count.fetch_add(1, Ordering::Relaxed);
                    store.bytes.fetch_add(entry.metadata()?.len(), Ordering::Relaxed);
                } else {
                    // A write that a crash cut short.
                    fs::remove_file(entry.path())?;
                }
            }
            // A killed process may have renamed a file without making the name durable.
            sync_folder(&folder)?;
        }
        sync_folder(&store.blocks)?;
        Ok(store)
    }

    fn folder(&self, first: u8) -> PathBuf {
        self.blocks.join(format!("{first:02x}"))
    }

    fn path(&self, hash: &BlockHash) -> PathBuf {
        self.folder(hash.0[0]).join(hash.to_string())
    }

    fn lock(&self, hash: &BlockHash) -> MutexGuard<'_, ()> {
        self.locks[usize::from(hash.0[0])].lock()
    }

    /// Stores a block durably; true when it was not there. `raw` must have that hash.
    pub fn put(&self, hash: BlockHash, raw: Bytes) -> Result<bool, StorageError> {
        let refuse = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why).into());
        if raw.len() > format::RAW_MAX {
            return refuse(format!("a block of {} bytes; at most {} are taken", raw.len(), format::RAW_MAX));
        }
        if BlockHash::of(&raw) != hash {
            return refuse(format!("these bytes do not have the hash {hash}"));
        }
        if self.has(&hash)? {
            return Ok(false);
        }
        let file = format::encode(&hash, &raw)?;
        self.space.take(file.len() as u64)?;
        let folder = self.folder(hash.0[0]);
        let temporary = folder.join(format!("{hash}.{}.tmp", self.temporary.fetch_add(1, Ordering::Relaxed)));
        let placed = write(&temporary, &file).and_then(|()| {
            let _lock = self.lock(&hash);
            let path = self.path(&hash);
            if path.try_exists()? {
                fs::remove_file(&temporary)?;
                return Ok(false);
            }
            fs::rename(&temporary, &path)?;
            self.count.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(file.len() as u64, Ordering::Relaxed);
            sync_folder(&folder)?;
            Ok(true)
        });
        if placed.is_err() {
            // What is left of it goes at the next opening at the latest.
            fs::remove_file(&temporary).ok();
        }
        Ok(placed?)
    }

    /// A block's raw bytes, verified; none when it is not here. A file that fails is moved to
    /// `quarantine/`, and [`StorageError::Damaged`] returned: fetch it from another node.
    pub fn get(&self, hash: &BlockHash) -> Result<Option<Bytes>, StorageError> {
        match self.read(hash) {
            Ok(Ok(raw)) => Ok(raw),
            Ok(Err(Unreadable::Newer(version))) => {
                let why = format!("block {hash} was written in format {version}, by a newer release");
                Err(io::Error::new(io::ErrorKind::InvalidData, why).into())
            }
            Ok(Err(Unreadable::Bad(why))) => {
                self.set_aside(hash)?;
                tracing::error!(%hash, why, "a block file failed its check and was moved to quarantine");
                Err(StorageError::Damaged(format!("block {hash}: {why}")))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn read(&self, hash: &BlockHash) -> io::Result<Result<Option<Bytes>, Unreadable>> {
        match fs::read(self.path(hash)) {
            Ok(file) => Ok(format::decode(hash, file).map(Some)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Ok(None)),
            Err(error) => Err(error),
        }
    }

    fn set_aside(&self, hash: &BlockHash) -> io::Result<()> {
        let _lock = self.lock(hash);
        // Another thread may have moved it, or even put a good one in its place.
        if self.read(hash)?.is_ok() {
            return Ok(());
        }
        let path = self.path(hash);
        let size = fs::metadata(&path)?.len();
        let to = self.quarantine.join(format!("{hash}.{}", self.temporary.fetch_add(1, Ordering::Relaxed)));
        fs::rename(&path, to)?;
        self.forget(size);
        sync_folder(&self.folder(hash.0[0]))?;
        sync_folder(&self.quarantine)
    }

    fn forget(&self, size: u64) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        let less = |bytes: u64| Some(bytes.saturating_sub(size));
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok();
    }

    /// Whether the block is here, durably. Reads nothing of it.
    pub fn has(&self, hash: &BlockHash) -> Result<bool, StorageError> {
        let _lock = self.lock(hash);
        Ok(self.path(hash).try_exists()?)
    }

    /// Deletes a block; true when it was there.
    pub fn delete(&self, hash: &BlockHash) -> Result<bool, StorageError> {
        let _lock = self.lock(hash);
        let path = self.path(hash);
        let size = match fs::metadata(&path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        fs::remove_file(&path)?;
        self.forget(size);
        sync_folder(&self.folder(hash.0[0]))?;
        Ok(true)
    }

    /// Blocks after `after`, in order, at most `limit`.
    pub fn list(&self, after: Option<BlockHash>, limit: usize) -> Result<Vec<BlockHash>, StorageError> {
        let mut out = Vec::new();
        for first in after.map_or(0, |after| after.0[0])..=u8::MAX {
            if out.len() >= limit {
                break;
            }
            let mut here = Vec::new();
            for entry in fs::read_dir(self.folder(first))? {
                here.extend(name(&entry?).filter(|hash| after.is_none_or(|after| *hash > after)));
            }
            here.sort();
            out.extend(here.into_iter().take(limit - out.len()));
        }
        Ok(out)
    }

    /// Bytes of all block files.
    pub fn bytes_used(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many blocks are here.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Bytes that may still be written.
    pub fn free_bytes(&self) -> u64 {
        self.space.free()
    }
}

fn name(entry: &fs::DirEntry) -> Option<BlockHash> {
    entry.file_name().to_str()?.parse().ok()
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
