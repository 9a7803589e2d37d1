//! Block files: pieces of large values, each in a file named after the BLAKE3 of its bytes.
//!
//! **Owns** `<folder>/blocks/` (two hex digits, then the name) and `<folder>/quarantine/`.
//! **Invariants**: a block that [`BlockStore::put`] or [`BlockStore::has`] speaks of is durable;
//! [`BlockStore::get`] returns bytes with the right hash or none; a file that fails is moved away
//! and never served; after a sync that failed nothing more is taken; a condemned block goes only if
//! nobody was told of it since. **Leaves to others**: which blocks to hold, and repair.
//! **Proved by** the tests here and `tests/blocks.rs`.

mod format;

use crate::StorageError;
use crate::files::{create_folder, sync_folder};
use crate::poison::Poison;
use crate::space::FreeSpace;
use bytes::Bytes;
use format::Unreadable;
use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;
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
    /// Blocks that are to be deleted, unless somebody is told of them first.
    condemned: Mutex<BTreeSet<BlockHash>>,
    poison: Poison,
    /// Makes the names in a folder durable. Tests put one that fails.
    sync: fn(&Path) -> io::Result<()>,
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
            condemned: Mutex::default(),
            poison: Poison::default(),
            sync: sync_folder,
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

    /// An error when an earlier write to the disk failed: nothing more is taken.
    pub fn check(&self) -> Result<(), StorageError> {
        self.poison.check()
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
        self.poison.check()?;
        if self.has(&hash)? {
            return Ok(false);
        }
        let file = format::encode(&hash, &raw)?;
        let _room = self.space.grant(file.len() as u64)?;
        let folder = self.folder(hash.0[0]);
        let temporary = folder.join(format!("{hash}.{}.tmp", self.temporary.fetch_add(1, Ordering::Relaxed)));
        let placed = self.write(&temporary, &file).and_then(|()| self.place(&hash, &temporary, file.len() as u64));
        if placed.is_err() {
            // What is left of it goes at the next opening at the latest.
            fs::remove_file(&temporary).ok();
        }
        placed
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
        let full = |error: io::Error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StorageError::Full { free: self.space.free(), needed: bytes.len() as u64 }
            }
            _ => error.into(),
        };
        let mut file = File::create_new(path).map_err(full)?;
        file.write_all(bytes).map_err(full)?;
        match file.sync_all().map_err(full) {
            Err(StorageError::Io(error)) => self.poison.watch("making a block durable", Err(error)),
            other => other,
        }
    }

    fn place(&self, hash: &BlockHash, temporary: &Path, size: u64) -> Result<bool, StorageError> {
        let _lock = self.lock(hash);
        self.condemned.lock().remove(hash);
        let path = self.path(hash);
        if path.try_exists()? {
            fs::remove_file(temporary)?;
            return Ok(false);
        }
        fs::rename(temporary, &path)?;
        self.count.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(size, Ordering::Relaxed);
        self.sync_names(hash)?;
        Ok(true)
    }

    /// After a failure it is not known which names are durable: nothing more is taken, and none is vouched for.
    fn sync_names(&self, hash: &BlockHash) -> Result<(), StorageError> {
        self.poison.watch("making a block's name durable", (self.sync)(&self.folder(hash.0[0])))
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

    /// The same for the sake of knowing: the date is kept, for [`Self::verified`]. The block's bytes; none when it is not here.
    pub fn verify(&self, hash: &BlockHash) -> Result<Option<u64>, StorageError> {
        let Some(raw) = self.get(hash)? else { return Ok(None) };
        // Should it not last, the block counts as looked at earlier than it was.
        let noted = File::open(self.path(hash)).and_then(|file| file.set_modified(SystemTime::now()));
        if let Err(error) = noted {
            tracing::debug!(%hash, %error, "when a block was verified could not be noted");
        }
        Ok(Some(raw.len() as u64))
    }

    /// When the block was last known to be what its name says: put, or verified since. None when it is not here. Reads
    /// nothing of it, and saves none that is condemned. It is the date of the file: whoever copies that sets it anew.
    pub fn verified(&self, hash: &BlockHash) -> Result<Option<SystemTime>, StorageError> {
        self.poison.check()?;
        match fs::metadata(self.path(hash)) {
            Ok(found) => Ok(Some(found.modified()?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
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

    fn set_aside(&self, hash: &BlockHash) -> Result<(), StorageError> {
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
        self.sync_names(hash)?;
        self.poison.watch("making quarantine durable", (self.sync)(&self.quarantine))
    }

    fn forget(&self, size: u64) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        let less = |bytes: u64| Some(bytes.saturating_sub(size));
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok();
    }

    /// Whether the block is here, durably. Reads nothing of it. One that was condemned is so no longer.
    pub fn has(&self, hash: &BlockHash) -> Result<bool, StorageError> {
        let _lock = self.lock(hash);
        self.poison.check()?;
        self.condemned.lock().remove(hash);
        Ok(self.path(hash).try_exists()?)
    }

    /// Marks blocks for [`Self::delete_condemned`]. From here on, whoever asks whether one of them is
    /// here, or puts it again, saves it.
    pub fn condemn(&self, hashes: &[BlockHash]) {
        self.condemned.lock().extend(hashes);
    }

    /// Takes marks back.
    pub fn pardon(&self, hashes: &[BlockHash]) {
        let mut condemned = self.condemned.lock();
        condemned.retain(|hash| !hashes.contains(hash));
    }

    /// Deletes a block if it is condemned still; the bytes of its file, if it went.
    pub fn delete_condemned(&self, hash: &BlockHash) -> Result<Option<u64>, StorageError> {
        let _lock = self.lock(hash);
        if !self.condemned.lock().remove(hash) {
            return Ok(None);
        }
        self.remove(hash)
    }

    /// Deletes a block; true when it was there.
    pub fn delete(&self, hash: &BlockHash) -> Result<bool, StorageError> {
        let _lock = self.lock(hash);
        Ok(self.remove(hash)?.is_some())
    }

    /// The lock is held.
    fn remove(&self, hash: &BlockHash) -> Result<Option<u64>, StorageError> {
        let path = self.path(hash);
        let size = match fs::metadata(&path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        fs::remove_file(&path)?;
        self.forget(size);
        self.sync_names(hash)?;
        Ok(Some(size))
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

#[cfg(test)]
mod tests;
