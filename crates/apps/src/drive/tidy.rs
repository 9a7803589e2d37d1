//! What goes by itself with time: the trash of long ago, versions that are
//! thinned out, links that lead nowhere, jobs that someone else has to carry on.

use super::{DriveError, Drives};
use crate::DriveId;
use client::ScanCursor;
use std::collections::BTreeSet;
use types::{TableId, WallMillis};

/// Rows of a scan at a time.
const PAGE: u32 = 1000;
/// Calls that empty one drive's trash in one round, of some seconds each.
const ROUNDS_MAX: usize = 10;
/// Drives looked at together: sweeping goes on between.
pub(super) const DRIVES_AT_ONCE: usize = 10_000;
/// Whose rows say what is to be tidied.
const TABLES: usize = 4;

impl Drives {
    /// Empties the trash of what has been there for long enough, thins versions, and takes away what a lifecycle ends: how
    /// much went.
    pub async fn tidy(&self, drive: DriveId) -> Result<u64, DriveError> {
        let emptied = self.empty_of(drive, self.thrown_long_ago()).await;
        // Whatever came of the trash.
        let thinned = self.thin_due(drive).await?;
        let expired = self.expire_of(drive).await;
        let links = self.tidy_links(drive).await?;
        Ok(emptied? + thinned + links + expired?)
    }

    /// What was thrown away before goes.
    fn thrown_long_ago(&self) -> WallMillis {
        let keep = self.inner.settings.trash.as_millis() as u64;
        WallMillis(self.now().0.saturating_sub(keep))
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

    /// Tidies every drive that has something to be tidied.
    pub async fn tidy_all(&self) -> Result<u64, DriveError> {
        let (mut pass, mut sum) = (TidyPass::default(), 0);
        while !pass.is_over() {
            sum += self.tidy_next(&mut pass, DRIVES_AT_ONCE).await?;
        }
        Ok(sum)
    }

    /// Tidies the next drives of a pass, about so many; where that cannot be done they are the next still. A single one that
    /// cannot be tidied does not keep others waiting.
    pub async fn tidy_next(&self, pass: &mut TidyPass, most: usize) -> Result<u64, DriveError> {
        let tables = self.inner.tables;
        let each: [TableId; TABLES] = [tables.trash, tables.due, tables.links, tables.buckets];
        let Some(table) = each.get(pass.table).copied() else { return Ok(0) };
        let (drives, next) = self.drives_from(table, pass.from.clone(), most).await?;
        let mut sum = 0;
        for drive in drives {
            let tidied = match table {
                it if it == tables.trash => self.empty_of(drive, self.thrown_long_ago()).await,
                it if it == tables.due => self.thin_due(drive).await,
                it if it == tables.links => self.tidy_links(drive).await,
                _ => self.expire_of(drive).await,
            };
            match tidied {
                Ok(count) => sum += count,
                Err(error) => tracing::warn!(%drive, %error, "the drive could not be tidied"),
            }
        }
        pass.table += usize::from(next.is_none());
        pass.from = next;
        Ok(sum)
    }

    /// The drives that have rows in that table, about so many from there on, and where the rest begins.
    pub(super) async fn drives_from(
        &self,
        table: TableId,
        from: Option<ScanCursor>,
        most: usize,
    ) -> Result<(BTreeSet<DriveId>, Option<ScanCursor>), DriveError> {
        let (mut drives, mut cursor) = (BTreeSet::new(), from);
        loop {
            let limit = PAGE.min(most.try_into().unwrap_or(PAGE));
            let (items, next) = self.inner.store.scan(table, cursor, limit).await?;
            drives.extend(items.iter().filter_map(|(key, _)| DriveId::from_slice(&key.partition_key)));
            if next.is_none() || drives.len() >= most {
                return Ok((drives, next));
            }
            cursor = next;
        }
    }
}

/// How far a pass over all drives has come, one table of what is to be tidied after the other.
#[derive(Clone, Debug, Default)]
pub struct TidyPass {
    table: usize,
    from: Option<ScanCursor>,
}

impl TidyPass {
    /// All drives had their turn.
    pub fn is_over(&self) -> bool {
        self.table >= TABLES
    }
}
