//! Block files: pieces of large values, each in a file named after the BLAKE3 of its bytes.
//!
//! **Owns** `<folder>/blocks/` (two hex digits, then the name) and `<folder>/quarantine/`.
//! **Invariants**: a block that [`BlockStore::put`] or [`BlockStore::has`] speaks of is durable;
//! [`BlockStore::get`] returns bytes with the right hash or none; a file that fails is moved away,
//! or known to fail until it reads again or is replaced, and never vouched for; after a sync that
//! failed nothing more is taken; a condemned block goes only if nobody was told of it since.
//! **Leaves to others**: which blocks to hold, and repair.
//! **Proved by** the tests here and `tests/blocks.rs`.

mod format;

use crate::StorageError;
use crate::files::{create_folder, sync_folder};
use crate::poison::Poison;
use crate::space::FreeSpace;
use bytes::Bytes;
use format::Unreadable;
use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
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
    /// Blocks whose files could not be read the last time: as good as absent, and left where they are until they can
    /// be, or a good one takes their place. A disk that does not answer for a while loses nothing by that.
    unreadable: Mutex<BTreeSet<BlockHash>>,
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
            unreadable: Mutex::default(),
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
        let bad = self.unreadable.lock().contains(hash);
        if !bad && path.try_exists()? {
            fs::remove_file(temporary)?;
            return Ok(false);
        }
        let replaced = if bad { fs::symlink_metadata(&path).ok() } else { None };
        fs::rename(temporary, &path)?;
        self.unreadable.lock().remove(hash);
        if let Some(replaced) = replaced {
            self.forget(replaced.len());
        }
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
    /// `quarantine/`, and [`StorageError::Damaged`] returned: fetch it from another node. One that
    /// cannot be read stays, and is as good as absent until it can be or is put again.
    pub fn get(&self, hash: &BlockHash) -> Result<Option<Bytes>, StorageError> {
        self.get_from(hash, Source::Any)
    }

    fn get_from(&self, hash: &BlockHash, source: Source) -> Result<Option<Bytes>, StorageError> {
        let error: StorageError = match self.read(hash, source) {
            Ok(Ok(raw)) => {
                self.unreadable.lock().remove(hash);
                return Ok(raw);
            }
            Ok(Err(Unreadable::Bad(why))) => StorageError::Damaged(format!("block {hash}: {why}")),
            Ok(Err(Unreadable::Newer(version))) => {
                let why = format!("block {hash} was written in format {version}, by a newer release");
                io::Error::new(io::ErrorKind::InvalidData, why).into()
            }
            Err(error) => error.into(),
        };
        self.set_aside(hash)?;
        tracing::error!(%hash, %error, "a block cannot be read, and is to be had from another node");
        Err(error)
    }

    /// The same for the sake of knowing: it is read from the disk itself, not from memory, and the date is kept, for
    /// [`Self::verified`]. The block's bytes; none when it is not here.
    pub fn verify(&self, hash: &BlockHash) -> Result<Option<u64>, StorageError> {
        let Some(raw) = self.get_from(hash, Source::Disk)? else { return Ok(None) };
        // Should it not last, the block counts as looked at earlier than it was.
        let noted = File::open(self.path(hash)).and_then(|file| file.set_modified(SystemTime::now()));
        if let Err(error) = noted {
            tracing::debug!(%hash, %error, "when a block was verified could not be noted");
        }
        Ok(Some(raw.len() as u64))
    }

    /// When the block was last known to be what its name says: put, or verified since. None when it is not here;
    /// [`StorageError::Damaged`] when it could not be read the last time, or its file is not as long as its header
    /// says. Reads nothing but that, and saves none that is condemned. It is the date of the file: whoever copies that
    /// sets it anew.
    pub fn verified(&self, hash: &BlockHash) -> Result<Option<SystemTime>, StorageError> {
        self.poison.check()?;
        let damaged = |why: String| StorageError::Damaged(format!("block {hash}: {why}"));
        if self.unreadable.lock().contains(hash) {
            return Err(damaged("it could not be read".into()));
        }
        let looked = || -> io::Result<(bool, SystemTime)> {
            let mut file = File::open(self.path(hash))?;
            let found = file.metadata()?;
            let mut head = [0; format::HEADER];
            let whole = found.len() >= head.len() as u64;
            if whole {
                file.read_exact(&mut head)?;
            }
            Ok((whole && format::is_length(hash, &head, found.len()), found.modified()?))
        };
        match looked() {
            Ok((true, at)) => Ok(Some(at)),
            Ok((false, _)) => Err(damaged("its length is wrong".into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if is_shortage(&error) => Err(error.into()),
            Err(error) => Err(damaged(error.to_string())),
        }
    }

    fn read(&self, hash: &BlockHash, source: Source) -> io::Result<Result<Option<Bytes>, Unreadable>> {
        let file = match File::open(self.path(hash)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ok(None)),
            Err(error) => return Err(error),
        };
        if source == Source::Disk {
            // A block that is here is durable: no page of it waits to be written, and all of them go. Where the file
            // system knows no such thing, what it gives has to do.
            posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).ok();
        }
        let mut bytes = Vec::with_capacity(file.metadata()?.len().min(format::FILE_MAX) as usize + 1);
        file.take(format::FILE_MAX + 1).read_to_end(&mut bytes)?;
        Ok(format::decode(hash, bytes).map(Some))
    }

    /// What is rotten goes to quarantine, and so does a folder; what cannot be read is remembered.
    fn set_aside(&self, hash: &BlockHash) -> Result<(), StorageError> {
        let _lock = self.lock(hash);
        let path = self.path(hash);
        // Another thread may have moved it, or even put a good one in its place.
        match self.read(hash, Source::Any) {
            Ok(Ok(_)) => {
                self.unreadable.lock().remove(hash);
                return Ok(());
            }
            Err(error) if is_shortage(&error) => return Ok(()),
            Ok(Err(Unreadable::Newer(_))) => {
                self.unreadable.lock().insert(*hash);
                return Ok(());
            }
            // A good one can take the place of anything but a folder.
            Err(_) if !fs::metadata(&path).is_ok_and(|found| found.is_dir()) => {
                self.unreadable.lock().insert(*hash);
                return Ok(());
            }
            Ok(Err(Unreadable::Bad(_))) | Err(_) => {}
        }
        let size = fs::symlink_metadata(&path)?.len();
        let to = self.quarantine.join(format!("{hash}.{}", self.temporary.fetch_add(1, Ordering::Relaxed)));
        fs::rename(&path, to)?;
        self.unreadable.lock().remove(hash);
        self.forget(size);
        self.sync_names(hash)?;
        self.poison.watch("making quarantine durable", (self.sync)(&self.quarantine))
    }

    fn forget(&self, size: u64) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        let less = |bytes: u64| Some(bytes.saturating_sub(size));
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok();
    }

    /// Whether the block is here, durably, and was not found unreadable. Reads nothing of it. One that was condemned is
    /// so no longer.
    pub fn has(&self, hash: &BlockHash) -> Result<bool, StorageError> {
        let _lock = self.lock(hash);
        self.poison.check()?;
        self.condemned.lock().remove(hash);
        Ok(!self.unreadable.lock().contains(hash) && self.path(hash).try_exists()?)
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
        self.unreadable.lock().remove(hash);
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

/// Where a block's bytes may come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The system's memory of the file will do.
    Any,
    Disk,
}

/// What the process lacks says nothing of a file.
fn is_shortage(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EINTR | Errno::EAGAIN))
}

fn name(entry: &fs::DirEntry) -> Option<BlockHash> {
    entry.file_name().to_str()?.parse().ok()
}

#[cfg(test)]
mod tests;
