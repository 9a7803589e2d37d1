//! Room on the disk: says when only the reserve is left, and keeps a file that gives way when
//! somebody else takes that, too.

use nix::fcntl::posix_fallocate;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use storage::StorageEngine;

const NAME: &str = "ballast";
const BALLAST_BYTES: u64 = 16 << 20;
/// With less than this free the ballast goes. Not earlier: whoever fills the disk would take that, too.
const LOW_WATER: u64 = 1 << 20;
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(200);
/// With less than this beyond the reserve, others may fill the disk between two looks.
const NEAR: u64 = 256 << 20;
const LOOK_EVERY_WHEN_NEAR: Duration = Duration::from_millis(10);

/// So much of what is under way the smallest reserve takes, beside what goes on in it.
const SPARE: u64 = 32 << 20;
/// How often an entry is written until it rests: the log, the tables' journal, a table.
const COPIES: u64 = 3;

/// What is known of the room on the disk; and a file of no content: removed, it makes room for deletes and
/// for what is ordered already.
pub(crate) struct Room {
    engine: Arc<dyn StorageEngine>,
    ballast: PathBuf,
    /// Bytes of entries not yet in the tables, in all partitions.
    pub under_way: AtomicUsize,
    full: AtomicBool,
}

impl Room {
    pub fn new(folder: &Path, engine: Arc<dyn StorageEngine>) -> Room {
        Room { engine, ballast: folder.join(NAME), under_way: AtomicUsize::new(0), full: AtomicBool::new(false) }
    }

    /// The disk has only its reserve left, as of when it was measured last.
    pub fn full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Bytes free beyond the reserve.
    fn measure(&self) -> u64 {
        let free = self.engine.free_bytes();
        let needed = COPIES * self.under_way.load(Ordering::Relaxed) as u64;
        let full = free <= needed.saturating_sub(SPARE);
        if full != self.full.swap(full, Ordering::Relaxed) {
            match full {
                true => tracing::warn!("only the reserve of the disk is left: deletes only"),
                false => tracing::info!("there is room on the disk again"),
            }
        }
        free
    }

    /// Something did not fit: make room, and let nothing more be ordered that grows.
    pub fn give_way(&self) {
        self.full.store(true, Ordering::Relaxed);
        match std::fs::remove_file(&self.ballast) {
            Ok(()) => tracing::warn!("the disk is full: what was kept for that is in use now"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(%error, "cannot remove {}", self.ballast.display()),
        }
    }

    /// Puts it there, if it is not and there is plenty of room.
    fn lay(&self, free: u64) {
        if free < 2 * BALLAST_BYTES || self.ballast.exists() {
            return;
        }
        let make = || -> std::io::Result<()> {
            let file: File = OpenOptions::new().write(true).create(true).truncate(true).open(&self.ballast)?;
            posix_fallocate(file, 0, BALLAST_BYTES as i64).map_err(std::io::Error::from)
        };
        if let Err(error) = make() {
            tracing::debug!(%error, "no ballast");
            let _ = std::fs::remove_file(&self.ballast);
        }
    }

    /// Bytes free beyond the reserve. Asked before so many bytes are written: nothing more may be ordered than fits, and
    /// what is written finds room. Tables that met a full disk once take nothing more.
    pub fn look(&self, before: usize) -> u64 {
        let free = self.measure();
        let least = LOW_WATER.max(COPIES * before as u64);
        if self.full() && available(&self.ballast).is_some_and(|left| left < least) {
            self.give_way();
        }
        free
    }

    fn tend(&self) -> u64 {
        let free = self.look(0);
        if !self.full() {
            self.lay(free);
        }
        free
    }
}

/// Looks after the disk for as long as the node lives.
pub(crate) async fn watch(room: Arc<Room>) {
    loop {
        let room = room.clone();
        let pause = match tokio::task::spawn_blocking(move || room.tend()).await {
            Ok(free) if free < NEAR => LOOK_EVERY_WHEN_NEAR,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Ok(_) | Err(_) => LOOK_EVERY,
        };
        tokio::time::sleep(pause).await;
    }
}

fn available(path: &Path) -> Option<u64> {
    let answer = nix::sys::statvfs::statvfs(path.parent()?).ok()?;
    Some(answer.blocks_available().saturating_mul(answer.fragment_size()))
}
