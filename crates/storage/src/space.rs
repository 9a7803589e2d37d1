//! How many bytes may still be written before only deletes are taken.

use crate::StorageError;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const RESERVE_MIN: u64 = 64 << 20;
/// Of a small disk no more than this part is kept back.
const RESERVE_PART: u64 = 3;
const RESERVE_MAX: u64 = 1 << 30;

/// Watches the file system under one folder. What is kept back lets deletes,
/// checkpoints and compactions go on when the disk is full to everything else.
///
/// It is asked each time (about a microsecond): others fill the disk, too, and a write of ours
/// takes more of it, sooner and later, than its own bytes.
#[derive(Debug)]
pub(crate) struct FreeSpace {
    folder: PathBuf,
    reserve: Option<u64>,
    /// Granted, and perhaps not yet in what the file system says.
    granted: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    available: u64,
    reserve: u64,
}

/// Room for a write that is under way.
pub(crate) struct Grant<'a> {
    space: &'a FreeSpace,
    bytes: u64,
}

impl Drop for Grant<'_> {
    fn drop(&mut self) {
        self.space.granted.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl FreeSpace {
    /// Keeps back `reserve` bytes: by default 1 % of the file system, but 64 MiB at least and 1 GiB at most.
    pub fn new(folder: &Path, reserve: Option<u64>) -> FreeSpace {
        FreeSpace { folder: folder.to_path_buf(), reserve, granted: AtomicU64::new(0) }
    }

    fn measure(&self) -> Measured {
        let (available, total) = match nix::sys::statvfs::statvfs(&self.folder) {
            Ok(answer) => {
                let unit = answer.fragment_size();
                (answer.blocks_available().saturating_mul(unit), answer.blocks().saturating_mul(unit))
            }
            Err(error) => {
                // Not knowing is no reason to stop: a write that does not fit fails by itself.
                tracing::warn!(%error, folder = %self.folder.display(), "cannot ask for the free space");
                (u64::MAX, 0)
            }
        };
        let usual = (total / 100).clamp(RESERVE_MIN, RESERVE_MAX).min(total / RESERVE_PART);
        Measured { available, reserve: self.reserve.unwrap_or(usual) }
    }

    /// Bytes free beyond the reserve.
    pub fn free(&self) -> u64 {
        let now = self.measure();
        now.available.saturating_sub(now.reserve).saturating_sub(self.granted.load(Ordering::Relaxed))
    }

    /// An error unless `bytes` more fit beside the reserve and what is granted until the answer is dropped.
    pub fn grant(&self, bytes: u64) -> Result<Grant<'_>, StorageError> {
        let before = self.granted.fetch_add(bytes, Ordering::Relaxed);
        let grant = Grant { space: self, bytes };
        let now = self.measure();
        if now.available.saturating_sub(now.reserve).saturating_sub(before) < bytes.max(1) {
            return Err(StorageError::Full { free: now.available, needed: now.reserve });
        }
        Ok(grant)
    }
}

/// Whether an operation failed for want of room.
pub(crate) fn exhausted(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_kept_back() {
        let folder = tempfile::tempdir().unwrap();
        let full = FreeSpace::new(folder.path(), Some(u64::MAX));
        assert_eq!(full.free(), 0);
        assert!(matches!(full.grant(1), Err(StorageError::Full { .. })));
    }

    #[test]
    fn what_is_granted_is_not_granted_twice() {
        let folder = tempfile::tempdir().unwrap();
        let space = FreeSpace::new(folder.path(), Some(0));
        let most = space.free() / 4 * 3;
        let first = space.grant(most).unwrap();
        assert!(matches!(space.grant(most), Err(StorageError::Full { .. })));
        drop(first);
        space.grant(most).unwrap();
        assert_eq!(space.granted.load(Ordering::Relaxed), 0);
    }
}
