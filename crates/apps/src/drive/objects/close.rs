//! Emptiness, for the end of a bucket.

use crate::drive::change::{Change, Commit, FOLDER_ENTRIES_MAX};
use crate::drive::{DriveError, Drives};
use crate::{DriveId, FolderId};
use types::Test;
use types::transaction::sortable;

/// A count that lets nothing come in.
const CLOSED: i64 = FOLDER_ENTRIES_MAX;

/// What is counted: entries of the tree's root, keys beside it, and what is gone and kept.
const COUNTED: [FolderId; 3] = [FolderId::ROOT, FolderId::FLAT, FolderId::GONE];

impl Drives {
    /// Closes a drive that holds nothing, its trash included: from then on nothing can be put into it. False: it holds
    /// something. Closing it again is harmless.
    pub async fn close_empty(&self, drive: DriveId) -> Result<bool, DriveError> {
        if !self.trash_is_empty(drive).await? || !self.swing(drive, 0, CLOSED).await? {
            return Ok(false);
        }
        // What was thrown away before it closed, but after the look.
        if self.trash_is_empty(drive).await? {
            return Ok(true);
        }
        self.open_again(drive).await?;
        Ok(false)
    }

    /// Opens a drive that was closed and stays after all. One that is open is left as it is.
    pub async fn open_again(&self, drive: DriveId) -> Result<(), DriveError> {
        self.swing(drive, CLOSED, 0).await.map(drop)
    }

    async fn trash_is_empty(&self, drive: DriveId) -> Result<bool, DriveError> {
        Ok(self.trash_list(drive, None, 1).await?.items.is_empty())
    }

    /// Sets all counts that are `from`, or `to` already. False: one is neither, or changed meanwhile.
    async fn swing(&self, drive: DriveId, from: i64, to: i64) -> Result<bool, DriveError> {
        let tables = self.inner.tables;
        let mut change = Change::new(self, drive);
        for folder in COUNTED {
            let count = self.counter(drive, folder.bytes()).await?;
            let test = match count {
                None if from == 0 => Test::Absent,
                Some(count) if count == from || count == to => Test::ValueIs(sortable(count).to_vec().into()),
                _ => return Ok(false),
            };
            change.require(tables.counts, folder.bytes(), test);
            change.put(tables.counts, folder.bytes(), sortable(to).to_vec());
        }
        Ok(matches!(change.commit(self.store(), &drive).await?, Commit::Done(_)))
    }
}
