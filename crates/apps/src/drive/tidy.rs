//! What goes by itself with time: the trash of long ago, versions that are
//! thinned out, links that lead nowhere, jobs that someone else has to carry on.

use super::{DriveError, Drives};
use crate::DriveId;
use std::collections::BTreeSet;
use types::{TableId, WallMillis};

/// Rows of a scan at a time.
const PAGE: u32 = 1000;
/// Calls that empty one drive's trash in one round, of some seconds each.
const ROUNDS_MAX: usize = 10;
/// Drives tidied in one round; the rest is for the next.
const DRIVES_MAX: usize = 100_000;

impl Drives {
    /// Empties the trash of what has been there for long enough, thins versions, and takes away what a lifecycle ends: how
    /// much went.
    pub async fn tidy(&self, drive: DriveId) -> Result<u64, DriveError> {
        let keep = self.inner.settings.trash.as_millis() as u64;
        let long_ago = WallMillis(self.now().0.saturating_sub(keep));
        let emptied = self.empty_of(drive, long_ago).await;
        // Whatever came of the trash.
        let thinned = self.thin_due(drive).await?;
        let expired = self.expire_of(drive).await;
        let links = self.tidy_links(drive).await?;
        Ok(emptied? + thinned + links + expired?)
    }

    async fn empty_of(&self, drive: DriveId, until: WallMillis) -> Result<u64, DriveError> {
        let mut removed = 0;
        for _ in 0..ROUNDS_MAX {
            let emptied = self.empty_trash(drive, until).await?;
            removed += emptied.removed;
            if !emptied.more {
                break;
            }
        }
        Ok(removed)
    }

    async fn expire_of(&self, drive: DriveId) -> Result<u64, DriveError> {
        let mut removed = 0;
        for _ in 0..ROUNDS_MAX {
            let expired = self.expire(drive).await?;
            removed += expired.removed;
            if !expired.more {
                break;
            }
        }
        Ok(removed)
    }

    /// Tidies every drive that has something to be tidied. One that cannot be does not keep others waiting.
    pub async fn tidy_all(&self) -> Result<u64, DriveError> {
        let tables = self.inner.tables;
        let mut drives = self.drives_in(tables.trash).await?;
        drives.extend(self.drives_in(tables.due).await?);
        drives.extend(self.drives_in(tables.links).await?);
        drives.extend(self.drives_in(tables.buckets).await?);
        let mut sum = 0;
        for drive in drives {
            match self.tidy(drive).await {
                Ok(count) => sum += count,
                Err(error) => tracing::warn!(%drive, %error, "the drive could not be tidied"),
            }
        }
        Ok(sum)
    }

    /// Every drive that has rows in that table.
    pub(super) async fn drives_in(&self, table: TableId) -> Result<BTreeSet<DriveId>, DriveError> {
        let mut drives = BTreeSet::new();
        let mut cursor = None;
        loop {
            let (items, next) = self.inner.store.scan(table, cursor, PAGE).await?;
            drives.extend(items.iter().filter_map(|(key, _)| DriveId::from_slice(&key.partition_key)));
            if next.is_none() || drives.len() > DRIVES_MAX {
                return Ok(drives);
            }
            cursor = next;
        }
    }
}
