//! How many bytes may still be written before only deletes are taken.

use crate::StorageError;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The answer of the file system is kept this long.
const FRESH: Duration = Duration::from_secs(1);
const RESERVE_MIN: u64 = 64 << 20;
/// Of a small disk no more than this part is kept back.
const RESERVE_PART: u64 = 3;
const RESERVE_MAX: u64 = 1 << 30;

/// Watches the file system under one folder. What is kept back lets deletes,
/// checkpoints and compactions go on when the disk is full to everything else.
#[derive(Debug)]
pub(crate) struct FreeSpace {
    folder: PathBuf,
    reserve: Option<u64>,
    last: Mutex<Option<Measured>>,
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    when: Instant,
    available: u64,
    reserve: u64,
}

impl FreeSpace {
    /// Keeps back `reserve` bytes: by default 1 % of the file system, but 64 MiB at least and 1 GiB at most.
    pub fn new(folder: &Path, reserve: Option<u64>) -> FreeSpace {
        FreeSpace { folder: folder.to_path_buf(), reserve, last: Mutex::new(None) }
    }

    fn measure(&self) -> Measured {
        let mut last = self.last.lock();
        if let Some(known) = last.filter(|known| known.when.elapsed() < FRESH) {
            return known;
        }
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
        let reserve = self.reserve.unwrap_or(usual);
        *last.insert(Measured { when: Instant::now(), available, reserve })
    }

    /// Bytes free beyond the reserve.
    pub fn free(&self) -> u64 {
        let now = self.measure();
        now.available.saturating_sub(now.reserve)
    }

    /// So many bytes were written: what is known of the file system is a moment old.
    pub fn note(&self, bytes: u64) {
        if let Some(known) = self.last.lock().as_mut() {
            known.available = known.available.saturating_sub(bytes);
        }
    }

    /// An error unless `bytes` more fit beside the reserve; if they do, they count as written.
    pub fn take(&self, bytes: u64) -> Result<(), StorageError> {
        let now = self.measure();
        if now.available.saturating_sub(now.reserve) < bytes.max(1) {
            return Err(StorageError::Full { free: now.available, needed: now.reserve });
        }
        self.note(bytes);
        Ok(())
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
        let roomy = FreeSpace::new(folder.path(), Some(0));
        assert!(roomy.free() > 0);
        roomy.take(10).unwrap();
        let full = FreeSpace::new(folder.path(), Some(u64::MAX));
        assert_eq!(full.free(), 0);
        assert!(matches!(full.take(1), Err(StorageError::Full { .. })));
    }
}
