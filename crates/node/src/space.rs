//! Room on the disk: says when only the reserve is left, and keeps a file that gives way when
//! somebody else takes that, too.

use crate::partition::Shared;
use nix::fcntl::posix_fallocate;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const NAME: &str = "ballast";
const BALLAST_BYTES: u64 = 16 << 20;
/// With less than this free the ballast goes.
const LOW_WATER: u64 = 8 << 20;
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A file of no content: removed, it makes room for deletes and for what is ordered already.
pub(crate) struct Ballast {
    path: PathBuf,
    full: Arc<AtomicBool>,
}

impl Ballast {
    pub fn new(folder: &Path, full: Arc<AtomicBool>) -> Ballast {
        Ballast { path: folder.join(NAME), full }
    }

    /// Something did not fit: make room, and let nothing more be ordered that grows.
    pub fn give_way(&self) {
        self.full.store(true, Ordering::Relaxed);
        match std::fs::remove_file(&self.path) {
            Ok(()) => tracing::warn!("the disk is full: what was kept for that is in use now"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(%error, "cannot remove {}", self.path.display()),
        }
    }

    /// Puts it there, if it is not and there is plenty of room.
    fn lay(&self, free: u64) {
        if free < 2 * BALLAST_BYTES || self.path.exists() {
            return;
        }
        let make = || -> std::io::Result<()> {
            let file: File = OpenOptions::new().write(true).create(true).truncate(true).open(&self.path)?;
            posix_fallocate(file, 0, BALLAST_BYTES as i64).map_err(std::io::Error::from)
        };
        if let Err(error) = make() {
            tracing::debug!(%error, "no ballast");
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Looks after the disk for as long as the node lives.
pub(crate) async fn watch(shared: Arc<Shared>, ballast: Arc<Ballast>) {
    let mut interval = tokio::time::interval(LOOK_EVERY);
    loop {
        interval.tick().await;
        let (shared, ballast) = (shared.clone(), ballast.clone());
        let looked = tokio::task::spawn_blocking(move || look(&shared, &ballast)).await;
        if let Err(error) = looked
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

fn look(shared: &Shared, ballast: &Ballast) {
    // Beyond the reserve; what is under way still goes into the tables and the log.
    let free = shared.engine.free_bytes();
    let full = free <= 2 * shared.under_way.load(Ordering::Relaxed) as u64;
    if full != shared.full.swap(full, Ordering::Relaxed) {
        match full {
            true => tracing::warn!("only the reserve of the disk is left: deletes only"),
            false => tracing::info!("there is room on the disk again"),
        }
    }
    if full && available(&ballast.path).is_some_and(|left| left < LOW_WATER) {
        ballast.give_way();
    } else if !full {
        ballast.lay(free);
    }
}

fn available(path: &Path) -> Option<u64> {
    let answer = nix::sys::statvfs::statvfs(path.parent()?).ok()?;
    Some(answer.blocks_available().saturating_mul(answer.fragment_size()))
}
