//! Files that could not be read: tried again later, and later each time, so that none keeps the others.

use crate::{DriveId, FileId};
use parking_lot::Mutex;
use std::collections::HashMap;
use types::{Version, WallMillis};

/// How long until a file is tried again, for the first time and at most.
const AFTER_MS: u64 = 60 * 1000;
const AFTER_MS_MAX: u64 = 60 * 60 * 1000;
/// Files that are remembered; beyond, all are tried again.
const FILES_MAX: usize = 10_000;

/// What this process could not read.
#[derive(Default)]
pub(in crate::drive) struct Later {
    files: Mutex<HashMap<(DriveId, FileId), Attempt>>,
}

struct Attempt {
    /// Of the row of `unread`: a file that was put again is tried at once.
    row: Version,
    wait: u64,
    until: WallMillis,
}

impl Later {
    /// Is it not its time yet?
    pub(super) fn waits(&self, drive: DriveId, file: FileId, row: Version, now: WallMillis) -> bool {
        self.files.lock().get(&(drive, file)).is_some_and(|it| it.row == row && now < it.until)
    }

    /// The row as it was when it was come to, and as it is.
    pub(super) fn put_off(&self, drive: DriveId, file: FileId, (was, row): (Version, Version), now: WallMillis) {
        let mut files = self.files.lock();
        let before = files.get(&(drive, file)).filter(|it| it.row == was).map_or(0, |it| it.wait);
        let wait = (before * 2).clamp(AFTER_MS, AFTER_MS_MAX);
        if files.len() >= FILES_MAX {
            files.clear();
        }
        files.insert((drive, file), Attempt { row, wait, until: WallMillis(now.0.saturating_add(wait)) });
    }

    pub(super) fn was_read(&self, drive: DriveId, file: FileId) {
        self.files.lock().remove(&(drive, file));
    }
}
