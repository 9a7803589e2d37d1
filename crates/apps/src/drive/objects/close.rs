//! Emptiness, for the end of a bucket.

use crate::drive::change::{Change, Commit, FOLDER_ENTRIES_MAX};
use crate::drive::{DriveError, Drives};
use crate::{DriveId, FolderId};
use types::Test;
use types::transaction::sortable;

/// A count that lets nothing come in.
const CLOSED: i64 = FOLDER_ENTRIES_MAX;

impl Drives {
    /// Closes a drive that holds nothing, its trash included: from then on nothing can be put into it. False: it holds
    /// something. Closing it again is harmless.
    pub async fn close_empty(&self, drive: DriveId) -> Result<bool, DriveError> {
        if !self.trash_list(drive, None, 1).await?.items.is_empty() {
            return Ok(false);
        }
        let tables = self.inner.tables;
        let mut change = Change::new(self, drive);
        for folder in [FolderId::ROOT, FolderId::FLAT, FolderId::GONE] {
            let test = match self.counter(drive, folder.bytes()).await? {
                None => Test::Absent,
                Some(count @ (0 | CLOSED)) => Test::ValueIs(sortable(count).to_vec().into()),
                Some(_) => return Ok(false),
            };
            change.require(tables.counts, folder.bytes(), test);
            change.put(tables.counts, folder.bytes(), sortable(CLOSED).to_vec());
        }
        Ok(matches!(change.commit(self.store(), &drive).await?, Commit::Done(_)))
    }
}
